"""`hydra/sweeper=grid`: every combination of the swept values."""

from collections.abc import Sequence

# Not by way of another module: Hydra makes this class anew when it looks for plugins.
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.utils import JobReturn
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig


class GridSweeper(BasicSweeper):
    """Hydra's basic sweeper with results: a table, files and a plot, also when jobs fail.

    Args:
        max_batch_size: jobs that are handed to the launcher together; None for all.
        params: swept values by key, as on the command line, which comes after them.
    """

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        from ffcv_hydra.sweeps.slurm import follow_trainer

        follow_trainer(config)
        super().setup(hydra_context=hydra_context, task_function=task_function, config=config)

    def sweep(self, arguments: list[str]) -> Sequence[JobReturn]:
        from ffcv_hydra.sweeps.grid import run_batches
        from ffcv_hydra.sweeps.swept_values import check_swept_values

        assert self.hydra_context is not None and self.config is not None and self.launcher is not None
        parser = OverridesParser.create(config_loader=self.hydra_context.config_loader)
        overrides = parser.parse_overrides([*(f"{key}={value}" for key, value in self.params.items()), *arguments])
        check_swept_values(overrides, self.hydra_context.config_loader, takes_intervals=False)
        batches = self.split_arguments(overrides, self.max_batch_size)
        for batch in batches:
            self.validate_batch_is_legal(batch)
        return run_batches(self.launcher, self.config, batches)
