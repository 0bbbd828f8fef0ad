"""In which folder a run is, and its config for a run in there."""

import itertools
import logging
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig

from ffcv_hydra.errors import ConfigError
from ffcv_hydra.run_folder import FINISHED, LAST, RESULT, read_result
from ffcv_hydra.training.ranks import folder_of_all_ranks, global_rank
from ffcv_hydra.training.slurm import requeued_checkpoint

log = logging.getLogger(__name__)


def placed(config: Mapping[str, Any], run_dir: str | Path | None) -> tuple[Path, Any]:
    """The folder of a run, the same on all ranks, and the config with its paths in there.

    Args:
        config: plain containers; `trainer.default_root_dir` is the folder that it was composed for.
        run_dir: the folder to be in, by default the one composed for. Where a run in it has ended or has checkpoints
            that this one does not go on from, it is a new one beside it, unless Hydra has made it for this run.

    Raises:
        ConfigError: neither says a folder.
    """
    composed_for = (config.get("trainer") or {}).get("default_root_dir")
    chosen = composed_for if run_dir is None else run_dir
    if chosen is None:
        raise ConfigError("train: the config has no trainer.default_root_dir; give run_dir=PATH")
    folder = Path(chosen).absolute()
    if global_rank() == 0 and (run_dir is None or not (_is_hydras(folder) or config.get("ckpt_path"))):
        folder = _unused(folder, config.get("ckpt_path"))
    folder = folder_of_all_ranks(folder)
    return folder, _moved(config, str(Path(composed_for or chosen).absolute()), str(folder))


def _is_hydras(folder: Path) -> bool:
    """Whether the command line chose the folder, where a job that is run once more replaces its first attempt."""
    return HydraConfig.initialized() and Path(HydraConfig.get().runtime.output_dir).absolute() == folder


def _unused(folder: Path, ckpt_path: str | None) -> Path:
    goes_on = ckpt_path is not None or requeued_checkpoint(folder) is not None
    has_ended = read_result(folder / RESULT).get("status") in FINISHED
    if not has_ended and (goes_on or not (folder / LAST).exists()):
        return folder
    beside = (Path(f"{folder}-{number}") for number in itertools.count(2))
    unused = next(path for path in beside if not path.exists())
    log.warning("%s has a run that this one does not go on from; this one is in %s", folder, unused)
    return unused


def _moved(value: Any, before: str, now: str) -> Any:
    """A config's value with all paths in one folder, and URIs of them, in another one."""
    if isinstance(value, Mapping):
        return {key: _moved(item, before, now) for key, item in value.items()}
    if isinstance(value, list):
        return [_moved(item, before, now) for item in value]
    return re.sub(rf"(?<![\w.-]){re.escape(before)}(?![^/])", lambda _: now, value) if isinstance(value, str) else value
