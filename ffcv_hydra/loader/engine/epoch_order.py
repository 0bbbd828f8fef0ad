"""Which samples come when, and the key of each: functions of the epoch."""

import functools
from collections.abc import Iterator, Sequence

import numpy as np

from ffcv_hydra.beton import Beton
from ffcv_hydra.errors import LoaderError
from ffcv_hydra.kernels.random.generator import fold, key_of, key_of_name
from ffcv_hydra.loader.engine.indices import first_pages
from ffcv_hydra.ordering import BlockwiseOrdering, Ordering, PositionalOrdering, SampleSet, are_distinct, occurrences

_BLOCKS_KEPT = 3  # two passes may be in different ones, and a batch may be from two


class EpochOrder:
    """The order of the samples of one loader, the same on every rank.

    Args:
        beton: the open file.
        chosen: ids of the samples that are read, int64 (N,), or a range for all.
        ordering: of them.
        seed: of the order and the keys.
    """

    def __init__(self, beton: Beton, chosen: np.ndarray | range, ordering: Ordering, seed: int) -> None:
        self.ordering = ordering
        self.sample_set = SampleSet(chosen, seed, functools.partial(first_pages, beton), beton)
        self._bounds: tuple[int, np.ndarray] | None = None
        self._blocks: dict[tuple[int, int], np.ndarray] = {}  # the last ones, by epoch and number
        self._known: tuple[int, np.ndarray | None, np.ndarray | None, np.ndarray] | None = None

    def __len__(self) -> int:
        return self.ordering.length(self.sample_set)

    def ids(self, epoch: int, positions: np.ndarray) -> np.ndarray:
        """int64 (M,): the ids at `positions`, int64 (M,), of the order of `epoch`.

        Raises:
            LoaderError: the ordering gave something else.
        """
        return self._at(positions, epoch, self._of(epoch)[0])

    def samples(self, epoch: int, batches: Sequence[np.ndarray]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Ids, int64, and keys, uint64, of the samples of several batches, for each of these.

        A key is made of seed, epoch, the id, and how often it was in the order before. For all batches together that
        takes hardly longer than for one.

        Args:
            epoch: whose order it is.
            batches: int64 arrays, the positions of each in the order.
        """
        order, repeats, epoch_key = self._of(epoch)
        positions = np.concatenate(batches)
        ids = self._at(positions, epoch, order)
        keys = fold(fold(epoch_key, ids.view(np.uint64)), 0 if repeats is None else repeats[positions])
        end = 0
        for batch in batches:
            begin, end = end, end + len(batch)
            yield ids[begin:end], keys[begin:end]

    def _at(self, positions: np.ndarray, epoch: int, order: np.ndarray | None) -> np.ndarray:
        if order is not None:
            return order[positions]
        if isinstance(self.ordering, BlockwiseOrdering):
            return self._from_blocks(self.ordering, positions, epoch)
        assert isinstance(self.ordering, PositionalOrdering)
        return self._checked(self.ordering.ids(self.sample_set, epoch, positions), len(positions))

    def _from_blocks(self, ordering: BlockwiseOrdering, positions: np.ndarray, epoch: int) -> np.ndarray:
        known = self._bounds
        if known is None or known[0] != epoch:
            known = self._bounds = epoch, ordering.bounds(self.sample_set, epoch)
        bounds = known[1]
        ids, numbers = np.empty(len(positions), dtype=np.int64), np.searchsorted(bounds, positions, side="right") - 1
        for number in np.unique(numbers).tolist():
            block = self._blocks.get((epoch, number))
            if block is None:
                begin, end = bounds[number : number + 2].tolist()
                block = self._checked(ordering.block(self.sample_set, epoch, number), end - begin)
                self._blocks = dict([*self._blocks.items(), ((epoch, number), block)][-_BLOCKS_KEPT:])
            here = numbers == number
            ids[here] = block[positions[here] - bounds[number]]
        return ids

    def _of(self, epoch: int) -> tuple[np.ndarray | None, np.ndarray | None, np.ndarray]:
        """The order, None if it is made in parts, how often each id was in it before, None for never, and the key."""
        known = self._known  # another pass may put another epoch there
        if known is None or known[0] != epoch:
            order = repeats = None
            if not self._is_made_in_parts:
                given = self.ordering.sample_order(self.sample_set, epoch)
                order = self._checked(given, len(self))
                is_once = vars(type(self.ordering)).get("each_once", False) and self._are_distinct  # not inherited
                repeats = None if is_once else occurrences(order)
            key = key_of(self.sample_set.seed, key_of_name("samples"), epoch)
            known = self._known = epoch, order, repeats, key
        return known[1:]

    def _checked(self, ids: np.ndarray, count: int) -> np.ndarray:
        ids = np.ascontiguousarray(ids, dtype=np.int64)
        if ids.shape != (count,) or (count and not 0 <= ids.min() <= ids.max() < self.sample_set.reader.num_samples):
            name = type(self.ordering).__name__
            raise LoaderError(f"{name} gave {len(ids)} ids for {count} samples, or unknown ids")
        return ids

    @functools.cached_property
    def _is_made_in_parts(self) -> bool:
        """Whether the ids at some positions can be had without all others, and are in the order once."""
        kind = type(self.ordering)
        bases = [base for base in (PositionalOrdering, BlockwiseOrdering) if issubclass(kind, base)]
        return bool(bases) and kind.sample_order is bases[0].sample_order and self._are_distinct

    @functools.cached_property
    def _are_distinct(self) -> bool:
        """Whether no id is read twice in an epoch."""
        chosen = self.sample_set.chosen
        return isinstance(chosen, range) or are_distinct(chosen)

    def identity(self) -> str:
        """What a state to resume from knows the order by."""
        return self.ordering.identity(self.sample_set)
