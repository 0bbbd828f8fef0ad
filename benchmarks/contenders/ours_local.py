"""This project, from the same sharded beton on this machine, in the same order."""

from benchmarks.contenders import ours, ours_remote
from benchmarks.work import Epochs, Work
from ffcv_hydra.ordering.options import OrderOption

PACKAGES = ours.PACKAGES


def store(work: Work) -> None:
    """Write the photographs."""
    ours_remote.folder(work)


def batches(work: Work) -> Epochs:
    """Epochs of the loader."""
    return ours.epochs(ours.loader(ours_remote.folder(work), work, ordering=OrderOption.QUASI_RANDOM))
