"""What the local launcher does with a batch of jobs."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hydra.core.config_loader import ConfigLoader
from hydra.core.utils import JobReturn, JobStatus
from omegaconf import DictConfig

from ffcv_hydra.errors import SweepError
from ffcv_hydra.locks import lock
from ffcv_hydra.sweeps.display import Display
from ffcv_hydra.sweeps.job import Job
from ffcv_hydra.sweeps.planning import common_overrides, make_job, place, sweep_configs
from ffcv_hydra.sweeps.program import Program
from ffcv_hydra.sweeps.scheduler import run_jobs
from ffcv_hydra.sweeps.slots import make_slots, neighbouring_cores, visible_gpus
from ffcv_hydra.sweeps.summary import sweep_console


def launch(
    program: Program,
    loader: ConfigLoader,
    config: DictConfig,
    job_overrides: Sequence[Sequence[str]],
    first: int,
    options: dict[str, Any],
) -> list[JobReturn]:
    """Run one job per list of overrides, each in a fresh process, and wait for all of them.

    Args:
        program: what a job starts.
        loader: composes the jobs' configs.
        config: the sweep's config, Hydra's own part included.
        job_overrides: of each job.
        first: number of the first job.
        options: `jobs`, `gpus_per_job` and `fail_fast` of the launcher.

    Returns:
        For each job its status and, as the value, the optimized metric, if it has one.

    Raises:
        ConfigError: this machine has too few cores or GPUs for `options`.
        SweepError: another sweep is at work in the same folder.
        KeyboardInterrupt: a signal has stopped the sweep; no process is left.
    """
    gpus = visible_gpus(os.environ) if options["jobs"] > 1 or options["gpus_per_job"] is not None else []
    slots = make_slots(options["jobs"], options["gpus_per_job"], neighbouring_cores(), gpus)
    sweep_dir = Path(program.folder, str(config.hydra.sweep.dir))
    sweep_dir.mkdir(parents=True, exist_ok=True)
    configs = sweep_configs(loader, config, job_overrides, first)
    with _only_sweep_in(sweep_dir):
        common = common_overrides(config)
        jobs = [make_job(composed, program.folder, common) for composed in configs]
        place(jobs, sweep_dir)
        display = Display(sweep_console())
        if skipped := [job for job in jobs if job.skipped]:
            display.skipped(skipped)
        run_jobs(jobs, program, slots, options["fail_fast"], display)
    return [job_return(job, composed) for job, composed in zip(jobs, configs, strict=True)]


def job_return(job: Job, config: DictConfig) -> JobReturn:
    """Return what Hydra's sweepers expect of a job."""
    found = JobReturn(overrides=list(job.overrides), hydra_cfg=config, working_dir=str(job.folder))
    found.task_name = config.hydra.job.name
    if job.finished:
        found.status, found.return_value = JobStatus.COMPLETED, job.optimized_metric()[1]
    else:
        found.status, found.return_value = JobStatus.FAILED, SweepError(failure(job))
    return found


def failure(job: Job) -> str:
    """Return one line about a job that did not finish."""
    if job.state == "waiting":
        return f"job {job.number} ({job.label}) was not started"
    return f"job {job.number} ({job.label}) {job.state}: {job.error}; its log is {job.log}"


@contextmanager
def _only_sweep_in(folder: Path) -> Iterator[None]:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        if not lock(descriptor):
            raise SweepError(f"another sweep is at work in {folder}; wait for it, or choose another hydra.sweep.dir")
        yield
    finally:
        os.close(descriptor)
