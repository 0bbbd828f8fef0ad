"""The order of a mixture: which member each place of a batch is for, and which of its samples comes there."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import numpy as np

from ffcv_hydra.collection.mixture import Mixture
from ffcv_hydra.kernels.random.apportion import apportion
from ffcv_hydra.kernels.random.generator import key_of, key_of_name
from ffcv_hydra.ordering.base import Ordering, SampleSet
from ffcv_hydra.ordering.orders import sort_keys


class Mixed(Ordering):
    """Members in turn by their shares, in random places of each batch; the samples of each in an order of its own.

    Args:
        mixture: the shares.
        members: the ids of each member's samples.
        ordering: of each member's samples. Its epochs are the passes over the member, counted from the first epoch on.
        batch_size: samples in a global batch.
    """

    def __init__(self, mixture: Mixture, members: Sequence[range], ordering: Ordering, batch_size: int) -> None:
        self._mixture, self._members, self._ordering, self._batch_size = mixture, members, ordering, batch_size
        self.epoch_size = mixture.epoch_size or sum(map(len, members))

    def sample_order(self, samples: SampleSet, epoch: int) -> np.ndarray:
        """int64 (epoch_size,)."""
        turns = _turns(self._mixture.shares_in(epoch), self.epoch_size)
        keys = sort_keys("mixture", samples.seed, epoch, len(turns))
        batches = np.arange(len(turns)) // self._batch_size
        turns = turns[np.lexsort((keys, batches))]
        order = np.empty(len(turns), dtype=np.int64)
        for member, ids in enumerate(self._members):
            places = np.flatnonzero(turns == member)
            passes, at = np.divmod(np.arange(len(places)) + self._drawn_before(member, epoch), len(ids))
            seed = int(key_of(samples.seed, key_of_name("ordering/member"), member)[0])
            pages = functools.partial(_pages, samples, ids)
            its = SampleSet(np.arange(ids.start, ids.stop), seed, pages, samples.reader)
            for number in np.unique(passes).tolist():
                now = passes == number
                order[places[now]] = self._ordering.sample_order(its, number)[at[now]]
        return order

    def length(self, samples: SampleSet) -> int:
        """`epoch_size`."""
        return self.epoch_size

    def identity(self, samples: SampleSet) -> str:
        """The shares, the size of an epoch, and what the members' ordering is known by."""
        inner = self._ordering.identity(samples)
        return f"Mixed({[list(of_one) for of_one in self._mixture.shares]}, {self.epoch_size}, {inner})"

    def _drawn_before(self, member: int, epoch: int) -> int:
        """How many samples of a member came in the epochs before one."""
        listed = max(map(len, self._mixture.shares)) - 1  # from this epoch on, shares stay what they are
        counts = [self._counts(number)[member] for number in range(min(epoch, listed))]
        return sum(counts) + max(0, epoch - listed) * self._counts(listed)[member]

    def _counts(self, epoch: int) -> tuple[int, ...]:
        return _counts(tuple(self._mixture.shares_in(epoch)), self.epoch_size)


def _turns(shares: np.ndarray, count: int) -> np.ndarray:
    """int32 (count,): whose turn each is, for float64 (num_members,) shares."""
    turns = np.empty(count, dtype=np.int32)
    apportion(shares, turns)
    return turns


@functools.lru_cache(maxsize=64)
def _counts(shares: tuple[float, ...], count: int) -> tuple[int, ...]:
    """How many of `count` turns each member has."""
    return tuple(np.bincount(_turns(np.array(shares), count), minlength=len(shares)).tolist())


def _pages(samples: SampleSet, ids: range) -> np.ndarray:
    return samples.pages()[ids.start : ids.stop]
