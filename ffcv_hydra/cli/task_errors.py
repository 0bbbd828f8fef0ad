"""What went wrong while a composed config was put to work, in one line that names the config key."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.errors import InstantiationException
from omegaconf import DictConfig, OmegaConf

from ffcv_hydra.building.targets import target_nodes
from ffcv_hydra.cli.composition_errors import one_line
from ffcv_hydra.errors import FFCVHydraError, describe_error, users_line
from ffcv_hydra.hydra_internals import instantiation_failure, written_at

_TRACEBACK = "HYDRA_FULL_ERROR=1 shows the traceback"


def explain(error: BaseException, config: DictConfig) -> str | None:
    """One line about bad input; None if the error is none that a user can cause, and needs its traceback."""
    if isinstance(error, FFCVHydraError):
        return one_line(str(error))
    if isinstance(error, InstantiationException):
        return _instantiation_error(error, config)
    if _is_misconfiguration(error):
        return f"the trainer refuses its settings: {one_line(str(error))} ({_TRACEBACK})"
    return one_line(f"{describe_error(error)}; {_where_the_traceback_is()}") if users_line(error) else None


def _where_the_traceback_is() -> str:
    from ffcv_hydra.run_folder import LOG  # which loads pydantic, and who asks for help waits for it

    log = Path(HydraConfig.get().runtime.output_dir, LOG)
    return f"the traceback is in {log}" if log.is_file() else _TRACEBACK


def _is_misconfiguration(error: BaseException) -> bool:
    # Lightning takes seconds to import, and is there if it raised this.
    exceptions = sys.modules.get("lightning_fabric.utilities.exceptions")
    return exceptions is not None and isinstance(error, exceptions.MisconfigurationException)


def _instantiation_error(error: InstantiationException, config: DictConfig) -> str:
    target, full_key, message = instantiation_failure(error)
    key = _config_key(target, full_key, config)
    cause = error.__cause__
    if isinstance(cause, FFCVHydraError):
        return one_line(f"{key}: {cause}")
    what = describe_error(cause) if cause is not None else message
    return one_line(f"{key}: {what} ({_TRACEBACK})")


def _config_key(target: str, full_key: str, config: DictConfig) -> str:
    """The key of the failing node in the whole config; what Hydra reports may be relative to the node it was given."""
    name = target.rpartition(".")[2]

    def is_it(node: Any) -> bool:
        return isinstance(node, Mapping | DictConfig) and str(node.get("_target_")).endswith(name)

    if full_key and is_it(node := OmegaConf.select(config, full_key)):
        key = written_at(node)
        return f"{full_key if '.held_out.' in key else key} ({node['_target_']})"
    for key, node in target_nodes(OmegaConf.to_container(config)):
        if ".held_out." in key:  # which splits are made of
            continue
        if key.endswith(full_key) and is_it(node):
            return f"{key} ({node['_target_']})"
    return full_key or target or "config"
