"""The members of `dataset=mixture`: `{dataset: digits, share: 0.7}` becomes all that `dataset=digits` is."""

import re
from collections.abc import Callable
from typing import Any

from omegaconf import DictConfig, OmegaConf, open_dict

from ffcv_hydra.errors import ConfigError
from ffcv_hydra.hydra_internals import complete_configs
from ffcv_hydra.nearest import hint

_KEYS = ("dataset", "share")  # of a member, beside those of its dataset


def register() -> None:
    """Have the members of every config composed that Hydra composes from now on."""
    complete_configs(compose_members)


def compose_members(
    config: DictConfig, options: Callable[[str], list[str]], compose: Callable[[str, list[str]], DictConfig]
) -> None:
    """Put in place of each of `dataset.members` its dataset's config, changed as the member says.

    What the dataset's file writes as `${dataset.KEY}` is then the member's.

    Args:
        config: composed, with the command line's overrides.
        options: the names of a group's options.
        compose: a config of a name with overrides.

    Raises:
        ConfigError: a member names no dataset, or has a key that this has not.
    """
    given = OmegaConf.select(config, "dataset.members")
    if not isinstance(given, DictConfig):
        return
    with open_dict(config):
        for name in list(given):
            given[name] = _composed(str(name), given[name], options("dataset"), compose)


def _composed(name: str, given: Any, options: list[str], compose: Callable[[str, list[str]], DictConfig]) -> DictConfig:
    key = f"dataset.members.{name}"
    if not re.fullmatch(r"[A-Za-z_]\w*", name):
        raise ConfigError(f"dataset.members: {name!r} is no name of a member; use letters, digits and underscores")
    if not isinstance(given, DictConfig) or not isinstance(option := given.get("dataset"), str):
        raise ConfigError(f"{key}: write which dataset it is and its share, as {name}: {{dataset: digits, share: 0.5}}")
    known = [known for known in options if known != "mixture"]
    if option not in known:
        raise ConfigError(f"{key}.dataset={option}: there is no such option; {hint(option, known)}")
    if "share" not in given:
        raise ConfigError(f"{key}.share is missing; give a number, or a list of numbers by epoch")
    composed = OmegaConf.to_container(compose("convert", [f"dataset={option}"]).dataset)
    assert isinstance(composed, dict)
    if unknown := [str(one) for one in given if one not in _KEYS and one not in composed]:
        raise ConfigError(f"unknown key '{key}.{unknown[0]}': {hint(unknown[0], [*_KEYS, *composed], f'{key}.')}")
    merged = OmegaConf.merge({"dataset": option, "share": None, **_moved(composed, key)}, given)
    assert isinstance(merged, DictConfig)
    return merged


def _moved(value: Any, key: str) -> Any:
    """`value` with what it refers to as `${dataset....}` at `key`."""
    if isinstance(value, dict):
        return {name: _moved(inner, key) for name, inner in value.items()}
    if isinstance(value, list):
        return [_moved(inner, key) for inner in value]
    return re.sub(r"\$\{dataset\.", f"${{{key}.", value) if isinstance(value, str) else value
