"""Keys at the wrong level: where any key may stand for others to refer to, those that nothing refers to."""

import re
from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import OmegaConf
from pydantic import ValidationError

from ffcv_hydra.building.targets import accepted_keys
from ffcv_hydra.cli.schema import Dataset, Pipeline, RunConfig
from ffcv_hydra.cli.sections import Section
from ffcv_hydra.errors import ConfigError
from ffcv_hydra.loader_options import STAGE_OPTIONS
from ffcv_hydra.stages import STAGES

_SECTIONS = ("loader.", "trainer.", "model.", "conversion.")  # whose keys are meant; `name` of a logger is no such one
_LABELS = {"name", "version", "project", "tags"}  # of any record
_COMPUTED = re.compile(r"\$\{[^}]*[.{\[]\$\{")  # ${dataset.${which}}, which may read any key


def check_free_keys(config: Any) -> None:
    """Refuse a free key that would change nothing and is one of another section.

    Args:
        config: composed, as plain containers whose interpolations are not resolved.

    Raises:
        ConfigError: names the key, and where it belongs.
    """
    for key, meant in misplaced(config):
        raise ConfigError(f"nothing reads '{key}': did you mean '{meant}'?")


def misplaced(config: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Each such key, with the one that was meant. One with the value of that one may be a YAML anchor, and is none."""
    texts = [text for text in (*_texts(config), *_texts(_of_hydra())) if "${" in text]
    if any(map(_COMPUTED.search, texts)):
        return
    read = {name for text in texts for name in re.findall(r"[\w.]+", text)}
    pipeline, dataset = (config.get(name) or {} for name in ("pipeline", "dataset"))
    for key in _free(pipeline, Pipeline):
        given = {stage: pipeline[stage][key] for stage in STAGES if key in (pipeline.get(stage) or ())}
        is_anchor = pipeline[key] not in (None, "disabled") and pipeline[key] in given.values()
        if (given or key in (dataset.get("fields") or ())) and not is_anchor and not _is_read(f"pipeline.{key}", read):
            yield f"pipeline.{key}", f"pipeline.{next(iter(given), STAGES[0])}.{key}"
    known = None
    for prefix, section, schema in (("", config, RunConfig), ("dataset.", dataset, Dataset)):
        for key in _free(section, schema):
            if key in _LABELS or isinstance(section[key], Mapping | list) or _is_read(prefix + key, read):
                continue
            known = known or dict(_keys(config))
            meant = next((one for one in known if _may_be_meant(one, prefix, key)), None)
            if meant is not None and section[key] != known[meant]:
                yield prefix + key, meant


def takes_key(schema: type[Section], config: Mapping[Any, Any], key: Sequence[str]) -> bool:
    """Whether a config, as plain containers that need not be resolved, may have one more key; given by its parts."""
    *parents, name = key
    changed = node = deepcopy(dict(config))
    for parent in parents:
        node = node[parent]
    accepted = accepted_keys(node) if "_target_" in node else None
    if accepted is not None:
        return name in accepted
    node[name] = None
    if any(".".join(key) == one for one, _ in misplaced(changed)):
        return False
    try:
        schema.model_validate(changed)
    except ValidationError as error:
        return all(found.get("ctx", {}).get("key") != name for found in error.errors())
    return True


def _free(section: Mapping[str, Any], schema: type[Section]) -> list[str]:
    return [key for key in section if key not in schema.model_fields]


def _may_be_meant(known: str, prefix: str, key: str) -> bool:
    return known.rpartition(".")[2] == key and known.startswith((*_SECTIONS, f"{prefix}source."))


def _of_hydra() -> Any:
    """Hydra's own part of the config, whose texts may read ours, as plain containers; its help is none of them."""
    own: Any = OmegaConf.to_container(HydraConfig.get()) if HydraConfig.initialized() else {}
    return {name: value for name, value in own.items() if name not in ("help", "hydra_help")}


def _is_read(key: str, read: set[str]) -> bool:
    """Whether a name of an interpolation, relative ones among them, is the key, or of what is in it or around it."""
    name = key.rpartition(".")[2]
    return any(
        f"{key}.".startswith(f"{one}.") or one.startswith(f"{key}.") or (one[:1] == "." and name in one.split("."))
        for one in read
    )


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping | list):
        for one in value.values() if isinstance(value, Mapping) else value:
            yield from _texts(one)


def _keys(config: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Keys with plain values, those of the loader first, whether they are set or not."""
    if "loader" in config:
        yield from ((f"loader.{name}", config["loader"].get(name)) for name in STAGE_OPTIONS)
    yield from _leaves(config)


def _leaves(node: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in node.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{prefix}{name}.")
        elif prefix:
            yield prefix + str(name), value
