"""The manifest of a dataset: its own, or what can be told of it by its length and a look at a few items."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from PIL import Image

from ffcv_hydra.beton.manifest import Manifest
from ffcv_hydra.beton.writing.isolated import Send, run_isolated, seed_all
from ffcv_hydra.beton.writing.source import is_iterable_only
from ffcv_hydra.errors import describe_error

LOOKED_AT = 5  # items whose hash is kept
LOOK_SECONDS = 10.0

logger = logging.getLogger(__name__)


def is_constant(dataset: Any) -> bool:
    """Whether a dataset, or a class of datasets, says that its items follow from its arguments alone."""
    return getattr(dataset, "is_constant", False) is True


def manifest_of(
    dataset: Any, *, isolated: bool = True, warn: Callable[[str], None] = logger.warning
) -> Manifest | None:
    """What `dataset.manifest()` says; else its length, its `classes`, and the hashes of a few items.

    Hashes are left out where they would cry wolf: of items that fail, and all if two readings of one item differ.

    Args:
        dataset: What is converted.
        isolated: Read items in a process of its own, for at most 10 s.
        warn: Is told of a `manifest()` that gives none.

    Returns:
        None for a dataset that has neither a manifest nor a length.
    """
    has_length = not is_iterable_only(dataset) and hasattr(dataset, "__len__")
    if callable(getattr(dataset, "manifest", None)):
        try:
            found = dataset.manifest()
            if isinstance(found, Manifest):
                return found
            reason = f"gave {type(found).__name__}, not ffcv_hydra.beton.Manifest"
        except Exception as error:
            reason = f"raised {describe_error(error)}"
        tells = "its length and a few items tell" if has_length else "nothing tells"
        warn(f"{type(dataset).__name__}.manifest() {reason}; {tells} whether the dataset changes")
    if not has_length:
        return None
    digests = None

    def read(send: Send) -> None:
        send(_digests(dataset))

    if not is_constant(dataset):
        if isolated:
            received, _ = run_isolated(read, LOOK_SECONDS)
            digests = next(iter(received), None)
        else:
            digests = _digests(dataset)
    return Manifest(num_items=len(dataset), classes=_class_names(dataset), digests=digests)


def _class_names(dataset: Any) -> list[str] | None:
    names: Any = getattr(dataset, "classes", None)
    is_sequence = isinstance(names, (list, tuple)) and all(isinstance(name, str) for name in names)
    return list(names) if is_sequence else None


def _digests(dataset: Any) -> dict[str, str] | None:
    readings = []
    for seed in range(2):  # whoever draws from a global generator gives something else the second time
        seed_all(seed)
        readings.append(_read(dataset))
    return readings[0] if readings[0] == readings[1] else None


def _read(dataset: Any) -> dict[str, str]:
    found = {}
    for index in sorted({int(index) for index in np.linspace(0, len(dataset) - 1, LOOKED_AT)}):
        digest = hashlib.sha256()
        try:
            _add(digest, dataset[index])
        except Exception:  # whatever a dataset raises; a conversion tells it in its turn
            continue
        found[str(index)] = digest.hexdigest()[:16]
    return found


def _add(digest: Any, value: Any) -> None:
    """Hash what a beton can hold, the same in every process. Raises TypeError for all else."""
    if isinstance(value, (list, tuple)):
        digest.update(f"{len(value)} items".encode())
        for entry in value:
            _add(digest, entry)
    elif isinstance(value, Mapping):
        _add(digest, sorted(value.items()))
    elif isinstance(value, Image.Image):
        _add(digest, (value.mode, value.size, value.tobytes()))
    elif isinstance(value, torch.Tensor):
        content = value.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
        _add(digest, (str(value.dtype), tuple(value.shape), content.numpy().tobytes()))
    elif isinstance(value, (np.ndarray, np.generic)):
        if value.dtype.hasobject:
            raise TypeError("objects have no bytes")
        _add(digest, (value.dtype.str, value.shape, value.tobytes()))
    elif isinstance(value, bytes):
        digest.update(b"%d bytes" % len(value) + value)
    elif isinstance(value, (str, int, float)) or value is None:
        _add(digest, f"{type(value).__name__} {value!r}".encode())
    else:
        raise TypeError(f"{type(value).__name__} has no bytes of its own")
