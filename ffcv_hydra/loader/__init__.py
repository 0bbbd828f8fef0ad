"""Batches of a beton: `Loader`."""

from ffcv_hydra.loader.loader import Loader

__all__ = ["Loader"]
