"""In which order samples are read, and how an order is split over ranks.

An order is a pure function of (seed, epoch): every rank computes the whole of it and takes its part, so that nothing is
communicated and nothing depends on what was read before.
"""

import ffcv_hydra._ffcv  # noqa: F401  (before anything of FFCV)

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np
from ffcv.loader import OrderOption
from ffcv.traversal_order.base import TraversalOrder

from ffcv_hydra.errors import LoaderError
from ffcv_hydra.kernels.random import fold, key_of, key_of_name


@dataclass(frozen=True)
class SampleSet:
    """What an ordering may know.

    Attributes:
        indices: int64 (N,), the ids of the samples to be ordered.
        seed: of the run.
        pages: gives int64 (N,), the page of the file that each of them starts in.
        reader: the open beton.
    """

    indices: np.ndarray
    seed: int
    pages: Callable[[], np.ndarray]
    reader: Any


class Ordering(ABC):
    """Base of the orderings that configs name by `_target_`.

    Attributes:
        by_pages: whether it reads the samples of a page close together, so that whole pages are worth reading.
    """

    by_pages: ClassVar[bool] = False

    @abstractmethod
    def sample_order(self, samples: SampleSet, epoch: int) -> np.ndarray:
        """int64, the ids in the order they are read in: the same for the same seed and epoch, on every rank."""


class Sequential(Ordering):
    """The order of the file."""

    def sample_order(self, samples: SampleSet, epoch: int) -> np.ndarray:
        """int64 (N,): `samples.indices` as they are."""
        return samples.indices


class Random(Ordering):
    """Another permutation in each epoch."""

    def sample_order(self, samples: SampleSet, epoch: int) -> np.ndarray:
        """int64 (N,): the samples sorted by a random key each."""
        return samples.indices[
            np.argsort(_sort_keys("random", samples.seed, epoch, len(samples.indices)), kind="stable")
        ]


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
        page_keys = _sort_keys("pages", samples.seed, epoch, int(page.max(initial=-1)) + 1)
        rank_of_page = np.empty(len(page_keys), dtype=np.int64)
        rank_of_page[np.argsort(page_keys, kind="stable")] = np.arange(len(page_keys))
        shift = _sort_keys("samples", samples.seed, epoch, len(page)) / 2.0**64 * self.pages
        return samples.indices[np.argsort(rank_of_page[page] + shift, kind="stable")]


class FFCVOrdering(Ordering):
    """One of FFCV's `TraversalOrder` classes, a user's own for example; it sees the indices, the seed and the beton."""

    def __init__(self, traversal_order: type[TraversalOrder]) -> None:
        self.traversal_order = traversal_order

    def sample_order(self, samples: SampleSet, epoch: int) -> np.ndarray:
        """int64: what the class gives, called as if there were one rank."""
        loader = SimpleNamespace(
            indices=samples.indices, seed=samples.seed, distributed=False, reader=samples.reader, batch_size=1
        )
        return np.asarray(self.traversal_order(loader).sample_order(epoch))


_OPTIONS: dict[OrderOption, type[Ordering]] = {
    OrderOption.SEQUENTIAL: Sequential,
    OrderOption.RANDOM: Random,
    OrderOption.QUASI_RANDOM: QuasiRandom,
}


def as_ordering(ordering: "Ordering | OrderOption | type[TraversalOrder]") -> Ordering:
    """The `Ordering` that an FFCV option, an FFCV traversal order class or an `Ordering` stands for.

    Raises:
        LoaderError: for anything else.
    """
    if isinstance(ordering, Ordering):
        return ordering
    if isinstance(ordering, OrderOption):
        return _OPTIONS[ordering]()
    if isinstance(ordering, type) and issubclass(ordering, TraversalOrder):
        return FFCVOrdering(ordering)
    raise LoaderError(
        f"ordering must be an OrderOption, an ffcv_hydra Ordering or an FFCV TraversalOrder class; got {ordering!r}"
    )


def _sort_keys(purpose: str, seed: int, epoch: int, count: int) -> np.ndarray:
    return fold(key_of(seed, key_of_name(f"ordering/{purpose}"), epoch), np.arange(count, dtype=np.uint64))


def occurrences(order: np.ndarray, num_samples: int) -> np.ndarray:
    """uint64 (N,): how often `order` held the same id before each position; all 0 without replacement."""
    counts = np.zeros(len(order), dtype=np.uint64)
    if len(order) and np.bincount(order, minlength=num_samples).max() > 1:
        by_id = np.argsort(order, kind="stable")
        ids = order[by_id]
        first = np.flatnonzero(np.r_[True, ids[1:] != ids[:-1]])
        counts[by_id] = np.arange(len(order)) - np.repeat(first, np.diff(np.r_[first, len(order)]))
    return counts


@dataclass(frozen=True)
class RankBatches:
    """The batches of one rank, as positions in the global order; made when asked for, whatever their number.

    Attributes:
        first, batch_size, stride: batch k of the regular ones is the positions from first + k · stride on.
        regular: how many of these there are.
        rest: int64 arrays, the positions of each batch after them.
    """

    first: int
    batch_size: int
    stride: int
    regular: int
    rest: tuple[np.ndarray, ...] = ()

    def __len__(self) -> int:
        return self.regular + len(self.rest)

    def batch(self, index: int) -> np.ndarray:
        """int64: the positions of batch `index`."""
        if index >= self.regular:
            return self.rest[index - self.regular]
        start = self.first + index * self.stride
        return np.arange(start, start + self.batch_size)

    def positions(self, first_batch: int = 0) -> np.ndarray:
        """int64: those of batch `first_batch` and all after it."""
        batches = [self.batch(index) for index in range(first_batch, len(self))]
        return np.concatenate(batches) if batches else np.empty(0, dtype=np.int64)


def split_over_ranks(num_samples: int, batch_size: int, world_size: int, rank: int, drop_last: bool) -> RankBatches:
    """Which positions of an order of `num_samples` go into which batch of `rank`.

    Global batch k is positions k·G to (k + 1)·G with G = batch_size · world_size; each rank takes its contiguous slice.
    With `drop_last` there are full global batches only. Without, every position is taken exactly once and all ranks
    have the same number of batches: the last global batch is divided evenly; if it is smaller than the number of ranks,
    ranks that get nothing of it split their batch before in two (with batch size 1, ranks that get a sample of it add
    it to their batch before instead).

    Raises:
        LoaderError: if there is not one batch for each rank.
    """
    whole, rest = divmod(num_samples, batch_size * world_size)
    needed = batch_size * world_size if drop_last else world_size
    if num_samples < needed:
        what = (
            f"one global batch ({batch_size} x {world_size} ranks)"
            if drop_last
            else f"the number of ranks ({world_size})"
        )
        raise LoaderError(f"{num_samples} samples are fewer than {what}: lower batch_size or devices, or add data")

    def batches(regular: int, *rest: np.ndarray) -> RankBatches:
        return RankBatches(rank * batch_size, batch_size, batch_size * world_size, regular, rest)

    if drop_last or not rest:
        return batches(whole)
    share, extra = divmod(rest, world_size)
    first = num_samples - rest + rank * share + min(rank, extra)
    mine = np.arange(first, first + share + (rank < extra))
    if share or (len(mine) and batch_size > 1):
        return batches(whole, mine)
    last = batches(whole).batch(whole - 1)
    if len(mine):
        return batches(whole - 1, np.concatenate([last, mine]))
    return (
        batches(whole - 1, last[: -(batch_size // 2)], last[-(batch_size // 2) :]) if batch_size > 1 else batches(whole)
    )
