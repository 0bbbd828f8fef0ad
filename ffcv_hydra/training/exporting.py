"""`mode=export`: from a checkpoint, with the config of its run, to programs that have nothing of ours."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from rich.table import Table

from ffcv_hydra.datamodule import FFCVDataModule
from ffcv_hydra.errors import ConfigError
from ffcv_hydra.export import describe, export
from ffcv_hydra.models import AutoEncoder, Classifier, Segmenter, SimCLR
from ffcv_hydra.redaction import redacted_words
from ffcv_hydra.run_folder import CONFIG, RESULT, read_config, read_result
from ffcv_hydra.terminal import TerminalConsole, print_whole
from ffcv_hydra.training.checkpoints import find_checkpoint

log = logging.getLogger(__name__)

_OWN_KEYS = ("mode", "ckpt_path", "trust_checkpoint")
_OUTPUTS = {Classifier: "logits", Segmenter: "logits", SimCLR: "features", AutoEncoder: "codes"}
_DONE_WHEN_STORED = ("max_resolution", "background")
_NUM_BATCHES = 2  # that the programs are compared on


def config_of_its_run(config: Mapping[str, Any], overrides: Sequence[str], run_dir: Path) -> dict[str, Any]:
    """The config of the run that a checkpoint is from, if it is in a run's folder, else the given one.

    Args:
        config: of the export.
        overrides: what was given for it: what is of no export and was not given for the run, is refused.
        run_dir: the export's folder.

    Raises:
        ConfigError: there is no such checkpoint, or something else was given.
    """
    checkpoint = find_checkpoint(config.get("ckpt_path"), "export", run_dir)
    if checkpoint is None:
        return dict(config)
    run = checkpoint.parent.parent
    found = read_config(run / CONFIG)
    if "model" not in found:
        return dict(config)
    its_own = redacted_words(read_result(run / RESULT).get("overrides") or [])  # it was redacted when it was written
    others = [
        given
        for given in overrides
        if redacted_words([given])[0] not in its_own
        and given.partition("=")[0] not in _OWN_KEYS
        and not given.startswith("hydra.")
    ]
    if others:
        raise ConfigError(
            f"mode=export takes the config of the checkpoint's run, {run / CONFIG}: leave out {others[0]}"
        )
    log.info("model, data and pipeline are those of %s", run / CONFIG)
    return {**found, **{key: config.get(key) for key in _OWN_KEYS}, "ckpt_path": str(checkpoint), "compile": False}


def export_model(
    model: pl.LightningModule,
    checkpoint: Path | None,
    datamodule: FFCVDataModule,
    folder: Path,
    weights_only: bool,
    stored: Sequence[Mapping[str, Any] | None] = (),
) -> dict[str, float]:
    """Export a model with a checkpoint's weights into a folder, and print a table; returns and raises as `export`.

    Args:
        model: on the CPU.
        checkpoint: that fits it; None leaves it as it is.
        datamodule: whose batches of validation are described, and compared.
        folder: where to.
        weights_only: whether objects in the checkpoint are refused.
        stored: how the betons store their fields, each by the field's name.
    """
    datamodule.prepare_data()
    loader: Any = datamodule.val_dataloader()
    output = loader.output_names[0]
    if output in datamodule.changed_on_device("val"):
        raise ConfigError(f"pipeline.device cannot be exported: it changes {output} after the pipeline; leave it out")
    description = describe(loader)
    if checkpoint is not None:
        contents = torch.load(checkpoint, map_location="cpu", weights_only=weights_only)
        model.on_load_checkpoint(contents)
        model.load_state_dict(contents["state_dict"], strict=model.strict_loading)
    batches = [batch[0] for batch, _ in zip(loader, range(_NUM_BATCHES), strict=False)]
    kind = next((name for kind, name in _OUTPUTS.items() if isinstance(model, kind)), "output")
    if model.hparams.get("task") == "regression":
        kind = "values"
    names = _class_names(loader, model) if kind == "logits" else None
    description |= {"output": kind, "task": model.hparams.get("task"), "classes": names}
    differences = export(model, batches, description, folder)
    _print(differences, folder)
    for field in {node.field for node in loader.plan.ends(output)}:
        _tell_of_changes(field, stored)
    return differences


def _class_names(loader: Any, model: Any) -> list[str] | None:
    """The classes' names, if there is one for each of the model's."""
    names = loader.class_names
    if names is not None and len(names) != model.num_classes:
        log.warning(
            "the data name %d classes, the model has %d: preprocessing.json names none", len(names), model.num_classes
        )
        return None
    return None if names is None else list(names)


def _tell_of_changes(field: str, stored: Sequence[Mapping[str, Any] | None]) -> None:
    """Warn of what a conversion did to pictures and the example does not."""
    options = [(fields or {}).get(field) or {} for fields in stored]
    for name in _DONE_WHEN_STORED:
        if values := {str(one[name]) for one in options if one.get(name) is not None}:
            log.warning(
                "pictures were changed when they were stored (fields.%s.%s=%s), which preprocessing.json does not do: "
                "the outputs for such originals are others", field, name, " or ".join(sorted(values)),
            )  # fmt: skip


def _print(differences: Mapping[str, float], folder: Path) -> None:
    console = TerminalConsole()
    table = Table("file", title="export completed", title_justify="left")
    table.add_column("size", justify="right")
    table.add_column("largest difference from the model", justify="right")
    for path in sorted(folder.iterdir()):
        difference = differences.get(path.name)
        told = "" if difference is None else f"{difference:.2g}"
        table.add_row(path.name, f"{path.stat().st_size / 1000:,.0f} kB", told)
    print_whole(console, table)
    console.print(f"python {folder / 'example.py'} PICTURE ...", soft_wrap=True)
