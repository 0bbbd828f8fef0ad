"""Orders that draw samples with replacement, some more often than others.

An epoch is as long as the data: N draws of N samples. A sample that comes again in an epoch is augmented anew.
"""

import functools
import os
from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np

from ffcv_hydra.beton.fields.scalar_fields import FloatField, IntField
from ffcv_hydra.errors import LoaderError
from ffcv_hydra.ordering.base import Ordering, SampleSet
from ffcv_hydra.ordering.identity import describe
from ffcv_hydra.ordering.orders import sort_keys


class _WithReplacement(Ordering):
    @abstractmethod
    def weights(self, samples: SampleSet) -> np.ndarray:
        """float64 (N,), not negative, not all zero: how often each of `samples.indices` is to come."""

    def sample_order(self, samples: SampleSet, epoch: int) -> np.ndarray:
        """int64 (N,): drawn with replacement, in proportion to the weights."""
        ends = np.cumsum(self.weights(samples))
        draws = sort_keys("with replacement", samples.seed, epoch, len(ends)) / 2.0**64 * ends[-1]
        # 'right' never chooses a weight of zero, and rounding must not lead behind the last one above it
        last = int(np.searchsorted(ends, ends[-1], side="left"))
        return samples.at(np.minimum(np.searchsorted(ends, draws, side="right"), last))

    def frequencies(self, samples: SampleSet) -> np.ndarray:
        """In proportion to the weights."""
        weights = self.weights(samples)
        return weights * (len(weights) / weights.sum())


class Weighted(_WithReplacement):
    """Draws samples in proportion to given weights, as `torch.utils.data.WeightedRandomSampler` does.

    Args:
        weights: a number of at least 0 per sample of the file: a list, the path of a `.npy` file, or the name of an int
            or float field of the beton.
    """

    of_content: ClassVar[bool] = True

    def __init__(self, weights: Sequence[float] | str) -> None:
        self.given = weights if isinstance(weights, str) else [float(weight) for weight in weights]
        if isinstance(self.given, str) and self.given.endswith(".npy"):
            self.given = os.path.abspath(os.path.expanduser(self.given))

    def weights(self, samples: SampleSet) -> np.ndarray:
        """float64 (N,): those of `samples.indices`.

        Raises:
            LoaderError: they cannot be read, or do not fit the file.
        """
        if not isinstance(self.given, str):
            found, name = np.array(self.given), "the list"
        elif self._is_file:
            found, name = self._of_file, self.given
        else:
            found, name = _numbers(samples, self.given, "Weighted", (IntField, FloatField)), f"field '{self.given}'"
        count = samples.reader.num_samples
        if found.shape != (count,):
            raise LoaderError(
                f"Weighted: {name} has the shape {found.shape}; give one weight for each of {count} samples"
            )
        chosen = samples.of(found).astype(np.float64)
        if not np.isfinite(chosen).all() or (chosen < 0).any() or not chosen.any():
            raise LoaderError(f"Weighted: {name} holds a weight below 0 or no number, or zeros alone")
        return chosen

    def identity(self, samples: SampleSet) -> str:
        """What a state to resume from knows the ordering by: of a file its content, whatever its name."""
        return f"Weighted({describe(self._of_file)})" if self._is_file else super().identity(samples)

    @property
    def _is_file(self) -> bool:
        return isinstance(self.given, str) and self.given.endswith(".npy")

    @functools.cached_property
    def _of_file(self) -> np.ndarray:
        """Read once: a file that is replaced during a run must not change its order."""
        assert isinstance(self.given, str)
        return _load(self.given)


class ClassBalanced(_WithReplacement):
    """Draws each class equally often, whatever its number of samples.

    Args:
        field: the int field with the class of each sample.
    """

    of_content: ClassVar[bool] = True

    def __init__(self, field: str = "label") -> None:
        self.field = field

    def weights(self, samples: SampleSet) -> np.ndarray:
        """float64 (N,): one over the number of samples of each one's class.

        Raises:
            LoaderError: there is no such int field.
        """
        classes = samples.of(_numbers(samples, self.field, "ClassBalanced", (IntField,)))
        _, position, counts = np.unique(classes, return_inverse=True, return_counts=True)
        return 1.0 / counts[position]


def _load(path: str) -> np.ndarray:
    try:
        return np.load(Path(path))
    except (OSError, ValueError) as error:
        raise LoaderError(f"Weighted: {path} cannot be read: {' '.join(str(error).split())}") from error


def _numbers(samples: SampleSet, field: str, ordering: str, kinds: tuple[type, ...]) -> np.ndarray:
    fields = samples.reader.fields
    fitting = [name for name, kind in fields.items() if isinstance(kind, kinds)]
    if field not in fitting:
        has = ", ".join(fitting) or "none"
        raise LoaderError(f"{ordering}: {samples.reader.path} has no field '{field}' of one number; it has {has}")
    return np.asarray(samples.reader.field_metadata(field))
