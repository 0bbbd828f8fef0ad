"""Fashion-MNIST, by way of torchvision or from its own four files."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ffcv_hydra.datasets.torchvision_splits import TorchvisionSplits

PARTS = {True: "train", False: "t10k"}
HEADER_BYTES = {"images-idx3": 16, "labels-idx1": 8}
SIDE = 28
CLASSES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)


class FashionMNIST(TorchvisionSplits):
    """28 x 28 grey images of ten kinds of clothing, as RGB: 60,000 for training, 10,000 for testing.

    Options as `TorchvisionSplits` has; `root` may also be a folder that holds the files as they are published
    (`train-images-idx3-ubyte.gz` and three more), which Debian's package dataset-fashion-mnist installs in
    /usr/share/datasets/fashion-mnist. See Xiao, Rasul and Vollgraf, arXiv:1708.07747.
    """

    title = "Fashion-MNIST"
    folder = "train-images-idx3-ubyte.gz and its three companions"

    def _torchvision(self) -> Any:
        from torchvision.datasets import FashionMNIST

        return FashionMNIST

    def _open(self, root: Path, train: bool, download: bool) -> Any:
        if (root / "train-images-idx3-ubyte.gz").is_file():
            return _PublishedFiles(root, PARTS[train])
        return super()._open(root, train, download)


class _PublishedFiles:
    classes = CLASSES

    def __init__(self, root: Path, part: str) -> None:
        self._images = _values(root, part, "images-idx3").reshape(-1, SIDE, SIDE)
        self._labels = _values(root, part, "labels-idx1")
        if len(self._images) != len(self._labels):
            raise ValueError(f"{part} has {len(self._images)} images and {len(self._labels)} labels")

    def __len__(self) -> int:
        return len(self._labels)

    def __getitem__(self, index: int) -> tuple[Image.Image, int]:
        return Image.fromarray(self._images[index]), int(self._labels[index])


def _values(root: Path, part: str, kind: str) -> np.ndarray:
    """uint8: all of a file but its header, which says how many there are."""
    path = root / f"{part}-{kind}-ubyte.gz"
    try:
        content = gzip.decompress(path.read_bytes())
    except (EOFError, zlib.error) as error:
        raise ValueError(f"{path.name}: {error}") from error
    header = np.frombuffer(content[: HEADER_BYTES[kind]], ">u4")
    values = np.frombuffer(content, np.uint8, offset=HEADER_BYTES[kind])
    if len(values) != int(header[1:].prod()):
        raise ValueError(f"{path.name} has {len(values):,} bytes for {' x '.join(map(str, header[1:]))}")
    return values
