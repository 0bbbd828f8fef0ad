"""What has to be known of a conversion before its first sample is written, and whether it can be done at all."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ffcv_hydra.beton import layout
from ffcv_hydra.beton.fields.base import Field
from ffcv_hydra.beton.fields.lossy_masks import lossy_masks
from ffcv_hydra.beton.fields.options import FieldSpecs, resolve_fields
from ffcv_hydra.beton.manifest import Manifest
from ffcv_hydra.beton.writing.encoding import OnWarning, SampleEncoder
from ffcv_hydra.beton.writing.resume_fingerprint import conversion_fingerprint
from ffcv_hydra.beton.writing.source import IndexedSource, Source, is_iterable_only, iterable_source
from ffcv_hydra.beton.writing.source_manifest import manifest_of
from ffcv_hydra.cores import usable_cores
from ffcv_hydra.errors import ConversionError, describe_error

logger = logging.getLogger(__name__)

Indices = Sequence[int] | np.ndarray | Callable[[int], np.ndarray]


@dataclass(frozen=True)
class Preparation:
    """A conversion that can begin.

    Attributes:
        source: What is converted, in portions.
        fields: How each item is stored.
        encoder: Encodes the samples.
        page_size: Bytes.
        num_workers: Processes that encode; 0: none but this one.
        description: What is stored as what it is made from.
        manifest: How the source looks, encoded; empty if it does not say.
        fingerprint: Of all that decides what will be written; None if it cannot be told.
    """

    source: Source
    fields: dict[str, Field]
    encoder: SampleEncoder
    page_size: int
    num_workers: int
    description: Mapping[str, Any] | None
    manifest: bytes
    fingerprint: bytes | None


def prepare(
    dataset: Any,
    fields: FieldSpecs = None,
    *,
    page_size: int | None = None,
    num_workers: int = -1,
    indices: Indices | None = None,
    chunksize: int = 100,
    shuffle_indices: bool = False,
    seed: int = 0,
    description: Mapping[str, Any] | None = None,
    on_warning: OnWarning = "keep",
    manifest: Manifest | None = None,
) -> Preparation:
    """Look at the dataset and its first item; the arguments are those of `write_beton`.

    `manifest` says how the dataset looks, where that is known already.

    Raises:
        ConversionError: if an option is impossible, or the first item cannot be stored.
    """
    if on_warning not in ("keep", "error"):
        raise ConversionError(f"on_warning is {on_warning!r}; use keep or error")
    for name, value, least in (("chunksize", chunksize, 1), ("num_workers", num_workers, -1)):
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise ConversionError(f"{name} is a whole number of at least {least}; got {value!r}")
    length = None if is_iterable_only(dataset) else _length(dataset)
    manifest = manifest_of(dataset) if manifest is None else manifest
    names = None if manifest is None else manifest.names
    source = _source(dataset, length, names, indices, chunksize, shuffle_indices, seed)
    encoded = b"" if manifest is None else replace(manifest, order=source.order).encode()
    first, item = source.first()
    resolved = resolve_fields(item, fields, index=first)
    encoder = SampleEncoder(resolved, seed, on_warning)
    of_first = encoder.encode_item(item, first)
    for name in lossy_masks(resolved, item):
        logger.warning(
            "field '%s' holds masks, as it seems, and is stored as JPEG, which changes their numbers: keep them by"
            " _target_: ffcv_hydra.beton.MaskField, or write_mode: raw", name,
        )  # fmt: skip
    if isinstance(source, IndexedSource):
        source.keep_portions_below(of_first.nbytes)
    if page_size is None:
        page_size = layout.page_size_for(len(of_first.data))
    layout.check_page_size(page_size)
    fingerprint = conversion_fingerprint(source, encoder, page_size, description, b"" if names is None else encoded)
    workers = usable_cores() if num_workers == -1 else num_workers
    return Preparation(source, dict(resolved), encoder, page_size, workers, description, encoded, fingerprint)


def choose_indices(
    num_samples: int,
    indices: Indices | None = None,
    shuffle_indices: bool = False,
    seed: int = 0,
    names: Sequence[str] | None = None,
) -> np.ndarray:
    """The indices in the dataset to store, int64, in the order of the beton.

    Of a function that has a method `of_names` and items that have `names`, that method is asked.

    Raises:
        ConversionError: if there are none, or one is not an index of the dataset.
    """
    if callable(indices):
        by_name = names is not None and hasattr(indices, "of_names")
        indices = indices.of_names(names) if by_name else indices(num_samples)  # type: ignore[attr-defined]
    chosen = np.arange(num_samples) if indices is None else np.asarray(indices)
    if chosen.size == 0:
        what = "the dataset is empty" if num_samples == 0 else "indices is empty"
        raise ConversionError(f"{what}; a beton needs at least one sample")
    if chosen.ndim != 1 or chosen.dtype.kind not in "iu":
        raise ConversionError(f"indices: expected a 1-D list of ints, got {chosen.dtype} of shape {chosen.shape}")
    outside = chosen[(chosen < 0) | (chosen >= num_samples)]
    if outside.size:
        raise ConversionError(f"indices: {outside[0]} is not in the dataset, which has {num_samples} samples")
    chosen = chosen.astype(np.int64)
    return np.random.default_rng(seed).permutation(chosen) if shuffle_indices else chosen


def _source(
    dataset: Any,
    length: int | None,
    names: Sequence[str] | None,
    indices: Indices | None,
    chunksize: int,
    shuffle_indices: bool,
    seed: int,
) -> Source:
    if length is None:
        if indices is not None or shuffle_indices:
            kind = type(dataset).__name__
            raise ConversionError(f"indices: {kind} has no length and is stored whole, in its order; leave them out")
        return iterable_source(dataset)
    chosen = choose_indices(length, indices, shuffle_indices, seed, names)
    return IndexedSource(dataset, chosen, chunksize)


def _length(dataset: Any) -> int:
    kind = type(dataset).__name__
    if not hasattr(dataset, "__len__"):
        raise ConversionError(f"{kind} has no length and cannot be iterated; convert a torch dataset")
    try:
        return len(dataset)
    except Exception as error:
        raise ConversionError(f"{kind}.__len__ gives no number of items: {describe_error(error)}") from error
