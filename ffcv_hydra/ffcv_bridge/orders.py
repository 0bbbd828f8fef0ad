"""FFCV's `TraversalOrder` classes as orderings."""

from types import SimpleNamespace
from typing import Any

import numpy as np
from ffcv.traversal_order.base import TraversalOrder

from ffcv_hydra.ordering.base import Ordering, SampleSet


class FFCVOrdering(Ordering):
    """One of FFCV's `TraversalOrder` classes, a user's own for example; it sees the indices, the seed and the beton.

    Args:
        traversal_order: the class.
        arguments: what it takes besides the loader.
    """

    def __init__(self, traversal_order: type[TraversalOrder], **arguments: Any) -> None:
        self.traversal_order = traversal_order
        self.arguments = arguments

    def __call__(self, **arguments: Any) -> "FFCVOrdering":
        """The same class with other arguments, as where a config names it."""
        return FFCVOrdering(self.traversal_order, **arguments)

    def sample_order(self, samples: SampleSet, epoch: int) -> np.ndarray:
        """int64: what the class gives, called as if there were one rank."""
        loader = SimpleNamespace(
            indices=samples.indices, seed=samples.seed, distributed=False, reader=samples.reader, batch_size=1
        )
        return np.asarray(self.traversal_order(loader, **self.arguments).sample_order(epoch))
