"""Which samples come when, and the key of each: functions of the epoch."""

import functools
from collections.abc import Iterator, Sequence

import numpy as np

from ffcv_hydra.beton import Beton
from ffcv_hydra.errors import LoaderError
from ffcv_hydra.kernels.random.generator import fold, key_of, key_of_name
from ffcv_hydra.loader.engine.indices import first_pages
from ffcv_hydra.ordering import Ordering, SampleSet, occurrences


class EpochOrder:
    """The order of the samples of one loader, the same on every rank.

    Args:
        beton: the open file.
        indices: int64 (N,), ids of the samples that are read.
        ordering: of them.
        seed: of the order and the keys.
    """

    def __init__(self, beton: Beton, indices: np.ndarray, ordering: Ordering, seed: int) -> None:
        self.ordering = ordering
        self._beton = beton
        self._samples = SampleSet(indices, seed, lambda: first_pages(beton)[indices], beton)
        self._known: tuple[int, np.ndarray, np.ndarray | None, np.ndarray] | None = None

    def ids(self, epoch: int) -> np.ndarray:
        """int64 (N,): the ids in the order of `epoch`.

        Raises:
            LoaderError: the ordering gave something else.
        """
        return self._of(epoch)[0]

    def samples(self, epoch: int, places: Sequence[slice | np.ndarray]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Ids, int64, and keys, uint64, of the samples at several places in the order, for each of these.

        A key is made of seed, epoch, the id, and how often it was in the order before. For all places together that
        takes hardly longer than for one.
        """
        order, repeats, epoch_key = self._of(epoch)
        parts = [order[place] for place in places]
        keys = fold(epoch_key, np.concatenate(parts).view(np.uint64))
        again = 0 if repeats is None else np.concatenate([repeats[place] for place in places])
        keys, end = fold(keys, again), 0
        for ids in parts:
            begin, end = end, end + len(ids)
            yield ids, keys[begin:end]

    def _of(self, epoch: int) -> tuple[np.ndarray, np.ndarray | None, np.ndarray]:
        """The order, how often each id was in it before (None for never), and the key of the epoch."""
        known = self._known  # another pass may put another epoch there
        if known is None or known[0] != epoch:
            count, num_samples = len(self._samples.indices), self._beton.num_samples
            order = np.ascontiguousarray(self.ordering.sample_order(self._samples, epoch), dtype=np.int64)
            if order.shape != (count,) or (count and not 0 <= order.min() <= order.max() < num_samples):
                name = type(self.ordering).__name__
                raise LoaderError(f"{name} gave {len(order)} ids for {count} samples, or unknown ids")
            is_once = vars(type(self.ordering)).get("each_once", False) and self._are_distinct  # not inherited
            repeats = None if is_once else occurrences(order, num_samples)
            known = self._known = epoch, order, repeats, key_of(self._samples.seed, key_of_name("samples"), epoch)
        return known[1:]

    @functools.cached_property
    def _are_distinct(self) -> bool:
        """Whether no id is read twice in an epoch."""
        indices = self._samples.indices
        return len(indices) == 0 or bool(np.bincount(indices).max() == 1)

    def identity(self) -> str:
        """What a state to resume from knows the order by."""
        return self.ordering.identity(self._samples)
