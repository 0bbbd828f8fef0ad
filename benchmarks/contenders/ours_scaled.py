"""This project with `scaled_decoding`: photographs much larger than the output are decoded at a part of their size."""

from benchmarks.contenders import ours
from benchmarks.work import Epochs, Work
from ffcv_hydra.operations import RandomHorizontalFlip, RandomResizedCrop

PACKAGES = ours.PACKAGES


def batches(work: Work) -> Epochs:
    """Epochs of the loader."""
    operations = [RandomResizedCrop(work.size, scaled_decoding=True), RandomHorizontalFlip()]
    return ours.epochs(ours.loader(ours.beton(work), work, operations))
