"""From the overrides of a sweep's jobs to jobs: their configs and their folders."""

import json
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from hydra.core.config_loader import ConfigLoader
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, OmegaConf, open_dict, read_write
from omegaconf.errors import OmegaConfBaseException

from ffcv_hydra.errors import FFCVHydraError
from ffcv_hydra.run_folder import FINISHED, RESULT
from ffcv_hydra.sweeps.job import RECORD, Job, State, read_json

_RUN_FOLDER = "RUN_FOLDER"
"""Stands for the run's folder in configs that are compared."""
_OF_THE_SWEEP = ("hydra.mode", "hydra.sweep", "hydra.sweeper", "hydra/sweeper", "hydra.launcher", "hydra/launcher",
                 "hydra.run.dir", "hydra.job.num", "hydra.job.id")  # fmt: skip


def sweep_configs(
    loader: ConfigLoader, config: DictConfig, job_overrides: Sequence[Sequence[str]], first: int
) -> list[DictConfig]:
    """Compose the config of each job, Hydra's own part included; the first job has number `first`."""
    found = []
    for number, overrides in enumerate(job_overrides, first):
        composed = loader.load_sweep_config(config, list(overrides))
        with open_dict(composed):
            composed.hydra.job.num = number
            composed.hydra.job.id = str(number)
        found.append(composed)
    return found


def common_overrides(config: DictConfig) -> frozenset[str]:
    """Return the overrides that all jobs of a sweep have, as sweepers write them; `config` is the sweep's."""
    parsed = OverridesParser.create().parse_overrides(list(config.hydra.overrides.task))
    fixed = [override for override in parsed if not override.is_sweep_override()]
    return frozenset(f"{line.get_key_element()}={line.get_value_element_as_str()}" for line in fixed)


def make_job(config: DictConfig, folder: str, common: frozenset[str] = frozenset()) -> Job:
    """Make the job of one composed config, in the folder that `hydra.sweep` names.

    Args:
        config: of the job, Hydra's own part included.
        folder: what a relative `hydra.sweep.dir` is relative to.
        common: overrides that all jobs of the sweep have.
    """
    overrides = list(config.hydra.overrides.task)
    hydra_overrides = [line for line in config.hydra.overrides.hydra if not line.lstrip("+~").startswith(_OF_THE_SWEEP)]
    known = HydraConfig.instance().cfg
    composed = config.copy()
    try:
        with read_write(composed.hydra.runtime), open_dict(composed.hydra.runtime):
            composed.hydra.runtime.output_dir = os.path.join(os.sep, _RUN_FOLDER)
        HydraConfig.instance().set_config(composed)
        job_dir = Path(folder, str(composed.hydra.sweep.dir), str(composed.hydra.sweep.subdir))
        return Job(config.hydra.job.num, overrides, hydra_overrides, _resolved(composed), job_dir, common)
    finally:
        HydraConfig.instance().cfg = known


def _resolved(config: DictConfig) -> dict[str, Any] | None:
    with open_dict(config):
        task = config.copy()
        del task["hydra"]
    try:
        plain = OmegaConf.to_container(task, resolve=True)
    except (OmegaConfBaseException, FFCVHydraError):
        return None
    assert isinstance(plain, dict)
    if isinstance(plain.get("data_dir"), str):
        plain["data_dir"] = os.path.abspath(os.path.expanduser(plain["data_dir"]))
    return json.loads(json.dumps(plain, default=str))


def place(jobs: Sequence[Job], sweep_dir: Path) -> None:
    """Give each job the folder of an earlier one with the same config, or else a free one.

    A job that is found finished there is marked so. A folder that holds a job of another config is left alone, and the
    job's note says in what they differ.

    Args:
        jobs: with the folders that Hydra's config gives them; changed.
        sweep_dir: the sweep's folder, whose earlier jobs are looked at.
    """
    records = {path.parent: read_json(path) for path in sorted(sweep_dir.rglob(RECORD))}
    taken: set[Path] = set()
    others = []
    for job in jobs:
        same = [folder for folder, record in records.items() if folder not in taken and _is_same(job, record)]
        if not same:
            others.append(job)
            continue
        job.folder = max(same, key=lambda folder: (_state(folder, records[folder]) in FINISHED, folder == job.folder))
        taken.add(job.folder)
        _take_over(job, records[job.folder])
    for job in others:  # when it is known which folders are taken
        _find_free_folder(job, records, taken)
        taken.add(job.folder)


def _is_same(job: Job, record: dict[str, Any]) -> bool:
    if job.config is None:
        return record.get("config") is None and record.get("overrides") == job.overrides
    return record.get("config") == job.config


def _state(folder: Path, record: dict[str, Any]) -> State:
    """The state of an earlier job: the run knows better than the sweep, which may have been killed first."""
    status = read_json(folder / RESULT).get("status")
    return status if status in FINISHED else record.get("state", "waiting")


def _take_over(job: Job, record: dict[str, Any]) -> None:
    state = _state(job.folder, record)
    if state in FINISHED:
        job.state, job.skipped = state, True
        job.seconds, job.exit_status = record.get("seconds"), 0
        job.write()


def _find_free_folder(job: Job, records: dict[Path, dict[str, Any]], taken: Iterable[Path]) -> None:
    wanted, attempt = job.folder, 1
    while job.folder in records or job.folder in taken:
        attempt += 1
        job.folder = wanted.with_name(f"{wanted.name}-{attempt}")
    if wanted in records and wanted not in taken:
        changes = _differences(records[wanted].get("config"), job.config)
        job.note = f"{wanted} holds a job of another config ({changes}); this one goes to {job.folder.name}/"


def _differences(before: Any, now: Any, limit: int = 3) -> str:
    found = list(_walk(before, now, ""))
    more = f", {len(found) - limit} more" if len(found) > limit else ""
    return ", ".join(found[:limit]) + more if found else "one of them cannot be resolved"


def _walk(before: Any, now: Any, key: str) -> Iterable[str]:
    if isinstance(before, dict) and isinstance(now, dict):
        for name in [*before, *(name for name in now if name not in before)]:
            yield from _walk(before.get(name), now.get(name), f"{key}.{name}" if key else str(name))
    elif before != now:
        yield f"{key}: {_brief(before)} -> {_brief(now)}"


def _brief(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 40 else text[:37] + "..."
