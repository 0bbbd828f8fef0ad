"""What an ordering is and what it may know."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from ffcv_hydra.ordering.identity import describe, digest


@dataclass(frozen=True)
class SampleSet:
    """What an ordering may know.

    Attributes:
        indices: int64 (N,), the ids of the samples to be ordered.
        seed: of the run.
        pages: gives int64 (N,), the page of the file that each of them starts in.
        reader: the open beton.
    """

    indices: np.ndarray
    seed: int
    pages: Callable[[], np.ndarray]
    reader: Any


class Ordering(ABC):
    """Base of the orderings that configs name by `_target_`.

    Attributes:
        each_once: whether every sample comes exactly once, so that nobody has to look for those that come again. It
            holds for the class that says so, and not for those derived from it, which may give another order.
        by_pages: whether it reads the samples of a page close together, so that whole pages are worth reading.
    """

    each_once: ClassVar[bool] = False
    by_pages: ClassVar[bool] = False

    @abstractmethod
    def sample_order(self, samples: SampleSet, epoch: int) -> np.ndarray:
        """int64, the ids in the order they are read in: the same for the same seed and epoch, on every rank."""

    def identity(self, samples: SampleSet) -> str:
        """What a state to resume from knows the ordering by: its class and its arguments, by their content.

        Attributes without an underscore are taken for the arguments. Where one of them is a function or another object
        whose content cannot be written down, the orders of the first two epochs are part of it.
        """
        arguments = {name: describe(value) for name, value in sorted(vars(self).items()) if not name.startswith("_")}
        texts = [f"{name}={'...' if value is None else value}" for name, value in arguments.items()]
        if None in arguments.values():
            orders = (np.asarray(self.sample_order(samples, epoch), dtype=np.int64).tobytes() for epoch in (0, 1))
            texts.append(f"giving orders with the SHA-256 {digest(*orders)}")
        return f"{type(self).__name__}({', '.join(texts)})"
