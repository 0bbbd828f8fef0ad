"""Orders in which every sample comes once."""

from typing import ClassVar

import numpy as np

from ffcv_hydra.errors import LoaderError
from ffcv_hydra.kernels.random import fold, key_of, key_of_name
from ffcv_hydra.ordering.base import Ordering, SampleSet


class Sequential(Ordering):
    """The order of the file."""

    def sample_order(self, samples: SampleSet, epoch: int) -> np.ndarray:
        """int64 (N,): `samples.indices` as they are."""
        return samples.indices


class Random(Ordering):
    """Another permutation in each epoch."""

    def sample_order(self, samples: SampleSet, epoch: int) -> np.ndarray:
        """int64 (N,): the samples sorted by a random key each."""
        return samples.indices[_by_key(sort_keys("random", samples.seed, epoch, len(samples.indices)))]


class QuasiRandom(Ordering):
    """Pages of the file in random order, and samples shuffled over about `pages` of them at a time.

    Reads each page of the file once, in one stretch, which is what a file larger than memory wants
    (`loader.os_cache=false`).
    """

    by_pages: ClassVar[bool] = True

    def __init__(self, pages: int = 16) -> None:
        if pages < 1:
            raise LoaderError(f"QuasiRandom: pages must be at least 1; got {pages}")
        self.pages = pages

    def sample_order(self, samples: SampleSet, epoch: int) -> np.ndarray:
        """int64 (N,): sorted by the rank of the page plus a uniform shift of up to `self.pages`."""
        _, page = np.unique(samples.pages(), return_inverse=True)
        page_keys = sort_keys("pages", samples.seed, epoch, int(page.max(initial=-1)) + 1)
        rank_of_page = np.empty(len(page_keys), dtype=np.int64)
        rank_of_page[np.argsort(page_keys, kind="stable")] = np.arange(len(page_keys))
        shift = sort_keys("samples", samples.seed, epoch, len(page)) / 2.0**64 * self.pages
        return samples.indices[np.argsort(rank_of_page[page] + shift, kind="stable")]


def _by_key(keys: np.ndarray) -> np.ndarray:
    """int64 (N,): the positions of `keys`, uint64 (N,), in ascending order, equal ones in theirs."""
    num_bits = np.uint64(max(len(keys) - 1, 1).bit_length())
    low = (np.uint64(1) << num_bits) - np.uint64(1)
    # Positions in place of the lowest bits: to sort numbers takes a fraction of the time that to sort positions does.
    together = np.sort((keys & ~low) | np.arange(len(keys), dtype=np.uint64))
    high = together >> num_bits
    if (high[1:] == high[:-1]).any():  # the lowest bits count
        return np.argsort(keys, kind="stable")
    return (together & low).astype(np.int64)


def sort_keys(purpose: str, seed: int, epoch: int, count: int) -> np.ndarray:
    """uint64 (count,): a random key per position, for one purpose, of a seed and an epoch."""
    return fold(key_of(seed, key_of_name(f"ordering/{purpose}"), epoch), np.arange(count, dtype=np.uint64))
