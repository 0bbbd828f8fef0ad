"""In which order samples are read, and how an order is split over ranks.

An order is a pure function of (seed, epoch): every rank computes the whole of it and takes its part, so that nothing is
communicated and nothing depends on what was read before.
"""

import ffcv_hydra._ffcv  # noqa: F401  (before anything of FFCV)

from ffcv_hydra.ordering.base import Ordering, SampleSet
from ffcv_hydra.ordering.from_ffcv import FFCVOrdering, as_ordering
from ffcv_hydra.ordering.orders import QuasiRandom, Random, Sequential
from ffcv_hydra.ordering.ranks import RankBatches, occurrences, split_over_ranks
from ffcv_hydra.ordering.sampling import ClassBalanced, Weighted

__all__ = [
    "ClassBalanced",
    "FFCVOrdering",
    "Ordering",
    "QuasiRandom",
    "Random",
    "RankBatches",
    "SampleSet",
    "Sequential",
    "Weighted",
    "as_ordering",
    "occurrences",
    "split_over_ranks",
]
