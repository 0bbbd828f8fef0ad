"""The order of a mixture: which member each place of a batch is for, and which of its samples comes there."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import numpy as np

from ffcv_hydra.collection.mixture import Mixture
from ffcv_hydra.kernels.random.apportion import apportion
from ffcv_hydra.kernels.random.generator import key_of, key_of_name
from ffcv_hydra.ordering.base import Ordering, SampleSet
from ffcv_hydra.ordering.identity import versioned
from ffcv_hydra.ordering.orders import sort_keys


class Mixed(Ordering):
    """Members in turn by their shares, in random places of each batch; the samples of each in an order of its own.

    Args:
        mixture: the shares.
        members: the ids of each member's samples, int64 (M,) or a range; the sample set has them one after another.
        ordering: of each member's samples. Its epochs are the passes over the member, counted from the first epoch on.
        batch_size: samples in a global batch.
        drop_last: whether the last one is not read if it is not full: its samples come in the next epoch.
    """

    def __init__(
        self,
        mixture: Mixture,
        members: Sequence[np.ndarray | range],
        ordering: Ordering,
        batch_size: int,
        drop_last: bool,
    ) -> None:
        self._mixture, self._members, self._ordering, self._batch_size = mixture, members, ordering, batch_size
        self.epoch_size = mixture.epoch_size or sum(map(len, members))
        self._read = self.epoch_size // batch_size * batch_size if drop_last else self.epoch_size

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
            its = self._sample_set(member, samples)
            numbers, begins = np.unique(passes, return_index=True)
            for number, begin, end in zip(numbers.tolist(), begins, [*begins[1:], len(places)], strict=False):
                order[places[begin:end]] = self._ordering.sample_order(its, number)[at[begin:end]]
        return order

    def _sample_set(self, member: int, samples: SampleSet) -> SampleSet:
        """What the ordering of a member's samples may know."""
        ids = self._members[member]
        seed = int(key_of(samples.seed, key_of_name("ordering/member"), member)[0])
        chosen = np.arange(ids.start, ids.stop) if isinstance(ids, range) else ids
        return SampleSet(chosen, seed, samples.page_of, samples.reader)

    def length(self, samples: SampleSet) -> int:
        """`epoch_size`."""
        return self.epoch_size

    def frequencies(self, samples: SampleSet) -> np.ndarray | None:
        """By the shares, and within a member by its ordering; None if shares change with the epoch."""
        if max(map(len, self._mixture.shares)) > 1:
            return None
        found = []
        for member, share in enumerate(self._mixture.shares_in(0)):
            within = self._ordering.frequencies(self._sample_set(member, samples))
            assert within is not None  # a member is no mixture
            found.append(within * (self.epoch_size * share / len(within)))
        return np.concatenate(found)

    def identity(self, samples: SampleSet) -> str:
        """The shares, where members end, the size of an epoch, and what the members' ordering is known by."""
        shares, inner = [list(of_one) for of_one in self._mixture.shares], self._ordering.identity(samples)
        return versioned(f"Mixed({shares}, {list(map(len, self._members))}, {self.epoch_size}, {inner})", self.version)

    def is_of_content(self) -> bool:
        """Whether the members' ordering is."""
        return self._ordering.is_of_content()

    def _drawn_before(self, member: int, epoch: int) -> int:
        """How many samples of a member came in the epochs before one."""
        listed = max(map(len, self._mixture.shares)) - 1  # from this epoch on, shares stay what they are
        counts = [self._counts(number)[member] for number in range(min(epoch, listed))]
        return sum(counts) + max(0, epoch - listed) * self._counts(listed)[member]

    def _counts(self, epoch: int) -> tuple[int, ...]:
        return _counts(tuple(self._mixture.shares_in(epoch)), self._read)


def _turns(shares: np.ndarray, count: int) -> np.ndarray:
    """int32 (count,): whose turn each is, for float64 (num_members,) shares."""
    turns = np.empty(count, dtype=np.int32)
    apportion(shares, turns)
    return turns


@functools.lru_cache(maxsize=64)
def _counts(shares: tuple[float, ...], count: int) -> tuple[int, ...]:
    """How many of `count` turns each member has."""
    return tuple(np.bincount(_turns(np.array(shares), count), minlength=len(shares)).tolist())
