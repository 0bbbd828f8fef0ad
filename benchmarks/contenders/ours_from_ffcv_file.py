"""This project, from a beton that stock FFCV wrote: without checksums, and without restart markers in its JPEGs."""

from benchmarks.contenders import ours, stock_ffcv
from benchmarks.work import Epochs, Work

PACKAGES = ours.PACKAGES


def batches(work: Work) -> Epochs:
    """Epochs of the loader."""
    return ours.epochs(ours.loader(stock_ffcv.beton(work), work))
