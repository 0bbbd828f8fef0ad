"""What a beton, one file or sharded, says of itself."""

from __future__ import annotations

import logging
import os
from bisect import bisect_right
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path

from ffcv_hydra.beton.appendix import Appendix
from ffcv_hydra.beton.manifest import Manifest, decode
from ffcv_hydra.beton.reading import reader
from ffcv_hydra.beton.reading.source_names import SourceNames
from ffcv_hydra.beton_path import is_sharded
from ffcv_hydra.collection.index import Index, read_index
from ffcv_hydra.errors import BetonError

logger = logging.getLogger(__name__)


def read_facts(path: str | os.PathLike[str]) -> Appendix | Index | None:
    """What the beton at `path` was made from (`description`, `fingerprint`); None in files of stock FFCV.

    Raises:
        BetonError: if it is missing, is no beton, or is visibly damaged.
    """
    return read_index(path) if is_sharded(path) else reader.read_appendix(path)


def read_manifest(path: str | os.PathLike[str], index: Index | None = None) -> Manifest | None:
    """How the source of the beton at `path` looked when it was converted; None if it does not say.

    Of a folder, when `index` was written; None: the one that is there.

    Raises:
        BetonError: as `read_facts`, and if the manifest is missing or damaged.
    """
    if not is_sharded(path):
        return reader.read_manifest(path)
    name, file = _manifest_file(path, index or read_index(path))
    try:
        return decode(file.read_bytes()) if name else None
    except OSError as error:
        raise BetonError(f"{file}: cannot be read: {error.strerror or error}; restore it, or convert again") from error
    except BetonError as error:
        raise BetonError(f"{file}: {error}") from error


def read_names(path: Path, num_samples: int, index: Index | None = None) -> SourceNames | None:
    """What the source of the beton at `path` calls its items and classes; arguments and errors as `read_manifest`."""
    if not is_sharded(path):
        return reader.read_names(path, num_samples)
    name, file = _manifest_file(path, index or read_index(path))
    try:
        return SourceNames(file, 0, file.stat().st_size, num_samples) if name else None
    except OSError as error:
        raise BetonError(f"{file}: cannot be read: {error.strerror or error}; restore it, or convert again") from error


class JoinedNames:
    """The names of several betons, as `SourceNames`: those of each are read when they are asked for.

    Args:
        spans: the ids of the samples at each path.
    """

    def __init__(self, spans: Mapping[Path, range]) -> None:
        self._names = {path: read_names(path, len(span)) for path, span in spans.items()}
        self._starts = [span.start for span in spans.values()]

    @cached_property
    def classes(self) -> tuple[str, ...] | None:
        """The classes' names by number; None if a member does not name them, or two name one number differently."""
        try:
            classes, says = joined_classes(self._names)
        except BetonError as error:
            logger.warning("%s: no names of classes are shown", str(error).partition(";")[0])
            return None
        return tuple(classes) if says else None

    def sample_name(self, sample: int) -> str | None:
        """As `SourceNames.sample_name`."""
        number = max(bisect_right(self._starts, sample) - 1, 0)
        names = list(self._names.values())[number]
        return names.sample_name(sample - self._starts[number]) if names else None


def joined_manifest(members: Mapping[Path, int]) -> Manifest | None:
    """What can be told of several betons' sources: samples' names and classes, as far as all members say them.

    A sample has the name that it has in its member, so that a split by names puts it where it was. Where two have one
    name none has.

    Args:
        members: the number of samples at each path.

    Raises:
        BetonError: where one number of a class has two names.
    """
    manifests = {path: read_manifest(path) for path in members}
    classes, says_classes = joined_classes(manifests)
    if classes and not says_classes:
        silent = " and ".join(str(path) for path, one in manifests.items() if one is None or one.classes is None)
        logger.warning("%s: names no classes: its numbers count as the others' do, and the whole names none", silent)
    names: list[str] = []
    for path, manifest in manifests.items():
        names += [] if manifest is None or manifest.names is None else manifest.sample_names(members[path])
    has_names = len(set(names)) == sum(members.values())
    if not has_names and len(names) == sum(members.values()):
        logger.warning("samples of %s have one name: splits go by their places", " and ".join(map(str, members)))
    if not has_names and not says_classes:
        return None
    return Manifest(
        names=names if has_names else None,
        num_items=sum(members.values()),
        classes=classes if says_classes else None,
        kind="samples",
    )


def joined_classes(manifests: Mapping[Path, Manifest | SourceNames | None]) -> tuple[list[str], bool]:
    """The classes of all, and whether all say theirs."""
    classes: list[str] = []
    origin, says = None, True
    for path, manifest in manifests.items():
        names = [] if manifest is None or manifest.classes is None else list(manifest.classes)
        says = says and manifest is not None and manifest.classes is not None
        for number, (known, name) in enumerate(zip(classes, names, strict=False)):
            if known != name:
                raise BetonError(f"{path}: class {number} is {name!r}, and in {origin} {known!r}; convert one anew")
        if len(names) > len(classes):
            classes, origin = names, path
    return classes, says


def _manifest_file(path: str | os.PathLike[str], index: Index) -> tuple[str, Path]:
    return index.manifest, Path(os.path.expanduser(path)) / index.manifest
