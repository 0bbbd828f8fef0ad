"""A beton's samples as files: pictures as they are stored, and a table of the rest."""

from __future__ import annotations

import base64
import csv
import io
import json
import os
import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib.format import dtype_to_descr, write_array_header_2_0
from PIL import Image

from ffcv_hydra.beton.fields.array_fields import NDArrayField
from ffcv_hydra.beton.fields.base import Field
from ffcv_hydra.beton.fields.bytes_fields import JSONField
from ffcv_hydra.beton.fields.image_array_field import ImageArrayField
from ffcv_hydra.beton.fields.image_encoding import JPEG
from ffcv_hydra.beton.fields.image_fields import RUNS, OwnImageField, is_image
from ffcv_hydra.beton.fields.ragged_field import RaggedArrayField
from ffcv_hydra.beton.fields.scalar_fields import IntField
from ffcv_hydra.beton.fields.text_field import TextField
from ffcv_hydra.beton.writing.stored_value import StoredValue
from ffcv_hydra.collection.paths import absolute
from ffcv_hydra.collection.stored_samples import StoredSamples
from ffcv_hydra.errors import BetonError, WriteError
from ffcv_hydra.kernels.memory.mask_codec import decode_whole_mask

TABLE = "table.csv"
_MOST_CHARACTERS = 100  # of a file's name, which a class and an id may make longer


@dataclass(frozen=True)
class Unpacked:
    """What was written.

    Attributes:
        num_samples: How many there are.
        pictures: The folder of each picture field, relative to the whole; `.` if there is one such field.
        arrays: The files of arrays, in the order of the samples.
        num_classes: Folders that the pictures are in; None if no classes are known.
    """

    num_samples: int
    pictures: tuple[str, ...]
    arrays: tuple[str, ...]
    num_classes: int | None


def unpack(
    path: str | os.PathLike[str],
    folder: str | os.PathLike[str],
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Unpacked:
    """Write a beton's samples as files.

    Pictures are `CLASS/NAME.jpg` with the JPEG's bytes as they are stored, or `CLASS/NAME.png` with the pixels; below a
    folder `FIELD` each, if there are several fields of them. The folder of a class is there if the manifest names
    classes. A sample has the name that it has in the manifest, or its id. `table.csv` has a row for each: its id, its
    name, where its pictures are, its numbers and texts; JSON and arrays of several lengths as JSON, bytes in base64.
    Arrays of one shape are `FIELD.npy`, (num_samples, ...); bfloat16 by its bits, as int16.

    Args:
        path: A beton, a file or a sharded one.
        folder: A new folder, or an empty one; it is filled when all is written.
        progress: Called with the number of samples that are written, and of all.

    Raises:
        BetonError: if the beton cannot be used, or the folder is not empty.
        ConversionError: if a sample is damaged.
        WriteError: if a file cannot be written.
    """
    target = absolute(folder)
    if target.exists() and not (target.is_dir() and not any(target.iterdir())):
        raise BetonError(f"{target} is not empty; choose another folder, or empty it")
    samples = StoredSamples([path])
    with _filled(target) as unfinished:
        return _Unpacking(samples, unfinished).write(progress)


@contextmanager
def _filled(target: Path) -> Iterator[Path]:
    """A folder beside `target` to be filled, which then takes its place; it is removed if that fails."""
    unfinished = target.with_name(f"{target.name}.unpacking")
    try:
        unfinished.mkdir(parents=True)
    except FileExistsError as error:
        raise BetonError(f"{unfinished} is there: another one unpacks, or was killed; remove it then") from error
    except OSError as error:
        raise WriteError(f"{unfinished} cannot be made: {error.strerror}") from error
    try:
        yield unfinished
        os.replace(unfinished, target)
    except BaseException as error:
        shutil.rmtree(unfinished, ignore_errors=True)
        if isinstance(error, OSError):
            raise WriteError(f"{error.filename or target} cannot be written: {error.strerror}") from error
        raise


class _Unpacking:
    def __init__(self, samples: StoredSamples, folder: Path) -> None:
        self._samples, self._folder = samples, folder
        fields = samples.fields
        self._pictures = [name for name, field in fields.items() if is_image(field)]
        self._arrays = {name: field for name, field in fields.items() if isinstance(field, NDArrayField)}
        manifest = samples.whole_manifest()
        self._names = manifest.sample_names(len(samples)) if manifest and manifest.names else None
        self._classes = _folders((manifest.classes if manifest else None) or [])
        numbers = [name for name, field in fields.items() if isinstance(field, IntField)]
        self._label = "label" if "label" in numbers else numbers[0] if len(numbers) == 1 else None
        self._taken: set[str] = set()
        self._folders: set[str] = set()

    def write(self, progress: Callable[[int, int], None]) -> Unpacked:
        total = len(self._samples)
        columns = [name for name in self._samples.fields if name not in self._arrays]
        with ExitStack() as stack:
            arrays = {name: stack.enter_context(open(self._folder / f"{name}.npy", "wb")) for name in self._arrays}
            for name, field in self._arrays.items():
                described = {"descr": dtype_to_descr(field.dtype), "fortran_order": False}
                write_array_header_2_0(arrays[name], {**described, "shape": (total, *field.shape)})
            path = self._folder / TABLE
            table = csv.writer(
                stack.enter_context(path.open("w", newline="", encoding="utf-8", errors="surrogateescape"))
            )
            table.writerow(["id", *["name"] * (self._names is not None), *columns])
            for sample in range(total):
                values = dict(zip(self._samples.fields, self._samples[sample], strict=True))
                for name, array in arrays.items():
                    array.write(values[name].data or b"")
                place = self._place(sample, values) if self._pictures else Path()
                cells = [self._cell(name, values[name], place) for name in columns]
                table.writerow([sample, *([self._names[sample]] if self._names else []), *cells])
                progress(sample + 1, total)
        folders = tuple(self._pictures) if len(self._pictures) > 1 else (".",) * len(self._pictures)
        return Unpacked(total, folders, tuple(f"{name}.npy" for name in arrays), len(self._folders) or None)

    def _place(self, sample: int, values: dict[str, StoredValue]) -> Path:
        """The path of a sample's pictures, without field and suffix; no other sample's in whatever case of letters."""
        label = -1 if self._label is None else int(values[self._label].metadata[0])
        folder = self._classes[label] if 0 <= label < len(self._classes) else ""
        self._folders |= {folder} - {""}
        if self._names is None:
            name = f"{sample:0{len(str(len(self._samples) - 1))}}"
        else:
            name = _safe(os.path.splitext(self._names[sample].replace("\\", "/").rpartition("/")[2])[0])
        place = f"{folder}/{name}".lstrip("/")
        while place.lower() in self._taken:
            place = f"{place}-{sample}"
        self._taken.add(place.lower())
        return Path(place)

    def _cell(self, name: str, value: StoredValue, place: Path) -> Any:
        if name not in self._pictures:
            return _text(self._samples.fields[name], value)
        suffix, content = _picture(self._samples.fields[name], value)
        path = Path(name if len(self._pictures) > 1 else "", f"{place}{suffix}")
        (self._folder / path).parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, bytes):
            (self._folder / path).write_bytes(content)
        else:
            content.save(self._folder / path)
        return str(path)


def _picture(field: Field, value: StoredValue) -> tuple[str, bytes | Image.Image]:
    """A picture's suffix, and its file or its pixels."""
    if isinstance(field, ImageArrayField):
        return ".npy", _npy(field, value)
    metadata, data = value.metadata[0], value.data or b""
    if metadata["mode"] == JPEG:
        return ".jpg", data
    height, width = int(metadata["height"]), int(metadata["width"])
    if metadata["mode"] == RUNS:
        pixels = np.empty(height * width, dtype=np.uint8)
        if not decode_whole_mask(np.frombuffer(data, dtype=np.uint8), pixels):
            raise BetonError("a mask is damaged; python -m ffcv_hydra verify --decode says which one")
        return ".png", Image.fromarray(pixels.reshape(height, width))
    dtype = field.dtype if isinstance(field, OwnImageField) else np.dtype(np.uint8)
    shape = (height, width) if isinstance(field, OwnImageField) else (height, width, 3)
    return ".png", Image.fromarray(np.frombuffer(data, dtype=dtype).reshape(shape))


def _npy(field: ImageArrayField, value: StoredValue) -> bytes:
    metadata, file = value.metadata[0], io.BytesIO()
    try:
        image = field.whole(np.frombuffer(value.data or b"", np.uint8), int(metadata["height"]), int(metadata["width"]))
    except ValueError as error:
        what = "python -m ffcv_hydra verify --decode says which one"
        raise BetonError(f"an image is damaged: {error}; {what}") from error
    np.save(file, image)
    return file.getvalue()


def _text(field: Field, value: StoredValue) -> Any:
    """What the table says of a value that is no picture and no array of one shape."""
    data = value.data
    if data is None:
        return value.metadata[0].item()
    if isinstance(field, TextField):
        return data.decode(errors="surrogateescape")
    if isinstance(field, JSONField):
        return data.split(b"\0", 1)[0].decode(errors="surrogateescape")
    if isinstance(field, RaggedArrayField):
        return json.dumps(np.frombuffer(data, dtype=field.dtype).reshape(-1, *field.item_shape).tolist())
    return base64.b64encode(data).decode()


def _safe(name: str) -> str:
    """The name with nothing in it that a file's name may not have."""
    return re.sub(r"[^\w ()+,=@.-]", "_", name)[:_MOST_CHARACTERS].strip(" .") or "_"


def _folders(classes: Sequence[str]) -> list[str]:
    """A folder's name for each class."""
    found: list[str] = []
    for number, name in enumerate(map(_safe, classes)):
        is_taken = name.lower() in map(str.lower, found)
        found.append(f"{name}-{number}" if is_taken else name)
    return found
