"""Batches of a beton: `Loader`."""

from ffcv_hydra.imports import without_collecting

with without_collecting():
    from ffcv_hydra.loader.loader import Loader

__all__ = ["Loader"]
