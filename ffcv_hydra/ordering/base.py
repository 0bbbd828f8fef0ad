"""What an ordering is and what it may know."""

import functools
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from ffcv_hydra.ordering.identity import describe, digest, versioned


@dataclass(frozen=True)
class SampleSet:
    """What an ordering may know.

    Attributes:
        chosen: the ids of the samples to be ordered: int64 (N,), or a range where they are all that there are.
        seed: of the run.
        page_of: gives int64 (M,), the page that each of the ids, int64 (M,), starts in.
        reader: the open beton.
    """

    chosen: np.ndarray | range
    seed: int
    page_of: Callable[[np.ndarray], np.ndarray]
    reader: Any

    def __len__(self) -> int:
        return len(self.chosen)

    @functools.cached_property
    def indices(self) -> np.ndarray:
        """int64 (N,): `chosen` as an array, which is made when it is asked for."""
        return np.arange(len(self.chosen)) if isinstance(self.chosen, range) else self.chosen

    def pages(self) -> np.ndarray:
        """int64 (N,): the page of the file that each of `indices` starts in."""
        return self.page_of(self.indices)

    def at(self, places: np.ndarray) -> np.ndarray:
        """int64 (M,): `indices[places]`, without that array."""
        return places if isinstance(self.chosen, range) else self.chosen[places]

    def of(self, values: np.ndarray) -> np.ndarray:
        """Of values of all samples of the file, (num_samples, ...), those of the chosen ones, (N, ...)."""
        return values if isinstance(self.chosen, range) else values[self.chosen]


class Ordering(ABC):
    """Base of the orderings that configs name by `_target_`.

    Attributes:
        each_once: whether every sample comes exactly once, so that nobody has to look for those that come again. It
            holds for the class that says so, and not for those derived from it, which may give another order.
        by_pages: whether it reads the samples of a page close together, so that whole pages are worth reading.
        of_content: whether it follows from ids and metadata, however the samples are cut into files. As `each_once`.
        version: counted up when the same seed and arguments give another order than they did.
    """

    each_once: ClassVar[bool] = False
    of_content: ClassVar[bool] = False
    by_pages: ClassVar[bool] = False
    version: ClassVar[int] = 1

    @abstractmethod
    def sample_order(self, samples: SampleSet, epoch: int) -> np.ndarray:
        """int64, the ids in the order they are read in: the same for the same seed and epoch, on every rank."""

    def is_of_content(self) -> bool:
        """Whether its own class says that it is `of_content`."""
        return bool(vars(type(self)).get("of_content", False))

    def length(self, samples: SampleSet) -> int:
        """How many ids an epoch has: as many as there are samples."""
        return len(samples)

    def frequencies(self, samples: SampleSet) -> np.ndarray | None:
        """How often each of `samples.indices` comes in an epoch, on the mean, float64 (N,); None if epochs differ."""
        return np.ones(len(samples))

    def identity(self, samples: SampleSet) -> str:
        """What a state to resume from knows the ordering by: class, arguments, by their content, and version.

        Attributes without an underscore are taken for the arguments. Where one of them is a function or another object
        whose content cannot be written down, the orders of the first two epochs are part of it.
        """
        arguments = {name: describe(value) for name, value in sorted(vars(self).items()) if not name.startswith("_")}
        texts = [f"{name}={'...' if value is None else value}" for name, value in arguments.items()]
        if None in arguments.values():
            orders = (np.asarray(self.sample_order(samples, epoch), dtype=np.int64).tobytes() for epoch in (0, 1))
            texts.append(f"giving orders with the SHA-256 {digest(*orders)}")
        return versioned(f"{type(self).__name__}({', '.join(texts)})", self.version)


class PositionalOrdering(Ordering):
    """Base of the orderings in which every sample comes once, and its place can be computed without those of others.

    Nothing of them is proportional to the number of samples. A derived class that gives another `sample_order` is asked
    for that alone.
    """

    @abstractmethod
    def ids(self, samples: SampleSet, epoch: int, positions: np.ndarray) -> np.ndarray:
        """int64 (M,): the ids at `positions`, int64 (M,), of the epoch's order; the same on every rank."""

    def sample_order(self, samples: SampleSet, epoch: int) -> np.ndarray:
        """int64 (N,): the ids at all positions."""
        return self.ids(samples, epoch, np.arange(len(samples)))


class BlockwiseOrdering(Ordering):
    """Base of the orderings in which every sample comes once, and which are made block by block.

    Only the blocks in which samples are read are made. A derived class that gives another `sample_order` is asked for
    that alone.
    """

    @abstractmethod
    def bounds(self, samples: SampleSet, epoch: int) -> np.ndarray:
        """int64 (num_blocks + 1,): where in the epoch's order each block begins, and how long that is."""

    @abstractmethod
    def block(self, samples: SampleSet, epoch: int, number: int) -> np.ndarray:
        """int64: the ids of one block, in the order they are read in; the same on every rank."""

    def sample_order(self, samples: SampleSet, epoch: int) -> np.ndarray:
        """int64 (N,): the ids of all blocks."""
        num_blocks = len(self.bounds(samples, epoch)) - 1
        blocks = (self.block(samples, epoch, number) for number in range(num_blocks))
        return np.concatenate([np.empty(0, dtype=np.int64), *blocks])
