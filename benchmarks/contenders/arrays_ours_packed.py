"""This project, from images in tiles that zstd packs."""

from benchmarks.contenders import arrays_ours
from benchmarks.work import Epochs, Work

PACKAGES = ("ffcv_hydra", "zstandard")


def batches(work: Work) -> Epochs:
    """Epochs of the loader."""
    return arrays_ours.batches(work, "zstd")
