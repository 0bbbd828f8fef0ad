"""Data that several test files read."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ffcv_hydra.beton import write_beton


class Mixed:
    """Images of different sizes, with the index in every other field."""

    def __len__(self) -> int:
        return 90

    def __getitem__(self, index: int):
        random = np.random.default_rng(index)
        height, width = random.integers(33, 70, 2)
        coarse = random.integers(0, 256, (5, 6, 3), dtype=np.uint8)
        image = Image.fromarray(coarse).resize((int(width), int(height)), Image.Resampling.BICUBIC)
        return image, index, np.full((2, 3), index, dtype=np.float32)


@pytest.fixture(scope="session")
def beton(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """90 samples with the fields image, label and array."""
    path = tmp_path_factory.mktemp("beton") / "mixed.beton"
    write_beton(Mixed(), path, {"image": None, "label": None, "array": None}, num_workers=0, page_size=1 << 21)
    return path
