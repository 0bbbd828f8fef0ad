"""What `run.py` and `convert.py` do with their composed configs."""

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from ffcv_hydra.beton_path import beton_exists
from ffcv_hydra.cli import composition_errors
from ffcv_hydra.cli.entry import execute
from ffcv_hydra.cli.resolvers import absolute_path, run_dir
from ffcv_hydra.errors import ConfigError
from ffcv_hydra.imports import without_collecting
from ffcv_hydra.stages import STAGES


def run(config_dir: str | os.PathLike[str] | None = None) -> None:
    """Train, evaluate or predict, as the command line says.

    Args:
        config_dir: a folder of configs beside the shipped ones, if the command line names none.
    """
    execute(_run, "run", config_dir=config_dir, fresh_processes=True)


def convert(config_dir: str | os.PathLike[str] | None = None) -> None:
    """Write the betons of a dataset's splits, as the command line says; `config_dir` as for `run`."""
    execute(_convert, "convert", config_dir=config_dir)


# Heavy modules are imported when a task starts, so that --help, --cfg and shell completion stay fast.


def _run(config: DictConfig) -> Any:
    with _interrupts_end_at_once():
        resolved = checked_run_config(config)
        with without_collecting():
            from ffcv_hydra.training import train

    return train(resolved, HydraConfig.get().runtime.output_dir)


@contextmanager
def _interrupts_end_at_once() -> Iterator[None]:
    """Let SIGINT end the process while libraries are imported.

    Python would raise a `KeyboardInterrupt`, and one that is raised in a library's callback is printed and forgotten.
    """
    before = signal.getsignal(signal.SIGINT)
    is_default = before is signal.default_int_handler and threading.current_thread() is threading.main_thread()
    if is_default:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        yield
    finally:
        if is_default:
            signal.signal(signal.SIGINT, before)


def _convert(config: DictConfig) -> None:
    resolved = checked_convert_config(config)
    from ffcv_hydra.beton import BetonSummary, print_summary
    from ffcv_hydra.building.preparation import convert_betons

    if_exists = resolved["conversion"]["if_exists"]
    try:
        for beton, summary in convert_betons(resolved):
            if summary is None and if_exists == "append" and beton.source is not None:
                print(f"{beton.path}: nothing new in its source")
            elif summary is None:
                print(f"{beton.path} exists and was kept; conversion.if_exists=overwrite makes it anew")
            elif isinstance(summary, BetonSummary):
                print_summary(summary)
            else:
                print(summary)
    except KeyboardInterrupt:
        goes_on = "what was finished is kept, and the same command goes on from there"
        print(
            f"interrupted; {'the same command begins anew' if if_exists == 'overwrite' else goes_on}", file=sys.stderr
        )
        raise


def checked_convert_config(config: DictConfig) -> dict[str, Any]:
    """The same of the composed config of `convert.py`."""
    from ffcv_hydra.building.targets import check_targets
    from ffcv_hydra.cli.free_keys import check_free_keys
    from ffcv_hydra.cli.schema import ConvertConfig, check

    check_free_keys(OmegaConf.to_container(config))
    resolved = resolve(config)
    check(ConvertConfig, resolved)
    check_targets(resolved["dataset"], "dataset", _made_sources(resolved))
    check_targets(resolved["conversion"], "conversion")
    return resolved


def checked_run_config(config: DictConfig) -> dict[str, Any]:
    """The composed config of `run.py` as plain containers, compared with its schema and with what its targets take.

    Raises:
        ConfigError: naming the key that is wrong.
    """
    from ffcv_hydra.building.targets import check_targets
    from ffcv_hydra.cli.free_keys import check_free_keys
    from ffcv_hydra.cli.schema import RunConfig, check, check_trainer

    check_free_keys(OmegaConf.to_container(config))
    resolved = resolve(config)
    check(RunConfig, resolved)
    check_targets(resolved, may_be_absent=_made_sources(resolved))
    check_trainer(resolved["trainer"])
    if (given := resolved["trainer"].setdefault("default_root_dir", run_dir())) != run_dir():
        raise ConfigError(f"trainer.default_root_dir={given}: a run's folder is chosen by hydra.run.dir=PATH")
    return resolved


def _made_sources(config: dict[str, Any]) -> set[str]:
    """The datasets all of whose betons are there: a machine that has only these needs no more."""
    from ffcv_hydra.building.conversion_config import parts_of

    splits = [part.split for stage in STAGES for part in parts_of(config["dataset"], stage) if part.split.get("source")]
    missing = {split["source"]["_target_"] for split in splits if not beton_exists(split["beton"])}
    return {split["source"]["_target_"] for split in splits} - missing


def missing_keys(container: Any, key: str = "") -> Iterator[str]:
    """Keys of an unresolved container whose value is `???`."""
    if container == "???":
        yield key
    elif isinstance(container, dict):
        for name, value in container.items():
            yield from missing_keys(value, f"{key}.{name}" if key else str(name))


def resolve(config: DictConfig) -> dict[str, Any]:
    """The config as plain containers, without interpolations; `data_dir` made absolute.

    Lists of operations that stand in lists, as `${pipeline.to_tensor}` does, are part of these then.

    Raises:
        ConfigError: a mandatory value is missing, or an interpolation leads nowhere.
    """
    unset = next(missing_keys(OmegaConf.to_container(config)), None)
    if unset is not None:
        raise ConfigError(f"{unset} has no value; add {unset}=VALUE to the command line")
    try:
        config.data_dir = absolute_path(config.data_dir)
        resolved = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
    except OmegaConfBaseException as error:
        raise ConfigError(composition_errors.explain(error)) from error
    assert isinstance(resolved, dict)
    return {str(key): _flat(value) if key == "pipeline" else value for key, value in resolved.items()}


def _flat(pipelines: Any) -> Any:
    """`pipelines` with the operations of each list that stands in a list of them, in its place.

    What an operation is given as an argument stays as it is.
    """
    if isinstance(pipelines, dict) and "_target_" not in pipelines:
        return {name: _flat(value) for name, value in pipelines.items()}
    if not isinstance(pipelines, list):
        return pipelines
    is_spliced = [isinstance(item, list) and all(isinstance(node, dict) for node in item) for item in pipelines]
    parts = (item if spliced else [item] for item, spliced in zip(pipelines, is_spliced, strict=True))
    return [node for part in parts for node in part]
