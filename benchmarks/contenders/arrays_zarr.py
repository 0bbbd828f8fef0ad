"""torch's DataLoader on a Zarr array in chunks of 128 pixels, as Zarr packs them, crops resampled by torchvision."""

from pathlib import Path

import numpy as np
import zarr  # type: ignore[import-not-found]

from benchmarks.arrays import CHANNELS, SIDE, Cropped, MadeUp, loaded
from benchmarks.work import Epochs, Work, made

PACKAGES = ("torch", "torchvision", "zarr")


def batches(work: Work) -> Epochs:
    """Epochs of the loader."""

    def write(path: Path) -> None:
        shape, chunks = (work.photos, SIDE, SIDE, CHANNELS), (1, 128, 128, CHANNELS)
        array = zarr.open(str(path), mode="w", shape=shape, chunks=chunks, dtype=np.float32)
        for index, (image,) in enumerate(MadeUp(work.photos)):
            array[index] = image

    return loaded(Cropped(zarr.open(str(made(f"arrays-{work.photos}.zarr", write)), mode="r"), work), work)
