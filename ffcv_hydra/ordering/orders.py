"""Orders in which every sample comes once."""

from typing import ClassVar

import numpy as np

from ffcv_hydra.errors import LoaderError
from ffcv_hydra.kernels.random.generator import fold, key_of, key_of_name
from ffcv_hydra.kernels.random.permutation import permuted
from ffcv_hydra.ordering.base import BlockwiseOrdering, PositionalOrdering, SampleSet
from ffcv_hydra.ordering.identity import versioned


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


class QuasiRandom(BlockwiseOrdering):
    """Pages of the file in random order, and samples shuffled over about `pages` of them at a time.

    Reads each page of the file once, in one stretch, which is what a file larger than memory wants
    (`loader.os_cache=false`). Of more than eight files eight at a time, chosen at random, are read as if their pages
    were those of one: nothing is made of the tables of others. With 16 pages of 128 photographs each a batch of 256 is
    from 18 pages, and of 64 files from 17, where `Random` has 236 (`python -m benchmarks.shuffling`).
    """

    by_pages: ClassVar[bool] = True
    each_once: ClassVar[bool] = True
    files_at_once: ClassVar[int] = 8

    def __init__(self, pages: int = 16) -> None:
        if pages < 1:
            raise LoaderError(f"QuasiRandom: pages must be at least 1; got {pages}")
        self.pages = pages

    def identity(self, samples: SampleSet) -> str:
        """As that of any ordering; a second version where there are so many files that some come after others."""
        identity = super().identity(samples)
        if np.count_nonzero(_counts_by_file(samples)) <= self.files_at_once:
            return identity
        return f"{versioned(identity, 2)}, {self.files_at_once} files at a time"

    def bounds(self, samples: SampleSet, epoch: int) -> np.ndarray:
        """int64 (num_blocks + 1,): a block has the samples of up to `files_at_once` files."""
        counts = _counts_by_file(samples)
        of_blocks = [int(counts[files].sum()) for files in self._files(samples, epoch, counts)]
        return np.cumsum([0, *of_blocks], dtype=np.int64)

    def block(self, samples: SampleSet, epoch: int, number: int) -> np.ndarray:
        """int64: sorted by the rank of the page plus a uniform shift of up to `self.pages`."""
        files = self._files(samples, epoch, _counts_by_file(samples))[number]
        ids = _ids_of_files(samples, files)
        _, page = np.unique(samples.page_of(ids), return_inverse=True)
        page_keys = sort_keys(_named("pages", number), samples.seed, epoch, int(page.max(initial=-1)) + 1)
        rank_of_page = np.empty(len(page_keys), dtype=np.int64)
        rank_of_page[np.argsort(page_keys, kind="stable")] = np.arange(len(page_keys))
        shift = sort_keys(_named("samples", number), samples.seed, epoch, len(page)) / 2.0**64 * self.pages
        return ids[np.argsort(rank_of_page[page] + shift, kind="stable")]

    def _files(self, samples: SampleSet, epoch: int, counts: np.ndarray) -> list[np.ndarray]:
        """The numbers of the files of each block, ascending; files without a sample are in none."""
        files = np.flatnonzero(counts)
        if len(files) > self.files_at_once:
            files = files[np.argsort(sort_keys("files", samples.seed, epoch, len(files)), kind="stable")]
        return [
            np.sort(files[start : start + self.files_at_once]) for start in range(0, len(files), self.files_at_once)
        ]


def _counts_by_file(samples: SampleSet) -> np.ndarray:
    """int64 (num_files,): how many of the samples each file has."""
    first_ids = samples.reader.first_ids
    if isinstance(samples.chosen, range):
        return np.diff(np.clip(first_ids, samples.chosen.start, samples.chosen.stop))
    return np.bincount(np.searchsorted(first_ids, samples.chosen, side="right") - 1, minlength=len(first_ids) - 1)


def _ids_of_files(samples: SampleSet, files: np.ndarray) -> np.ndarray:
    """int64: the chosen ids that are in some of the files, ascending numbers, in the order of `chosen`."""
    first_ids, chosen = samples.reader.first_ids, samples.chosen
    if isinstance(chosen, range):
        bounds = np.clip(first_ids, chosen.start, chosen.stop).tolist()
        return np.concatenate([np.arange(bounds[file], bounds[file + 1]) for file in files.tolist()])
    return chosen[np.isin(np.searchsorted(first_ids, chosen, side="right") - 1, files)]


def _named(purpose: str, number: int) -> str:
    return f"{purpose}/{number}" if number else purpose


def sort_keys(purpose: str, seed: int, epoch: int, count: int) -> np.ndarray:
    """uint64 (count,): a random key per position, for one purpose, of a seed and an epoch."""
    return fold(_key(purpose, seed, epoch), np.arange(count, dtype=np.uint64))


def _key(purpose: str, seed: int, epoch: int) -> np.ndarray:
    return key_of(seed, key_of_name(f"ordering/{purpose}"), epoch)
