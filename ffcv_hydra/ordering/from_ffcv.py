"""FFCV's ways to name an order: its options, and `TraversalOrder` classes."""

import ffcv_hydra._ffcv  # noqa: F401  (before anything of FFCV)

from types import SimpleNamespace
from typing import Any

import numpy as np
from ffcv.loader import OrderOption
from ffcv.traversal_order.base import TraversalOrder

from ffcv_hydra.errors import LoaderError
from ffcv_hydra.ordering.base import Ordering, SampleSet
from ffcv_hydra.ordering.orders import QuasiRandom, Random, Sequential


class FFCVOrdering(Ordering):
    """One of FFCV's `TraversalOrder` classes, a user's own for example; it sees the indices, the seed and the beton.

    Args:
        traversal_order: the class.
        arguments: what it takes besides the loader.
    """

    def __init__(self, traversal_order: type[TraversalOrder], **arguments: Any) -> None:
        self.traversal_order = traversal_order
        self.arguments = arguments

    def sample_order(self, samples: SampleSet, epoch: int) -> np.ndarray:
        """int64: what the class gives, called as if there were one rank."""
        loader = SimpleNamespace(
            indices=samples.indices, seed=samples.seed, distributed=False, reader=samples.reader, batch_size=1
        )
        return np.asarray(self.traversal_order(loader, **self.arguments).sample_order(epoch))


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
