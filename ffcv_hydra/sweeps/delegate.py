"""A job that another launcher (joblib, submitit, Ray) schedules: its worker starts the fresh process and waits."""

import time
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf, open_dict

from ffcv_hydra.errors import SweepError
from ffcv_hydra.sweeps.job import Job
from ffcv_hydra.sweeps.job_process import BUSY_SECONDS, JobBusy, JobProcess, wait
from ffcv_hydra.sweeps.local import failure
from ffcv_hydra.sweeps.planning import make_job, place
from ffcv_hydra.sweeps.program import Program
from ffcv_hydra.sweeps.slurm import is_slurm


def run_delegated(program: Program, hydra_config: Any, config: DictConfig) -> float | None:
    """Run the current job of a multirun in a fresh process; a job that was finished before is not run again.

    Args:
        program: what a job starts; that of the process which began the sweep.
        hydra_config: Hydra's part of the job's config.
        config: the rest of it.

    Returns:
        The value of the optimized metric, if there is one.

    Raises:
        SweepError: the job did not finish.
    """
    whole = OmegaConf.create({"hydra": hydra_config})
    OmegaConf.set_struct(whole, False)
    with open_dict(whole):
        whole.merge_with(config)
    job = make_job(whole, program.folder)
    place([job], Path(program.folder, str(hydra_config.sweep.dir)))
    if not job.finished:
        wait(_started(job, program, slurm=is_slurm(hydra_config)))
    if not job.finished:
        raise SweepError(failure(job))
    return job.optimized_metric()[1]


def _started(job: Job, program: Program, slurm: bool) -> JobProcess:
    """The job's process, begun as soon as no earlier attempt is at work."""
    deadline = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            return JobProcess(job, program, slurm=slurm)
        except JobBusy:
            if time.monotonic() > deadline:
                raise
            time.sleep(1.0)
