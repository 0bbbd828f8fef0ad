"""LitData's streaming dataset and data loader, decoding with OpenCV."""

from functools import partial
from pathlib import Path

import torch
from litdata import StreamingDataLoader, StreamingDataset, optimize
from litdata.streaming.resolver import Dir

from benchmarks.contenders.opencv_image import as_torch_images, decode
from benchmarks.work import Epochs, Work, made

PACKAGES = ("litdata",)


class Photos(StreamingDataset):
    """Decoded, cropped and resampled photographs."""

    def __init__(self, folder: str | Dir, work: Work) -> None:
        super().__init__(folder, shuffle=True)
        self.work = work

    def __getitem__(self, index: int) -> torch.Tensor:
        return decode(super().__getitem__(index)["jpeg"], self.work)


def batches(work: Work) -> Epochs:
    """Epochs of the loader."""
    folder = made(f"litdata-{work.count}", partial(write, work))
    loader = StreamingDataLoader(
        Photos(str(folder), work), batch_size=work.batch_size, num_workers=work.workers, persistent_workers=True
    )
    return Epochs(lambda: map(as_torch_images, loader))


def write(work: Work, folder: Path, chunk_bytes: int = 64_000_000) -> None:
    """Write the photographs."""
    paths = [str(path.absolute()) for path in work.paths()]
    optimize(_read, paths, str(folder), chunk_bytes=chunk_bytes, num_workers=work.workers, verbose=False)


def _read(path: str) -> dict[str, bytes]:
    return {"jpeg": Path(path).read_bytes()}
