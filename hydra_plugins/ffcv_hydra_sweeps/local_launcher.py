"""`hydra/launcher=local`: jobs on this machine, each in a fresh process."""

from collections.abc import Sequence

from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from ffcv_hydra.sweeps.program import Program


class LocalLauncher(Launcher):
    """Runs jobs one after another or several at once.

    Args:
        jobs: how many at once; the usable cores are split evenly over them.
        gpus_per_job: None splits the GPUs evenly, or shares them where there are fewer than jobs.
        fail_fast: the first job that fails stops all.
    """

    def __init__(self, jobs: int = 1, gpus_per_job: int | None = None, fail_fast: bool = False) -> None:
        self.options = {"jobs": jobs, "gpus_per_job": gpus_per_job, "fail_fast": fail_fast}

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self.config = config
        self.hydra_context = hydra_context
        # The project's own commands know how the user has started them; others are asked now.
        self.program: Program = getattr(task_function, "program", None) or Program.of_this_process()

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        from ffcv_hydra.sweeps.local import launch

        loader = self.hydra_context.config_loader
        return launch(self.program, loader, self.config, job_overrides, initial_job_idx, self.options)
