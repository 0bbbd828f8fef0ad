"""Which samples come when, and the key of each: functions of the epoch."""

import hashlib

import numpy as np

from ffcv_hydra.beton import Beton
from ffcv_hydra.errors import LoaderError
from ffcv_hydra.kernels.random import fold, key_of, key_of_name
from ffcv_hydra.loader.indices import first_pages
from ffcv_hydra.ordering import Ordering, SampleSet, occurrences

_LONGEST = 200  # characters of arguments that are kept as they are


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
        self._known: tuple[int, np.ndarray, np.ndarray] | None = None

    def ids(self, epoch: int) -> np.ndarray:
        """int64 (N,): the ids in the order of `epoch`.

        Raises:
            LoaderError: the ordering gave something else.
        """
        return self._of(epoch)[0]

    def keys(self, epoch: int, positions: np.ndarray) -> np.ndarray:
        """uint64, as many as `positions`: one per place in the order, of seed, epoch, id and occurrence of the id."""
        ids, repeats = self._of(epoch)
        epoch_key = key_of(self._samples.seed, key_of_name("samples"), epoch)
        return fold(epoch_key, ids[positions].astype(np.uint64), repeats[positions])

    def _of(self, epoch: int) -> tuple[np.ndarray, np.ndarray]:
        if self._known is None or self._known[0] != epoch:
            count, num_samples = len(self._samples.indices), self._beton.num_samples
            order = np.ascontiguousarray(self.ordering.sample_order(self._samples, epoch), dtype=np.int64)
            if order.shape != (count,) or (count and not 0 <= order.min() <= order.max() < num_samples):
                raise LoaderError(f"{self.describe()} gave {len(order)} ids for {count} samples, or unknown ids")
            self._known = (epoch, order, occurrences(order, num_samples))
        return self._known[1:]

    def describe(self) -> str:
        """The ordering and its arguments, as text to be compared."""
        arguments = ", ".join(f"{name}={value}" for name, value in sorted(vars(self.ordering).items()))
        if len(arguments) > _LONGEST:  # a list of weights, for example
            arguments = hashlib.sha256(arguments.encode()).hexdigest()[:16]
        return f"{type(self.ordering).__name__}({arguments})"
