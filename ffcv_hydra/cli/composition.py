"""Configs composed and checked in a program or a notebook, as the commands do it, with no state of Hydra's kept."""

import os
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import hydra
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.singleton import Singleton
from omegaconf import open_dict

from ffcv_hydra.cli.commands import checked_convert_config, checked_run_config
from ffcv_hydra.cli.composition_errors import explain
from ffcv_hydra.cli.entry import kept_secret
from ffcv_hydra.errors import ConfigError

_CHECKED = {"run": checked_run_config, "convert": checked_convert_config}


def compose(
    config_name: str = "run", overrides: Sequence[str] = (), config_dir: str | os.PathLike[str] | None = None
) -> dict[str, Any]:
    """The config that `python run.py OVERRIDES` or `convert.py` would have, checked, as plain containers.

    Args:
        config_name: "run" or "convert".
        overrides: as on the command line: `["experiment=digits", "seed=1"]`.
        config_dir: a folder of groups of your own, beside the shipped ones.

    Returns:
        For `train`, `build_datamodule` and `build_model`; a run's folder, which nothing has made yet, is its
        `trainer.default_root_dir`, and is chosen by the override `hydra.run.dir=PATH`.

    Raises:
        ConfigError: an override or a config is wrong; in one line, which names the key.
    """
    if config_name not in _CHECKED:
        raise ConfigError(f"compose: there is no config '{config_name}'; use run or convert")
    if isinstance(overrides, str):
        raise ConfigError(f"compose: overrides are a list of texts: [{overrides!r}]")
    overrides = list(overrides)
    if (fault := kept_secret(overrides)) is not None:
        raise ConfigError(fault)
    if config_dir is not None:
        if not os.path.isdir(config_dir):
            raise ConfigError(f"compose: config_dir={config_dir} is no folder")
        if any(override.lstrip("+~").startswith("hydra.searchpath") for override in overrides):
            raise ConfigError(f"compose: config_dir={config_dir} and hydra.searchpath=: name all folders in the latter")
        quoted = re.sub(r"(\\*)('|$)", _escaped, f"file://{Path(config_dir).absolute()}")
        overrides.append(f"hydra.searchpath=['{quoted}']")
    if os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())  # as for the commands: a user's own datasets and models are there
    with _hydra_left_alone():
        try:
            with hydra.initialize_config_module("ffcv_hydra.conf", version_base="1.3"):
                config = hydra.compose(config_name, overrides, return_hydra_config=True)
                HydraConfig.instance().set_config(config)
                with open_dict(config):
                    del config["hydra"]
                return _CHECKED[config_name](config)
        except Exception as error:
            line = None if isinstance(error, ConfigError) else explain(error)
            if line is None:
                raise
            raise ConfigError(line) from error


def _escaped(found: re.Match[str]) -> str:
    """A quote in a quoted value of Hydra's, or the value's end, with the backslashes before it."""
    return found[1] * 2 + (found[2] and "\\'")


@contextmanager
def _hydra_left_alone() -> Iterator[None]:
    """Let Hydra be set up anew for a while, within a run of Hydra's too."""
    before = Singleton.get_state()
    GlobalHydra.instance().clear()
    try:
        yield
    finally:
        Singleton.set_state(before)
