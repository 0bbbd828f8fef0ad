"""What a beton's classes and samples are called, read from its manifest when it is asked for."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from pathlib import Path

from ffcv_hydra.beton.manifest import DAMAGED, decode
from ffcv_hydra.beton.packed_lists import MAGIC, PackedLists, of_bytes
from ffcv_hydra.beton.reading.opening import opened_file
from ffcv_hydra.errors import BetonError
from ffcv_hydra.printable import printable

_DAMAGES = (zlib.error, ValueError, TypeError, KeyError, IndexError, AttributeError)


class SourceNames:
    """The names in an encoded manifest; what is held does not grow with the number of samples.

    Of a manifest of an earlier version, which can be read as a whole only, the compressed bytes are held.

    Args:
        path: A file, which is opened for each look.
        begin, end: Where the manifest stands in it.
        num_samples: Of the beton.

    Attributes:
        classes: The classes' names by number; None if the source does not name them.

    Raises:
        BetonError: if the manifest is damaged or cannot be read, here and when a name is asked for.
    """

    def __init__(self, path: Path, begin: int, end: int, num_samples: int) -> None:
        self._path, self._begin, self._num_samples = path, begin, num_samples
        try:
            is_packed = self._read(0, len(MAGIC)) == MAGIC
            packed = PackedLists(self._read if is_packed else of_bytes(decode(self._read(0, end - begin)).encode()))
            classes = packed.values.get("classes")
            self.classes: tuple[str, ...] | None = None if classes is None else tuple(classes)
        except (*_DAMAGES, BetonError) as error:
            raise _damaged(path, error) from error
        self._packed, self._is_in_order = packed, "order" not in packed.lengths
        # those of a source whose items are no samples, such as shards, say nothing of samples
        num_names = packed.lengths.get("names")
        self._has_names = num_names is not None and (not self._is_in_order or num_names == num_samples)

    def sample_name(self, sample: int) -> str | None:
        """What the item is called that a sample was made from; None if the source does not name its items.

        Raises:
            IndexError: there is no such sample.
        """
        if not 0 <= sample < self._num_samples:
            raise IndexError(f"{self._path}: there is no sample {sample}; there are {self._num_samples:,}, from 0 on")
        if not self._has_names:
            return None
        try:
            item = sample if self._is_in_order else self._packed.entry("order", sample)
            return str(self._packed.entry("names", item))
        except (*_DAMAGES, BetonError) as error:
            raise _damaged(self._path, error) from error

    def _read(self, start: int, stop: int) -> bytes:
        with opened_file(self._path) as file:
            file.seek(self._begin + start)
            return file.read(stop - start)


def with_name(sample: int, name_of: Callable[[int], str | None]) -> str:
    """A sample for messages of what is wrong with it: its id, and its name where it has one, as `5 (dogs/6.jpg)`."""
    try:
        name = name_of(sample)
    except (BetonError, IndexError):  # what is told matters more
        name = None
    return f"{sample}" if name is None else f"{sample} ({printable(name)})".replace("\n", " ")


def _damaged(path: Path, error: Exception) -> BetonError:
    text = str(error) if isinstance(error, BetonError) else DAMAGED
    return BetonError(text if text.startswith(str(path)) else f"{path}: {text}")
