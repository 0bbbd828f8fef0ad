"""A job that SLURM requeues goes on where it was."""

import logging
import os
import subprocess
from pathlib import Path

import pytorch_lightning as pl
from pytorch_lightning.plugins.environments import SLURMEnvironment

from ffcv_hydra.lightning_internals import cluster_environment
from ffcv_hydra.run_folder import CHECKPOINTS

log = logging.getLogger(__name__)


def requeued_checkpoint(run_dir: Path) -> Path | None:
    """Return the newest checkpoint of this run's folder when this is a SLURM job, else None.

    A requeued job has its id again, and with it its folder.
    """
    return newest_last(run_dir) if "SLURM_JOB_ID" in os.environ else None


def newest_last(run_dir: Path) -> Path | None:
    """The newest `last.ckpt` or `hpc_ckpt_*.ckpt` of a run's folder."""
    found = [*run_dir.glob(f"{CHECKPOINTS}/last*.ckpt"), *run_dir.glob("hpc_ckpt_*.ckpt")]
    return max(found, key=lambda path: path.stat().st_mtime, default=None)


def requeue(trainer: pl.Trainer, signum: int) -> None:
    """Ask SLURM to start this job again, if `signum` is the signal by which it announced the end of the job's time.

    Called on rank 0, last of all: SLURM then ends the job.
    """
    environment = cluster_environment(trainer)
    if not isinstance(environment, SLURMEnvironment) or not environment.auto_requeue:
        return
    if signum != environment.requeue_signal:
        return
    job = os.environ["SLURM_JOB_ID"]
    if "SLURM_ARRAY_JOB_ID" in os.environ:
        job = f"{os.environ['SLURM_ARRAY_JOB_ID']}_{os.environ['SLURM_ARRAY_TASK_ID']}"
    try:
        subprocess.run(["scontrol", "requeue", job], check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        log.error("job %s cannot be requeued: %s", job, error)
    else:
        log.info("job %s is requeued", job)
