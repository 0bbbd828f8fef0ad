"""A fingerprint of a conversion, which decides whether a later one may go on from what it left."""

from __future__ import annotations

import hashlib
import pickle
from collections.abc import Mapping
from typing import Any

from ffcv_hydra.beton.appendix import normalise
from ffcv_hydra.beton.writing.encoding import SampleEncoder
from ffcv_hydra.beton.writing.source import Source
from ffcv_hydra.loaded_torch import bytes_of, loaded_torch

VERSION = 5  # of what a conversion makes of the same samples: none goes on from what another version made


def conversion_fingerprint(
    source: Source,
    encoder: SampleEncoder,
    page_size: int,
    description: Mapping[str, Any] | None,
    manifest: bytes = b"",
) -> bytes | None:
    """SHA-256 of all that decides what is in the file: the dataset, what is chosen of it, fields, page size and seed.

    The description stands for the dataset. Without one it is the dataset itself, pickled; the samples of a list or a
    `TensorDataset` are part of that, the files that a dataset reads are not: its `manifest` tells of these.

    Returns:
        None if it cannot be told: the dataset has no description and cannot be pickled, or a field cannot; or nothing
        could be skipped, because the dataset can only be read from its beginning to its end.
    """
    if source.is_sequential:
        return None
    digest = hashlib.sha256()
    what = source.dataset if description is None else normalise(description)
    kind = type(source).__name__, encoder.names, page_size, encoder.seed, source.num_samples, source.num_portions
    options = kind, encoder.on_warning
    try:
        for value in (VERSION, options, source.identity, encoder.fields, description is None, what, manifest):
            _HashingPickler(digest).dump(value)
    except Exception:  # whatever a class raises that cannot be pickled
        return None
    return digest.digest()


class _HashingPickler(pickle.Pickler):
    """Pickles into a hash; only the hash needs memory."""

    def __init__(self, digest: Any) -> None:
        super().__init__(_Sink(digest), protocol=5)

    def persistent_id(self, obj: Any) -> Any:
        # Tensors pickle with the address of their storage, which another process does not have.
        torch = loaded_torch()
        if torch and type(obj) is torch.Tensor and obj.device.type == "cpu" and obj.layout == torch.strided:
            return str(obj.dtype), tuple(obj.shape), hashlib.sha256(bytes_of(obj)).digest()
        return None


class _Sink:
    def __init__(self, digest: Any) -> None:
        self._digest = digest

    def write(self, content: Any) -> int:
        self._digest.update(content)
        return memoryview(content).nbytes
