"""torch's DataLoader on a memory-mapped NumPy file, crops resampled by torchvision."""

from pathlib import Path

import numpy as np
from numpy.lib.format import open_memmap

from benchmarks.arrays import CHANNELS, SIDE, Cropped, MadeUp, loaded
from benchmarks.work import Epochs, Work, made

PACKAGES = ("torch", "torchvision", "numpy")


def batches(work: Work) -> Epochs:
    """Epochs of the loader."""

    def write(path: Path) -> None:
        file = open_memmap(path, "w+", np.float32, (work.photos, SIDE, SIDE, CHANNELS))
        for index, (image,) in enumerate(MadeUp(work.photos)):
            file[index] = image
        file.flush()

    return loaded(Cropped(np.load(made(f"arrays-{work.photos}.npy", write), mmap_mode="r"), work), work)
