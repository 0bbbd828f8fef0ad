"""Mosaic's streaming dataset and torch's DataLoader, decoding with OpenCV."""

from functools import partial
from pathlib import Path

import torch
from streaming import MDSWriter, StreamingDataset
from streaming.base.util import clean_stale_shared_memory
from torch.utils.data import DataLoader

from benchmarks.contenders.opencv_image import as_torch_images, decode
from benchmarks.work import Epochs, Work, made

PACKAGES = ("mosaicml-streaming",)


class Photos(StreamingDataset):
    """Decoded, cropped and resampled photographs."""

    def __init__(self, folder: Path | str, work: Work, remote: str | None = None) -> None:
        super().__init__(remote=remote, local=str(folder), shuffle=True, batch_size=work.batch_size)
        self.work = work

    def __getitem__(self, index: int) -> torch.Tensor:
        return decode(super().__getitem__(index)["jpeg"], self.work)


def batches(work: Work) -> Epochs:
    """Epochs of the loader."""
    clean_stale_shared_memory()
    dataset = Photos(made(f"mosaic-{work.count}", partial(write, work)), work)
    loader = DataLoader(dataset, work.batch_size, num_workers=work.workers, persistent_workers=True)
    return Epochs(lambda: map(as_torch_images, loader))


def write(work: Work, folder: Path, size_limit: int = 1 << 26) -> None:
    """Write the photographs."""
    with MDSWriter(out=str(folder), columns={"jpeg": "bytes"}, size_limit=size_limit) as writer:
        for path in work.paths():
            writer.write({"jpeg": path.read_bytes()})
