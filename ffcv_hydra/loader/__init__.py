"""Batches of a beton: `Loader`."""

import ffcv_hydra._ffcv  # noqa: F401  (before anything of FFCV)

from ffcv_hydra.loader.loader import Loader

__all__ = ["Loader"]
