"""A share of a dataset's samples, for splits that come from one beton."""

from __future__ import annotations

import numpy as np

from ffcv_hydra.errors import ConfigError


class SplitFraction:
    """From a number of samples to the indices of a share of them.

    All samples are shuffled with `seed`; the share is what stands from `start` to `stop` of that order. Shares that
    only touch (0 to 0.9, 0.9 to 1) have no sample in common and together have all.

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

    def __call__(self, num_samples: int) -> np.ndarray:
        """The indices, int64, ascending."""
        shuffled = np.random.default_rng(self.seed).permutation(num_samples)
        share = shuffled[round(self.start * num_samples) : round(self.stop * num_samples)]
        return np.sort(share).astype(np.int64)
