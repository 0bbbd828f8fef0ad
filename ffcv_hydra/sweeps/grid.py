"""Every combination of the swept values, under any launcher, with the table at the end."""

from collections.abc import Sequence
from pathlib import Path

from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher
from omegaconf import DictConfig, OmegaConf

from ffcv_hydra.errors import SweepError
from ffcv_hydra.hydra_internals import failure_of
from ffcv_hydra.sweeps.summary import summarized

_MOST_TOLD = 10


def run_batches(launcher: Launcher, config: DictConfig, batches: Sequence[Sequence[Sequence[str]]]) -> list[JobReturn]:
    """Launch the jobs batch by batch, whatever becomes of them, and print the sweep's results.

    Args:
        launcher: set up.
        config: the sweep's config; saved as `multirun.yaml` in the sweep's folder.
        batches: of jobs; each job is a list of overrides.

    Returns:
        What became of each job.

    Raises:
        SweepError: not all jobs finished; names those.
    """
    sweep_dir = Path(str(config.hydra.sweep.dir)).absolute()
    sweep_dir.mkdir(parents=True, exist_ok=True)
    OmegaConf.save(config, sweep_dir / "multirun.yaml")
    found: list[JobReturn] = []
    fail_fast = OmegaConf.select(config, "hydra.launcher.fail_fast", default=False)
    with summarized(sweep_dir):
        for batch in batches:
            found += launcher.launch(batch, initial_job_idx=len(found))
            if fail_fast and any(job.status == JobStatus.FAILED for job in found):
                break
        raise_failures(found, sum(len(batch) for batch in batches))
    return found


def raise_failures(jobs: Sequence[JobReturn], total: int) -> None:
    """Raise `SweepError`, with a line for each job that failed, up to ten, if any did."""
    failed = [" ".join(str(failure_of(job)).split()) for job in jobs if job.status == JobStatus.FAILED]
    if failed:
        more = [f"and {len(failed) - _MOST_TOLD} more"] if len(failed) > _MOST_TOLD else []
        reasons = f" {failed[0]}" if len(failed) == 1 else "".join(f"\n  {line}" for line in failed[:_MOST_TOLD] + more)
        raise SweepError(f"{len(failed)} of {total} jobs did not finish:{reasons}")
