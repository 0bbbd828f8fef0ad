"""A share of a dataset's samples, for splits that come from one beton or one folder."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import numpy as np
import xxhash

from ffcv_hydra.errors import ConfigError

if TYPE_CHECKING:
    from ffcv_hydra.beton import Beton


def fill_fractions(fractions: Mapping[str, float | None]) -> dict[str, float]:
    """The fractions of the splits that there are: None is what the others leave, and 0 no split.

    Raises:
        ConfigError: if more than one is None, one is no share, or they add up to more than 1.
    """
    for name, fraction in fractions.items():
        if fraction is not None and not (isinstance(fraction, int | float) and 0 <= fraction <= 1):
            raise ConfigError(f"dataset.fractions.{name}={fraction}: use a share from 0 to 1, or null for what is left")
    open_ones = [name for name, fraction in fractions.items() if fraction is None]
    if len(open_ones) > 1:
        raise ConfigError(f"dataset.fractions: {' and '.join(open_ones)} are null; only one can have what others leave")
    rest = round(1 - sum(fraction for fraction in fractions.values() if fraction is not None), 9)
    if rest < 0:
        raise ConfigError(f"dataset.fractions={dict(fractions)}: the shares add up to more than 1")
    filled = {name: rest if fraction is None else fraction for name, fraction in fractions.items()}
    return {name: fraction for name, fraction in filled.items() if fraction != 0}


class SplitFraction:
    """From samples to the indices of a share of them.

    A hash of each sample's name, between 0 and 1, says to which share it belongs, so that samples that come or go never
    move another one to another share. A sample without a name is called by its index. Shares that only touch (0 to 0.9,
    0.9 to 1) have no sample in common and together have all; of few samples, their sizes are approximate.

    Betons that earlier versions of this package made, and FFCV's, keep the rule that they were split by: all samples
    are shuffled, and the share is what stands from `start` to `stop` of that order.

    Args:
        start: Begin of the share, from 0.
        stop: End of the share, up to 1.
        seed: The same for all splits of a dataset.

    Raises:
        ConfigError: unless 0 <= start < stop <= 1.
    """

    def __init__(self, start: float, stop: float, seed: int = 0) -> None:
        if not 0 <= start < stop <= 1:
            raise ConfigError(f"split from {start} to {stop}: use 0 <= start < stop <= 1")
        self.start = start
        self.stop = stop
        self.seed = seed

    @classmethod
    def named(cls, split: str, fractions: Mapping[str, float], seed: int = 0) -> SplitFraction:
        """The share of one split, from the fractions of all, which take their places in their order.

        Raises:
            ConfigError: if there is no such split, or the fractions are not above 0 or add up to more than 1.
        """
        if min(fractions.values(), default=0) <= 0 or sum(fractions.values()) > 1 + 1e-9:
            raise ConfigError(f"dataset.fractions={dict(fractions)}: use shares above 0 that add up to at most 1")
        if split not in fractions:
            raise ConfigError(f"no split {split!r}; dataset.fractions has {', '.join(fractions)}")
        bounds = np.minimum(np.cumsum([0.0, *fractions.values()]).round(9), 1.0)
        position = list(fractions).index(split)
        return cls(float(bounds[position]), float(bounds[position + 1]), seed)

    def __call__(self, num_samples: int) -> np.ndarray:
        """The indices for samples without names, int64, ascending."""
        return self.of_names(map(str, range(num_samples)))

    def of_names(self, names: Iterable[str]) -> np.ndarray:
        """The indices of those of the samples that belong to the share, int64, ascending."""
        hashes = [xxhash.xxh64_intdigest(f"{self.seed}/{name}".encode(errors="surrogateescape")) for name in names]
        places = np.array(hashes, dtype=np.uint64) / 2.0**64
        return np.flatnonzero((places >= self.start) & ((places < self.stop) | (self.stop == 1))).astype(np.int64)

    def of_beton(self, beton: Beton) -> np.ndarray:
        """The indices of a beton's samples, int64, ascending."""
        from ffcv_hydra.beton.appendix import MANIFEST_VERSION

        if (beton.version or 0) < MANIFEST_VERSION:
            shuffled = np.random.default_rng(self.seed).permutation(beton.num_samples)
            return np.sort(shuffled[round(self.start * len(shuffled)) : round(self.stop * len(shuffled))])
        if beton.manifest is None:
            return self(beton.num_samples)
        return self.of_names(beton.manifest.sample_names(beton.num_samples))
