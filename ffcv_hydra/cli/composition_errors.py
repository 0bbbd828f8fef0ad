"""What went wrong while a config was composed, in one line that names the nearest right name."""

import shlex
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from hydra import initialize_config_module
from hydra.core.config_loader import ConfigLoader
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import ConfigAttributeError, ConfigIndexError, ConfigKeyError, OmegaConfBaseException
from yaml import YAMLError

from ffcv_hydra.building.targets import accepted_keys
from ffcv_hydra.errors import ConfigError, FFCVHydraError, SweepError
from ffcv_hydra.hydra_internals import (
    is_about_options,
    is_no_option,
    root_of,
    several_values,
    unknown_group,
    without_search_path,
)
from ffcv_hydra.nearest import hint, nearest
from ffcv_hydra.printable import printable
from ffcv_hydra.sweeps.program import quoted

_OF_THE_TEMPLATE = {
    "data": "dataset=NAME",
    "train": "mode=fit",
    "test": "mode=test, or test_after_fit=true",
    "paths": "data_dir=PATH, or hydra.run.dir=PATH for a run's folder",
}
"""Keys of lightning-hydra-template that have no likeness here, and what is written in their place."""


def explain(error: BaseException) -> str | None:
    """One line about an error of Hydra, OmegaConf or YAML, or one per job of a sweep; None for any other error."""
    if isinstance(error, SweepError):
        return printable(str(error))  # a line for each job
    if isinstance(error, FFCVHydraError):
        return one_line(str(error))
    if isinstance(error, OverrideParseException):
        return one_line(_unreadable(error.override))
    if isinstance(error, MissingConfigException):
        return _missing_option(error)
    cause = error.__cause__
    if isinstance(cause, ConfigAttributeError | ConfigKeyError) and isinstance(error, HydraException):
        return _unknown_key(cause)
    if isinstance(error, HydraException):
        return _other_hydra_error(error)
    if isinstance(error, OmegaConfBaseException):
        return _omegaconf_error(error)
    if is_about_options(error):
        return one_line(str(error))
    if is_no_option(error):
        return "a group's option is chosen by its name, as in dataset=toy; a number, true, false or a mapping is none"
    return f"a config file is not valid YAML: {one_line(str(error))}" if isinstance(error, YAMLError) else None


def one_line(text: str) -> str:
    """`text` with every run of white space as one space, and nothing in it that a terminal would obey."""
    return printable(" ".join(text.split()))


def _unreadable(override: str) -> str:
    key, equals, value = override.partition("=")
    typed = _as_text(key, value)
    try:
        OverridesParser.create().parse_override(f"{key}={quoted(value)}")
    except HydraException:
        equals = ""
    if not equals:
        return f"cannot read '{override}': write key=value"
    if value.startswith(("[", "{")):
        return f"cannot read {override}: a bracket or a quote is left open, or text in it needs quotes"
    return f"cannot read {override}: text with special characters is quoted for the shell and for Hydra: {typed}"


def _as_text(key: str, value: str) -> str:
    """What to type in a shell so that a key has this text, whatever characters are in it."""
    return shlex.quote(f"{key}={quoted(value)}")


def _missing_option(error: MissingConfigException) -> str:
    group, _, option = (error.missing_cfg_file or "").rpartition("/")
    options = error.options or (_options(group) if group else None)  # an option in a list comes without its siblings
    if not options:
        return one_line(without_search_path(error))
    return f"{group}={option}: there is no such option; {hint(option, options)}"


def _unknown_key(cause: ConfigAttributeError | ConfigKeyError) -> str:
    parent = cause.parent_node
    key, full_key = str(cause.key), str(cause.full_key)
    prefix = full_key.removesuffix(key)
    if not isinstance(parent, DictConfig) or not parent:
        return f"unknown key '{full_key}': '{prefix.rstrip('.')}' has no keys of its own"
    if "/" in full_key:
        return _unknown_group(full_key)
    if (ours := _OF_THE_TEMPLATE.get(full_key.partition(".")[0])) is not None:
        return f"unknown key '{full_key}': write {ours}"
    arguments = _arguments_of(parent, prefix)
    if key in arguments:
        return f"'{full_key}' is not set yet: +{full_key}=VALUE does it"
    groups = [] if prefix else _groups()
    if key in groups:
        return _unknown_group(key)
    siblings = {*map(str, parent), *arguments, *groups} - {"hydra"}
    elsewhere = [name for name in _all_keys(root_of(parent)) if name.rpartition(".")[2] == key]
    is_output = prefix.startswith("pipeline.") and prefix.count(".") == 2  # whose names are those of fields
    is_moved = elsewhere and nearest(key, siblings) is None and not is_output
    if prefix == "pipeline." and is_moved:  # an output, whose field may have the same name
        elsewhere.sort(key=lambda name: not name.startswith(prefix))
    guess = f"did you mean '{elsewhere[0]}'?" if is_moved else hint(key, siblings, prefix)
    advice = f" (+{full_key}=VALUE adds a new key)" if _takes(full_key, parent) else ""
    return f"unknown key '{full_key}': {guess}{advice}"


def _arguments_of(node: DictConfig, prefix: str) -> list[str]:
    """What a loader, or the node's `_target_`, takes by name; nothing if it takes anything or cannot be imported."""
    if prefix == "loader.":
        from ffcv_hydra.loader_options import STAGE_OPTIONS  # which --help does not need

        return list(STAGE_OPTIONS)
    with suppress(ConfigError):
        return list((accepted_keys(node) if "_target_" in node else None) or ())
    return []


def _takes(full_key: str, parent: DictConfig) -> bool:
    """Whether a key that is added passes the checks that come after the composition."""
    from ffcv_hydra.cli.free_keys import takes_key
    from ffcv_hydra.cli.schema import ConvertConfig, RunConfig  # imports pydantic

    config = OmegaConf.to_container(root_of(parent))
    assert isinstance(config, dict)
    with suppress(ConfigError):
        return takes_key(RunConfig if "mode" in config else ConvertConfig, config, full_key.split("."))
    return False


def _unknown_group(name: str) -> str:
    groups = _groups()
    if name in groups:
        return f"this command has no group '{name}'; --help lists those it has"
    return f"unknown group '{name}': {hint(name, groups)}"


def _other_hydra_error(error: HydraException) -> str:
    if isinstance(error.__cause__, OmegaConfBaseException) and not str(error):
        return _omegaconf_error(error.__cause__)
    if (group := unknown_group(error)) is not None:
        return _unknown_group(group)
    if (several := several_values(error)) is not None:
        key, values = several
        return (
            f"Ambiguous value for argument '{key}={values}': -m runs each of the values, {key}=[{values}] is a list, "
            f"and text with commas is quoted for the shell and for Hydra: {_as_text(key, values)}"
        )
    if isinstance(error.__cause__, ConfigIndexError) and isinstance(error.__cause__.parent_node, ListConfig):
        return f"{error.__cause__.full_key}: the list has {len(error.__cause__.parent_node)} entries, numbered from 0"
    cause = f" {_omegaconf_error(error.__cause__)}" if isinstance(error.__cause__, OmegaConfBaseException) else ""
    return one_line(str(error) + cause) or one_line(repr(error))


def _omegaconf_error(error: OmegaConfBaseException) -> str:
    inner: BaseException | None = error
    while isinstance(inner, OmegaConfBaseException):
        inner = inner.__cause__ or inner.__context__
    if isinstance(inner, FFCVHydraError):  # what a resolver raised
        return one_line(str(inner))
    message = one_line(str(error).partition("\n")[0])
    return f"{error.full_key}: {message}" if error.full_key else message


def _groups() -> list[str]:
    with _config_loader() as loader:
        return [group for group in loader.list_groups("") if group != "hydra"]


def _options(group: str) -> list[str]:
    with _config_loader() as loader:
        return loader.get_group_options(group)


@contextmanager
def _config_loader() -> Iterator[ConfigLoader]:
    GlobalHydra.instance().clear()
    with initialize_config_module("ffcv_hydra.conf", version_base="1.3"):
        yield GlobalHydra.instance().config_loader()


def _all_keys(node: Any, prefix: str = "") -> Iterator[str]:
    """Dotted keys of a composed config, Hydra's own ones left out."""
    if not isinstance(node, DictConfig):
        return
    for name, value in node.items_ex(resolve=False):
        key = prefix + str(name)
        if key != "hydra":
            yield key
            yield from _all_keys(value, f"{key}.")
