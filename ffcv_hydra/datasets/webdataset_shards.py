"""Samples in tar files, as WebDataset has them: files of one name and different extensions are one sample."""

from __future__ import annotations

import glob
import io
import json
import os
import re
import tarfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from ffcv_hydra.datasets.image_suffixes import image_suffixes
from ffcv_hydra.errors import ConfigError, ConversionError, SourceMissingError, describe_error

if TYPE_CHECKING:
    from ffcv_hydra.beton import Manifest

NUMBERS = frozenset({"cls", "cls2", "id", "index", "count"})
RANGE = re.compile(r"\{(\d+)\.\.(\d+)\}")


class WebDatasetShards:
    """Reads shards from beginning to end, each on its own; has no length.

    A file in a shard is decoded by its extension, all behind the first dot of its name: what Pillow reads (`jpg`,
    `png`, ...) into a PIL image that is opened but not decoded, `cls`, `id`, `index` and `count` into an int, `json`
    into what it holds, `npy` into an array; everything else, `txt` included, into the bytes, a 1-D uint8 array.

    Args:
        shards: Tar files, which may be compressed: a pattern (`data/train-*.tar`), a range
            (`data/train-{0000..0099}.tar`), or a list of these. They are read in the order given, those of one pattern
            by name.
        items: Per entry of the tuple its extension, or several with `;` between them, such as `jpg;png`: the first that
            a sample has counts.

    Attributes:
        shard_names: Paths of the shards.

    Raises:
        ConfigError: if there are no such files, or no items are named.
    """

    def __init__(self, shards: str | Sequence[str], items: Sequence[str] = ("jpg;jpeg;png;webp", "cls")) -> None:
        if isinstance(items, str) or not items:
            raise ConfigError(f"items={items!r}: list the extension of each item, such as ['jpg;png', 'cls']")
        self.items = [[choice.strip().lower() for choice in item.split(";")] for item in items]
        patterns = [shards] if isinstance(shards, (str, Path)) else shards
        found = [(path, sorted(glob.glob(path, recursive=True))) for path in _without_ranges(patterns)]
        if lacking := [path for path, names in found if not names]:
            kind = SourceMissingError if len(lacking) == len(found) else ConfigError
            raise kind(f"shards: there is no file {lacking[0]}; give a path, or a pattern such as train-*.tar")
        self.shard_names = [name for _, names in found for name in names]

    def read_shard(self, number: int) -> Iterator[tuple[Any, ...]]:
        """The samples of one shard as tuples, in the order of the tar file.

        Raises:
            ConversionError: if a sample lacks an item or one cannot be decoded (names its key), or the file was cut.
        """
        for key, files in _read_samples(self.shard_names[number]):
            yield tuple(self._item(key, files, choices) for choices in self.items)

    def manifest(self) -> Manifest:
        """The shards' names, below the folder that they have in common, and their sizes."""
        from ffcv_hydra.beton import Manifest

        paths = [os.path.abspath(path) for path in self.shard_names]
        folder = os.path.commonpath([os.path.dirname(path) for path in paths])
        sizes = [os.stat(path).st_size for path in paths]
        return Manifest([os.path.relpath(path, folder) for path in paths], sizes, kind="shards")

    def _item(self, key: str, files: dict[str, bytes], choices: list[str]) -> Any:
        found = next((choice for choice in choices if choice in files), None)
        if found is None:
            raise ConversionError(f"key {key!r} has no {' or '.join(choices)}, only {', '.join(files)}; correct items")
        try:
            return _decode(found, files[found])
        except Exception as error:
            raise ConversionError(
                f"key {key!r}: cannot decode its {found}: {describe_error(error)}; repair it"
            ) from error


def _without_ranges(patterns: Iterable[str]) -> Iterator[str]:
    for pattern in map(os.path.expanduser, patterns):
        numbers = RANGE.search(pattern)
        if numbers is None:
            yield pattern
            continue
        first, last = numbers.groups()
        names = [str(number).zfill(len(first)) for number in range(int(first), int(last) + 1)]
        if not names:
            raise ConfigError(f"shards: {{{first}..{last}}} holds no number; give the smaller one first")
        yield from _without_ranges(pattern[: numbers.start()] + name + pattern[numbers.end() :] for name in names)


def _read_samples(path: str) -> Iterator[tuple[str, dict[str, bytes]]]:
    """The key and the files by extension of each sample: of each run of files that have the same key."""
    key = ""
    files: dict[str, bytes] = {}
    with tarfile.open(path, "r|*") as tar:
        for member in tar:
            folder, _, name = member.name.rpartition("/")
            base, _, extension = name.partition(".")
            content = tar.extractfile(member) if member.isfile() and base and extension else None
            if content is None:
                continue
            if files and key != f"{folder}/{base}":
                yield key.lstrip("./"), files
                files = {}
            key = f"{folder}/{base}"
            files[extension.lower()] = content.read()
        # tarfile takes a file that ends at a header, or within one, for a whole one.
        if tar.fileobj is None or tar.fileobj.tell() - tar.offset != tarfile.BLOCKSIZE:
            raise ConversionError(f"the tar file ends without its end mark after {key.lstrip('./')!r}; fetch it again")
    if files:
        yield key.lstrip("./"), files


def _decode(extension: str, content: bytes) -> Any:
    kind = extension.rpartition(".")[2]
    if f".{kind}" in image_suffixes():
        return Image.open(io.BytesIO(content))
    if kind in NUMBERS:
        return int(content)
    if kind == "json":
        return json.loads(content)
    if kind == "npy":
        return np.load(io.BytesIO(content), allow_pickle=False)
    return np.frombuffer(content, dtype=np.uint8)
