"""Which samples of a beton are read, and where they lie."""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ffcv_hydra.beton import Beton
from ffcv_hydra.beton.fields.base import Field
from ffcv_hydra.collection.mixture import Mixture, Readable
from ffcv_hydra.collection.shards import members_of, opened
from ffcv_hydra.errors import LoaderError

_IDS_AT_ONCE = 1 << 20


def first_pages(beton: Beton, samples: np.ndarray) -> np.ndarray:
    """int64 (N,): the page that the data of each of the samples, ids int64 (N,), begins in; 0 for those without any."""
    extents = [found for name in beton.fields if (found := beton.extents(name)) is not None]
    begins = [offsets[samples].astype(np.int64) for offsets, _ in extents]
    owners, further = beton.further_pointers
    if len(owners):  # of fields of a user's own, the pointers of each sample rise
        places = np.minimum(np.searchsorted(owners, samples), len(owners) - 1)
        others = begins[0] if begins else 0
        begins.append(np.where(owners[places] == samples, further[places].astype(np.int64), others))
    return np.minimum.reduce(begins) // beton.page_size if begins else np.zeros(len(samples), dtype=np.int64)


def resolve_indices(indices: Any, beton: Beton) -> np.ndarray | range:
    """The ids that `indices` stands for: ids, a mask, a callable that gives either, or None for all.

    Returns:
        int64 (N,); a range where they are all samples in the order of the file, however that was said.

    Raises:
        LoaderError: they are not ids of this beton.
    """
    if indices is None:
        return range(beton.num_samples)
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
    if len(found) == beton.num_samples and (found == np.arange(len(found))).all():
        return range(beton.num_samples)
    return found


def chosen_ids(
    path: Readable, beton: Beton, indices: Any, custom_fields: Mapping[str, type[Field]] | None
) -> tuple[np.ndarray | range, list[np.ndarray | range]]:
    """The ids that are read of `beton`, which is `path` opened, and of a mixture's members those of each.

    Raises:
        LoaderError: they are no ids, or a mixture, which has them for each member, gets them besides.
    """
    if not isinstance(path, Mixture) or not (path.shares or indices is None):
        return resolve_indices(indices, beton), []
    if indices is not None:
        raise LoaderError("indices: a mixture has them for each member, as Mixture(..., indices={...})")
    members = _member_ids(path, members_of(beton), custom_fields)
    return _joined_ids(members), members


def _member_ids(
    mixture: Mixture, members: Mapping[Path, range], custom_fields: Mapping[str, type[Field]] | None
) -> list[np.ndarray | range]:
    """Of each member, told by where it is here and the ids of all its samples, those that are read, in the whole."""
    found: list[np.ndarray | range] = []
    for (path, span), indices in zip(members.items(), mixture.indices, strict=True):
        chosen = span if indices is None else resolve_indices(indices, opened(path, custom_fields))
        if not len(chosen):
            raise LoaderError(f"{path}: no sample of this member of a mixture is chosen; choose some, or leave it out")
        found.append(span if isinstance(chosen, range) else chosen + span.start)
    return found


def _joined_ids(members: Sequence[np.ndarray | range]) -> np.ndarray | range:
    """The ids of all members, one after another; a range where all of each are read."""
    if all(isinstance(ids, range) for ids in members):
        return range(sum(map(len, members)))
    return np.concatenate([np.arange(ids.start, ids.stop) if isinstance(ids, range) else ids for ids in members])


def indices_identity(chosen: np.ndarray | range) -> str:
    """What a state to resume from knows the chosen samples by, beside the file."""
    return "all" if isinstance(chosen, range) else hashlib.sha256(chosen.data).hexdigest()


def earlier_identity_of_all(num_samples: int) -> str:
    """What states of earlier versions have for "all"."""
    found = hashlib.sha256()
    for start in range(0, num_samples, _IDS_AT_ONCE):
        found.update(np.arange(start, min(start + _IDS_AT_ONCE, num_samples)).data)
    return found.hexdigest()
