"""From a composed config to its betons: what each is made from, and making it. For `convert.py` and for training."""

import logging
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from pkgutil import resolve_name
from typing import TYPE_CHECKING, Any

from hydra.errors import InstantiationException
from hydra.utils import instantiate

from ffcv_hydra.beton_path import beton_exists
from ffcv_hydra.building.instantiation import instantiate_at
from ffcv_hydra.errors import ConfigError, FFCVHydraError, SourceMissingError, root_cause, root_error
from ffcv_hydra.stages import STAGES
from ffcv_hydra.urls import is_url

if TYPE_CHECKING:
    from ffcv_hydra.beton import BetonSummary
    from ffcv_hydra.collection.sharing import WorkerSummary

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class BetonConfig:
    """One beton of a dataset's splits, as plain containers.

    Attributes:
        path: the file, or the folder of shards.
        key: the first split that names it, such as `dataset.splits.train`.
        source: the `_target_` node of the torch dataset; None if the beton comes from elsewhere.
        fields: options or a `_target_` by field name, or None.
        indices: which items are stored: None, a list, or a `_target_` node.
        description: what is stored in the beton and compared with later configs; None without a source.
    """

    path: Path
    key: str
    source: dict[str, Any] | None
    fields: dict[str, Any] | None
    indices: Any
    description: dict[str, Any] | None


@dataclass(frozen=True)
class SplitPart:
    """What one beton of a split is, as a config says it.

    Attributes:
        key: where that is.
        split: the mapping with `source`, `beton` and `indices`; of a mixture's member that is trained on, also `share`.
        fields: options or a `_target_` by field name, or None.
    """

    key: str
    split: Mapping[str, Any]
    fields: Mapping[str, Any] | None


def parts_of(dataset: Mapping[str, Any], stage: str) -> list[SplitPart]:
    """The betons of a dataset's split: one, one for each member of a mixture, or none if there is no such split."""
    split = dataset["splits"].get(stage)
    if split is None:
        return []
    if "members" not in split:
        return [SplitPart(f"dataset.splits.{stage}", split, dataset.get("fields"))]
    return [
        SplitPart(f"dataset.members.{name}.splits.{stage}", part, part["fields"])
        for name, part in split["members"].items()
    ]


def distinct_betons(config: Mapping[str, Any], stages: Iterable[str] = STAGES) -> list[BetonConfig]:
    """The betons that the splits of `stages` read, each once, in the order of the stages; those at URLs are made.

    Args:
        config: a resolved config with `data_dir`, `dataset` and `conversion`.

    Raises:
        ConfigError: two splits name one beton and make it from different sources.
    """
    betons: dict[Path, BetonConfig] = {}
    for stage in stages:
        for part in parts_of(config["dataset"], stage):
            if is_url(part.split["beton"]):
                continue
            beton = _beton_config(config, part)
            known = betons.setdefault(beton.path, beton)
            if known.description != beton.description:
                raise ConfigError(
                    f"{known.key} and {beton.key} both name {beton.path} but have different sources;"
                    f" give one of them another beton, or both the same source"
                )
    return list(betons.values())


def build_dataset(source: Mapping[str, Any]) -> Any:
    """The torch dataset that a source's node names; raises what its constructor raises."""
    return instantiate(source, _convert_="all")


def build_to_look(source: Mapping[str, Any], beton: Path | None = None) -> Any:
    """The same; one that downloads what is missing does not do that in order to be looked at.

    Args:
        source: the node.
        beton: the file that was made from it.

    Raises:
        SourceMissingError: what it is made from is not on this machine: a package, a file, a folder, a download.
        Exception: what else its constructor raises.
    """
    downloads = source.get("download") is True
    try:
        return build_dataset({**source, "download": False} if downloads else source)
    except Exception as error:
        if downloads or _is_of_missing(root_error(error), source, beton):
            raise SourceMissingError(root_cause(error)) from error
        raise


def _is_of_missing(error: BaseException, source: Mapping[str, Any], beton: Path | None) -> bool:
    """Whether an error says that a source is not here, rather than that it is not what it was.

    Our own errors tell. A file that is missing belongs to a source that is here if it is below one of the arguments;
    not if the beton is there as well, as in a folder for all data.
    """
    if isinstance(error, FFCVHydraError) or not isinstance(error, OSError):
        return isinstance(error, (SourceMissingError, ImportError))
    given = [os.path.expanduser(value) for value in source.values() if isinstance(value, str)]
    here = [Path(os.path.abspath(path)) for path in given if os.path.exists(path)]
    here = [path for path in here if beton is None or not Path(os.path.abspath(beton)).is_relative_to(path)]
    if isinstance(error.filename, str):
        return not any(Path(os.path.abspath(error.filename)).is_relative_to(path) for path in here)
    return not here or not isinstance(error, FileNotFoundError)


def dataset_class(source: Mapping[str, Any] | None) -> Any:
    """The class, or the function, that a source's node names; None if there is none, or none that can be imported."""
    try:
        return source and resolve_name(source["_target_"])
    except Exception:  # whatever a module raises
        return None


def convert_beton(
    beton: BetonConfig,
    conversion: Mapping[str, Any],
    earlier: Mapping[str, Path] | None = None,
    classes: Callable[[], list[str]] = list,
) -> "BetonSummary | WorkerSummary | None":
    """Write a beton, or a worker's part of it, as the config's `conversion` section says; None if one was kept.

    Args:
        beton: the beton.
        conversion: the section.
        earlier: by `_target_`, a beton beside this one that an earlier version of this package made.
        classes: the names of the dataset's classes that have numbers already, asked for when the dataset is built.

    Raises:
        ConfigError: it is missing and there is no source to make it from, or the source cannot be built.
        BetonError: it exists and was made from another configuration, or `if_exists` is `error`.
        ConversionError: the dataset cannot be stored.
    """
    from ffcv_hydra.beton.manifest import Manifest
    from ffcv_hydra.beton.writing.source_manifest import keep_classes
    from ffcv_hydra.conversion import convert

    if beton.source is None:
        if not beton_exists(beton.path):
            raise ConfigError(f"{beton.key}: there is no {beton.path}, and no source to make it from; give one of them")
        return None
    source = beton.source

    def build() -> Any:
        log.info("converting %s into %s", source["_target_"], beton.path)
        try:
            dataset = instantiate_at(f"{beton.key}.source", source)
        except InstantiationException as error:
            if isinstance(error.__cause__, FFCVHydraError):
                raise ConfigError(f"{beton.key}: {error.__cause__}") from error
            raise
        keep_classes(dataset, Manifest(classes=classes()))
        other = (earlier or {}).get(source["_target_"])
        if other is not None and getattr(dataset, "is_drawn", False):
            raise ConfigError(
                f"{other} was made by an earlier version, which drew splits by another rule: {beton.path} would hold"
                f" some of its images; convert both anew by conversion.if_exists=overwrite"
            )
        return dataset

    options = {name: value for name, value in conversion.items() if name not in ("indices", "if_source_changed")}
    return convert(
        build,
        beton.path,
        None if beton.fields is None else {name: _field(field) for name, field in beton.fields.items()},
        indices=instantiate(beton.indices, _convert_="all"),
        description=beton.description,
        **options,
    )


def _beton_config(config: Mapping[str, Any], part: SplitPart) -> BetonConfig:
    source, indices = part.split.get("source"), config["conversion"]["indices"]
    fields = None if part.fields is None else {name: _without_nulls(field) for name, field in part.fields.items()}
    description = None
    if source is not None:
        made_from = {"source": source, "fields": fields, "indices": indices}
        if config["conversion"].get("shuffle_indices"):  # else as it was before this was told
            made_from["shuffle_indices"] = True
        # A folder that holds both the betons and the data they are made from may be moved.
        description = _relocatable(made_from, str(config["data_dir"]))
    return BetonConfig(Path(part.split["beton"]), part.key, source, fields, indices, description)


def _without_nulls(field: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """A null option is the field's default; without it, a description stays true when more options are listed."""
    return None if field is None else {name: value for name, value in field.items() if value is not None}


def _field(options: Mapping[str, Any] | None) -> Any:
    return instantiate(options, _convert_="all") if options and "_target_" in options else options or None


def build_described(description: Mapping[str, Any], data_dir: Path) -> tuple[Any, dict[str, Any] | None]:
    """The dataset that a beton's description names, and its fields.

    Raises:
        ConfigError: it cannot be built here.
    """
    node, fields = description["source"], description.get("fields")
    try:
        dataset = build_to_look(_located(node, str(data_dir)))
    except Exception as error:
        raise ConfigError(f"the source {node['_target_']} cannot be looked at: {root_cause(error)}") from error
    return dataset, None if fields is None else {name: _field(field) for name, field in fields.items()}


def _located(value: Any, data_dir: str) -> Any:
    if isinstance(value, Mapping):
        return {name: _located(item, data_dir) for name, item in value.items()}
    if isinstance(value, list):
        return [_located(item, data_dir) for item in value]
    return value.replace("${data_dir}", data_dir, 1) if isinstance(value, str) else value


def _relocatable(value: Any, data_dir: str) -> Any:
    if isinstance(value, Mapping):
        return {name: _relocatable(item, data_dir) for name, item in value.items()}
    if isinstance(value, list):
        return [_relocatable(item, data_dir) for item in value]
    if isinstance(value, str) and (value == data_dir or value.startswith(f"{data_dir}/")):
        return "${data_dir}" + value[len(data_dir) :]
    return value
