"""Checking a config's `_target_` nodes before anything is built: the name exists, and takes the keys it is given."""

import importlib
import inspect
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from ffcv_hydra.errors import ConfigError, describe_error
from ffcv_hydra.foreign import INSTALL_FFCV
from ffcv_hydra.nearest import hint, nearest

_HYDRA_KEYS = frozenset({"_target_", "_convert_", "_recursive_", "_partial_", "_args_"})
_READ_BY_OTHERS = {
    "scheduler": frozenset({"interval", "warmup", "monitor"}),
    "optimizer": frozenset({"groups"}),
    "model": frozenset({"init_from"}),
}
"""Keys of nodes that are not for their targets: see `ffcv_hydra.models.optimization` and `training.initial_weights`."""
_WITH_NULLS = ("scheduler", "optimizer")  # whose options are left out if they are null


def target_nodes(config: Any, key: str = "") -> Iterator[tuple[str, Mapping[str, Any]]]:
    """(key, node) of every mapping in a plain container that has a `_target_`, outer ones first."""
    if isinstance(config, Mapping):
        if "_target_" in config:
            yield key, config
        for name, value in config.items():
            yield from target_nodes(value, f"{key}.{name}" if key else str(name))
    elif isinstance(config, list):
        for index, value in enumerate(config):
            yield from target_nodes(value, f"{key}[{index}]")


def check_targets(config: Any, key: str = "", may_be_absent: Collection[str] = ()) -> None:
    """Check every node of a resolved config that names a `_target_`.

    Args:
        config: plain containers.
        key: where they are in the config.
        may_be_absent: targets that are not needed, and so not missed where they cannot be imported.

    Raises:
        ConfigError: a target cannot be imported, or takes no argument of a key's name.
    """
    for node_key, node in target_nodes(config, key):
        try:
            accepted = accepted_keys(node, node_key)
        except ConfigError:
            if node["_target_"] in may_be_absent:
                continue
            raise
        if accepted is None:
            continue
        takes_back = node_key.rpartition(".")[2] in _WITH_NULLS
        for name, value in node.items():
            if name not in _HYDRA_KEYS and name not in accepted and not (value is None and takes_back):
                raise ConfigError(f"unknown key '{node_key}.{name}': {hint(name, accepted, f'{node_key}.')}")


def accepted_keys(node: Mapping[str, Any], key: str = "") -> set[str] | None:
    """The arguments that the node's `_target_` takes; None if it takes any.

    Raises:
        ConfigError: the target cannot be imported.
    """
    accepted = _parameters(locate(node["_target_"], key))
    return None if accepted is None else accepted | _READ_BY_OTHERS.get(key.rpartition(".")[2], frozenset())


def locate(name: Any, key: str) -> Any:
    """Import what a `_target_` names, such as `torchvision.models.resnet18`.

    Raises:
        ConfigError: it is no dotted name, does not exist, or its module fails to import; `key` says where it is.
    """
    where = f"{key}._target_={name}"
    if not isinstance(name, str) or "." not in name:
        raise ConfigError(f"{where}: write the full name of a class or function, such as my_module.MyClass")
    parts = name.split(".")
    found, depth = _import(parts, where)
    for index in range(depth, len(parts)):
        if not hasattr(found, parts[index]):
            names = [public for public in dir(found) if not public.startswith("_")]
            if index == len(parts) - 1:
                names = [public for public in names if not inspect.ismodule(getattr(found, public, None))]
            owner = ".".join(parts[:index])
            raise ConfigError(f"{where}: no '{parts[index]}' in {owner}{_similar(parts[index], names)}")
        found = getattr(found, parts[index])
    if not callable(found):
        raise ConfigError(f"{where}: this is a {type(found).__name__}; name a class or a function")
    return found


def _import(parts: list[str], where: str) -> tuple[Any, int]:
    """The innermost module of a dotted name, and how many of the parts name it."""
    found: Any = None
    for depth in range(len(parts)):
        module = ".".join(parts[: depth + 1])
        try:
            found = importlib.import_module(module)
        except ModuleNotFoundError as error:
            if error.name is None or not f"{module}.".startswith(f"{error.name}."):
                raise ConfigError(f"{where}: {module} needs a package that is missing ({error})") from error
            if depth == 0 and module == "ffcv":
                raise ConfigError(f"{where}: FFCV is not installed; {INSTALL_FFCV}") from None
            if depth == 0:
                from importlib.metadata import packages_distributions  # slow to load

                advice = _similar(module, [*_local_modules(), *packages_distributions()])
                raise ConfigError(f"{where}: no module '{module}'{advice}") from None
            return found, depth
        except Exception as error:
            raise ConfigError(f"{where}: {module} fails to import ({describe_error(error)})") from error
    return found, len(parts)


def _local_modules() -> list[str]:
    """Names of the modules and packages in the current folder."""
    return [path.stem for path in Path.cwd().iterdir() if path.suffix == ".py" or (path / "__init__.py").is_file()]


def _similar(name: str, known: Iterable[str]) -> str:
    match = nearest(name, known)
    return f"; did you mean '{match}'?" if match else "; is its package installed, or its folder the current one?"


def _parameters(target: Any) -> set[str] | None:
    """Names of the arguments that `target` takes; None if it takes any."""
    try:
        parameters = inspect.signature(target).parameters.values()
    except (TypeError, ValueError):  # written in C, without a signature
        return None
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
        return None
    return {parameter.name for parameter in parameters if parameter.kind is not parameter.VAR_POSITIONAL}
