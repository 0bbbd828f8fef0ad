"""FFCV's `TraversalOrder` classes as orderings, and the other way round."""

from types import SimpleNamespace
from typing import Any

import numpy as np
from ffcv.traversal_order.base import TraversalOrder

from ffcv_hydra.ordering import QuasiRandom
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


class GivenOrder(Ordering):
    """The order of one pass, as ids that are there.

    Args:
        ids: any number of them, each as often as it shall be read.
        by_pages: whether those of a page are close together.
    """

    def __init__(self, ids: np.ndarray, by_pages: bool) -> None:
        self.ids = ids
        self.by_pages = by_pages  # type: ignore[misc]

    def length(self, samples: SampleSet) -> int:
        """The number of ids."""
        return len(self.ids)

    def sample_order(self, samples: SampleSet, epoch: int) -> np.ndarray:
        """The ids."""
        return self.ids


class PagewiseOrder(TraversalOrder):
    """This package's `QuasiRandom` as one of FFCV's orders: it is the same for the same seed and epoch."""

    def __init__(self, loader: Any) -> None:
        super().__init__(loader)
        if self.distributed:
            raise NotImplementedError("FFCV's Loader has no QUASI_RANDOM with distributed=True; use RANDOM")

    def sample_order(self, epoch: int) -> np.ndarray:
        """int64: the ids of an epoch."""
        return QuasiRandom().sample_order(self.loader.passes.order.sample_set, epoch)
