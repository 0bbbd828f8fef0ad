"""Grain's dataset with worker processes, decoding with OpenCV."""

from pathlib import Path

import grain
import numpy as np
import torch

from benchmarks.contenders.opencv_image import as_torch_images, decode
from benchmarks.work import Epochs, Work, endless

PACKAGES = ("grain",)


class Decode(grain.transforms.Map):
    """Decoded, cropped and resampled photographs, as arrays."""

    def __init__(self, work: Work) -> None:
        self.work = work

    def map(self, path: Path) -> np.ndarray:
        """uint8 (H, W, 3) of one file."""
        return decode(path.read_bytes(), self.work).numpy()


def batches(work: Work) -> Epochs:
    """Epochs of one iterator that runs on and on."""
    photos = grain.MapDataset.source(work.paths()).seed(0).shuffle().repeat()
    dataset = photos.to_iter_dataset().map(Decode(work)).batch(work.batch_size)
    iterator = iter(dataset.mp_prefetch(grain.multiprocessing.MultiprocessingOptions(num_workers=work.workers)))
    return endless((as_torch_images(torch.from_numpy(batch)) for batch in iterator), work)
