"""What a model is made of, in a few lines before the training."""

from typing import Any

from pytorch_lightning.callbacks import ModelSummary
from pytorch_lightning.utilities.model_summary import get_human_readable_count
from rich import box
from rich.table import Table

from ffcv_hydra.lightning_copies_internals import OfEveryLightning
from ffcv_hydra.terminal import TerminalConsole


class ParameterSummary(ModelSummary, OfEveryLightning):
    """Lightning's summary of the modules that have parameters, without those that count metrics.

    FLOPs are told where Lightning knows them: for models with an `example_input_array`.
    """

    @staticmethod
    def summarize(
        summary_data: list[tuple[str, list[str]]],
        total_parameters: int,
        trainable_parameters: int,
        model_size: float,
        total_training_modes: dict[str, int],
        total_flops: int = 0,
        **summarize_kwargs: Any,
    ) -> None:
        """Print the table and, below, the totals."""
        columns = dict(summary_data)
        table = Table("module", "class", box=box.SIMPLE)
        table.add_column("parameters", justify="right")
        for name, kind, count in zip(columns["Name"], columns["Type"], columns["Params"], strict=True):
            if count.strip() != "0":
                table.add_row(name, kind, count.strip())
        totals = f"{get_human_readable_count(total_parameters).strip()} parameters ({model_size:.3g} MB)"
        if trainable_parameters != total_parameters:
            totals += f", {get_human_readable_count(trainable_parameters).strip()} of them trained"
        if total_flops:
            totals += f", {get_human_readable_count(total_flops).strip()} FLOPs for the example input"
        console = TerminalConsole()
        if table.row_count:
            console.print(table)
        console.print(totals)
