"""What is taken from inside Hydra and OmegaConf, and read out of their messages; each has a test of its own."""

import functools
import re
from collections.abc import Callable, Sequence
from typing import Any

from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.utils import get_args_parser
from hydra.core.utils import JobReturn
from hydra.errors import HydraException, InstantiationException, MissingConfigException
from hydra.types import RunMode
from omegaconf import Container, DictConfig

Complete = Callable[[DictConfig, Callable[[str], list[str]], Callable[[str, list[str]], DictConfig]], None]


def config_flags(arguments: Sequence[str]) -> list[str]:
    """Those of Hydra's options in a command line that say which config is composed, such as `--config-dir DIR`."""
    chosen = get_args_parser().parse_known_args(list(arguments))[0]
    names = [name for name in ("config_path", "config_name", "config_dir") if getattr(chosen, name)]
    return [part for name in names for part in (f"--{name.replace('_', '-')}", getattr(chosen, name))]


def complete_configs(complete: Complete) -> None:
    """Have each config completed that Hydra composes, before anybody sees it: `--cfg job`, runs, the jobs of sweeps.

    Args:
        complete: changes a config in place; it is given, too, what lists a group's options, and what composes another
            config, of a name and overrides, which is not completed.
    """
    load = ConfigLoaderImpl.load_configuration

    @functools.wraps(load)
    def load_completed(self: ConfigLoaderImpl, *args: Any, **options: Any) -> DictConfig:
        config = load(self, *args, **options)
        complete(config, self.get_group_options, lambda name, overrides: load(self, name, overrides, RunMode.RUN))
        return config

    ConfigLoaderImpl.load_configuration = load_completed  # type: ignore[method-assign]


def failure_of(job: JobReturn) -> Any:
    """What a job that failed has raised, or a launcher says of it."""
    return job._return_value


def root_of(node: Container) -> Any:
    """The whole config that a node is in."""
    return node._get_root()


def unknown_group(error: HydraException) -> str | None:
    """The group that an override names and that there is not."""
    found = re.match(r"Could not override '([^'@]+)[^']*'\. No match", str(error))
    return None if found is None else found[1]


def several_values(error: HydraException) -> tuple[str, str] | None:
    """Key and values of an override with several values where one is wanted."""
    found = re.match(r"Ambiguous value for argument '([^=]+)=(.*)'\n", str(error))
    return None if found is None else (found[1], found[2])


def is_about_options(error: BaseException) -> bool:
    """Whether options of Hydra's exclude one another."""
    return isinstance(error, ValueError) and str(error).startswith("Only one of --")


def is_no_option(error: BaseException) -> bool:
    """Whether a group's option is given as something else than text."""
    return isinstance(error, ValueError) and str(error).startswith("Config group override must be")


def without_search_path(error: MissingConfigException) -> str:
    """The message without the places that were searched."""
    return str(error).partition("Config search path")[0]


def instantiation_failure(error: InstantiationException) -> tuple[str, str, str]:
    """The target of the node that failed, its key in what was instantiated, and the message without that key."""
    message, _, key = str(error).partition("\nfull_key: ")
    target = re.search(r"target '([^']+)'", message)
    return target[1] if target else "", key.strip(), message


def written_at(node: DictConfig) -> str:
    """The key of a node in its whole config: of one that was reached by an interpolation, where that leads."""
    return node._get_full_key(None)
