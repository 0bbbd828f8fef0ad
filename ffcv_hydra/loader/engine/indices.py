"""Which samples of a beton are read, and where they lie."""

from typing import Any

import numpy as np

from ffcv_hydra.beton import Beton
from ffcv_hydra.errors import LoaderError


def first_pages(beton: Beton) -> np.ndarray:
    """int64 (num_samples,): the page that each sample's data begins in; 0 for samples without any."""
    pages = np.zeros(beton.num_samples, dtype=np.int64)
    # the last write wins: with the pointers in descending order that is each sample's first page
    pages[beton.sample_ids[::-1].astype(np.int64)] = (beton.pointers[::-1] // np.uint64(beton.page_size)).astype(
        np.int64
    )
    return pages


def resolve_indices(indices: Any, beton: Beton) -> np.ndarray:
    """int64 (N,): the ids that `indices` stands for: ids, a mask, a callable that gives either, or None for all.

    Raises:
        LoaderError: they are not ids of this beton.
    """
    if indices is None:
        return np.arange(beton.num_samples, dtype=np.int64)
    if hasattr(indices, "of_beton"):  # SplitFraction, which goes by the names of samples
        indices = indices.of_beton(beton)
    found = np.asarray(indices(beton.num_samples) if callable(indices) else indices)
    if found.dtype == bool:
        if found.shape != (beton.num_samples,):
            raise LoaderError(f"indices: a mask needs {beton.num_samples} values for {beton.path}; got {found.shape}")
        found = np.flatnonzero(found)
    if found.ndim != 1 or (len(found) and found.dtype.kind not in "iu"):
        raise LoaderError(
            f"indices must be a list of whole numbers or a mask; got {found.dtype} of shape {found.shape}"
        )
    found = found.astype(np.int64)
    if len(found) and not 0 <= found.min() <= found.max() < beton.num_samples:
        raise LoaderError(
            f"indices go from {found.min()} to {found.max()}, but {beton.path} has {beton.num_samples} samples"
        )
    return found
