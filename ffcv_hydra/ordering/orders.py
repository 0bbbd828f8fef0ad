"""Orders in which every sample comes once."""

from typing import ClassVar

import numpy as np

from ffcv_hydra.errors import LoaderError
from ffcv_hydra.kernels.random.generator import fold, key_of, key_of_name
from ffcv_hydra.kernels.random.permutation import permuted
from ffcv_hydra.ordering.base import Ordering, PositionalOrdering, SampleSet


class Sequential(PositionalOrdering):
    """The order of the file."""

    of_content: ClassVar[bool] = True

    def ids(self, samples: SampleSet, epoch: int, positions: np.ndarray) -> np.ndarray:
        """int64 (M,): `samples.indices` as they are."""
        return samples.at(positions)


class Random(PositionalOrdering):
    """Another permutation in each epoch, computed position by position, whatever the number of samples."""

    of_content: ClassVar[bool] = True
    version: ClassVar[int] = 2  # the first sorted samples by a random number each

    def ids(self, samples: SampleSet, epoch: int, positions: np.ndarray) -> np.ndarray:
        """int64 (M,): those of a permutation with a key of seed and epoch."""
        return samples.at(permuted(_key("random", samples.seed, epoch), len(samples), positions))


class QuasiRandom(Ordering):
    """Pages of the file in random order, and samples shuffled over about `pages` of them at a time.

    Reads each page of the file once, in one stretch, which is what a file larger than memory wants
    (`loader.os_cache=false`). Shards count as pages of one file. With 16 pages of 128 photographs each a batch of 256
    is from 18 pages, where `Random` has 236 (`python -m benchmarks.shuffling`).
    """

    by_pages: ClassVar[bool] = True
    each_once: ClassVar[bool] = True

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
        return samples.at(np.argsort(rank_of_page[page] + shift, kind="stable"))


def sort_keys(purpose: str, seed: int, epoch: int, count: int) -> np.ndarray:
    """uint64 (count,): a random key per position, for one purpose, of a seed and an epoch."""
    return fold(_key(purpose, seed, epoch), np.arange(count, dtype=np.uint64))


def _key(purpose: str, seed: int, epoch: int) -> np.ndarray:
    return key_of(seed, key_of_name(f"ordering/{purpose}"), epoch)
