"""In which order samples are read, and how an order is split over ranks.

An order is a pure function of (seed, epoch): every rank computes the whole of it, or the positions that it takes. So
nothing is communicated, and nothing depends on what was read before.
"""

from ffcv_hydra.ordering.base import BlockwiseOrdering, Ordering, PositionalOrdering, SampleSet
from ffcv_hydra.ordering.naming import as_ordering
from ffcv_hydra.ordering.options import OrderOption
from ffcv_hydra.ordering.orders import QuasiRandom, Random, Sequential
from ffcv_hydra.ordering.ranks import RankBatches, are_distinct, occurrences, split_over_ranks
from ffcv_hydra.ordering.sampling import ClassBalanced, Weighted

__all__ = [
    "BlockwiseOrdering",
    "ClassBalanced",
    "OrderOption",
    "Ordering",
    "PositionalOrdering",
    "QuasiRandom",
    "Random",
    "RankBatches",
    "SampleSet",
    "Sequential",
    "Weighted",
    "are_distinct",
    "as_ordering",
    "occurrences",
    "split_over_ranks",
]
