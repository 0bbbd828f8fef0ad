"""The manifest of a dataset: its own, or what can be told of it by its length and a look at a few items."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Mapping
from contextlib import suppress
from importlib import metadata
from typing import Any

import llvmlite.binding
import numpy as np
from PIL import Image

from ffcv_hydra.beton.fields.source_image import is_undecoded, read_file
from ffcv_hydra.beton.manifest import Manifest
from ffcv_hydra.beton.writing.isolated import Send, run_isolated
from ffcv_hydra.beton.writing.seeding import load_torch_for, seed_all
from ffcv_hydra.beton.writing.source import is_iterable_only
from ffcv_hydra.errors import BetonError, describe_error
from ffcv_hydra.loaded_torch import bytes_of, is_tensor

LOOKED_AT = 5  # items whose hash is kept
LOOK_SECONDS = 10.0

logger = logging.getLogger(__name__)


def is_constant(dataset: Any) -> bool:
    """Whether a dataset, or a class of datasets, says that its items follow from its arguments alone."""
    return getattr(dataset, "is_constant", False) is True


def keep_classes(dataset: Any, stored: Manifest | None) -> None:
    """Let a dataset number its classes as a manifest does, and others after them, if it can.

    It can if it has a method `keep_classes(names)`, as `ImageFolder` has: classes that come later would else move
    those that are stored, as in the order of the alphabet.
    """
    if stored is not None and stored.classes and callable(getattr(dataset, "keep_classes", None)):
        dataset.keep_classes(stored.classes)


def manifest_of(
    dataset: Any, *, isolated: bool = True, warn: Callable[[str], None] = logger.warning
) -> Manifest | None:
    """What `dataset.manifest()` says; else its length, its `classes`, and the hashes of a few items.

    Hashes are left out where they would cry wolf: of items that fail, and all if two readings of one item differ. Those
    of what was decoded or computed hold for the same libraries and processor.

    Args:
        dataset: What is converted.
        isolated: Read items in a process of its own, for at most 10 s.
        warn: Is told of a `manifest()` that gives none.

    Returns:
        None for a dataset that has neither a manifest nor a length.
    """
    load_torch_for(dataset)
    has_length = not is_iterable_only(dataset) and hasattr(dataset, "__len__")
    if callable(getattr(dataset, "manifest", None)):
        try:
            found = dataset.manifest()
            if isinstance(found, Manifest):
                return found
            reason = f"gave {type(found).__name__}, not ffcv_hydra.beton.Manifest"
        except BetonError:  # of data that are read to be stored again
            raise
        except Exception as error:
            reason = f"raised {describe_error(error)}"
        tells = "its length and a few items tell" if has_length else "nothing tells"
        warn(f"{type(dataset).__name__}.manifest() {reason}; {tells} whether the dataset changes")
    if not has_length:
        return None
    digests, hold_anywhere = None, True

    def read(send: Send) -> None:
        send(_digests(dataset))

    if not is_constant(dataset):
        if isolated:
            received, _ = run_isolated(read, LOOK_SECONDS)
            digests, hold_anywhere = next(iter(received), (None, True))
        else:
            digests, hold_anywhere = _digests(dataset)
    environment = None if hold_anywhere else _environment()
    return Manifest(num_items=len(dataset), classes=_class_names(dataset), digests=digests, environment=environment)


def _environment() -> str:
    """What may give other bits for the same item."""
    versions = []
    for package in ("numpy", "pillow", "opencv-python", "opencv-python-headless", "torch"):
        with suppress(metadata.PackageNotFoundError):
            versions.append(f"{package} {metadata.version(package)}")
    return ", ".join([*versions, llvmlite.binding.get_host_cpu_name()])


def _class_names(dataset: Any) -> list[str] | None:
    """What the attribute `classes` says, as torchvision's datasets have it; of several names of one class all."""
    names: Any = getattr(dataset, "classes", None)
    if not isinstance(names, (list, tuple, np.ndarray)):
        return None
    found = [", ".join(map(str, name)) if isinstance(name, (list, tuple)) else name for name in names]
    return [str(name) for name in found] if all(isinstance(name, (str, int, np.integer)) for name in found) else None


def _digests(dataset: Any) -> tuple[dict[str, str] | None, bool]:
    """The hashes, and whether they hold in any environment."""
    readings = []
    for seed in range(2):  # whoever draws from a global generator gives something else the second time
        seed_all(seed)
        readings.append(_read(dataset))
    return readings[0] if readings[0] == readings[1] else (None, True)


def _read(dataset: Any) -> tuple[dict[str, str], bool]:
    found, hold_anywhere = {}, True
    for index in sorted({int(index) for index in np.linspace(0, len(dataset) - 1, LOOKED_AT)}):
        digest = hashlib.sha256()
        try:
            hold_anywhere &= _add(digest, dataset[index])
        except Exception:  # whatever a dataset raises; a conversion tells it in its turn
            continue
        found[str(index)] = digest.hexdigest()[:16]
    return found, hold_anywhere


def _add(digest: Any, value: Any) -> bool:
    """Hash what a beton can hold, the same in every process; whether it is the same in any environment.

    Raises TypeError for all else.
    """
    if isinstance(value, (list, tuple)):
        digest.update(f"{len(value)} items".encode())
        hold_anywhere = [_add(digest, entry) for entry in value]
        return all(hold_anywhere)
    if isinstance(value, Mapping):
        return _add(digest, sorted(value.items()))
    if isinstance(value, Image.Image):
        file = read_file(value) if is_undecoded(value) else None
        if file is not None:
            return _add(digest, file.tobytes())
        _add(digest, (value.mode, value.size, value.tobytes()))
        return False
    if is_tensor(value):
        _add(digest, (str(value.dtype), tuple(value.shape), bytes_of(value)))
        return value.ndim == 0 and not value.is_floating_point()
    if isinstance(value, (np.ndarray, np.generic)):
        if value.dtype.hasobject:
            raise TypeError("objects have no bytes")
        _add(digest, (value.dtype.str, value.shape, value.tobytes()))
        return value.ndim == 0 and value.dtype.kind in "biu"
    if isinstance(value, (str, int, float)) or value is None:
        _add(digest, f"{type(value).__name__} {value!r}".encode())
        return not isinstance(value, float)
    if isinstance(value, bytes):
        digest.update(b"%d bytes" % len(value) + value)
        return True
    raise TypeError(f"{type(value).__name__} has no bytes of its own")
