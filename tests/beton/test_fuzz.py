"""Damaged betons: whatever is changed, reading ends in the very samples or in an error.

FUZZ_MUTATIONS says how many mutations of our own file are tried; `make fuzz` sets it to 100,000.
"""

import os
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from ffcv import DatasetWriter
from ffcv import fields as theirs
from PIL import Image

from ffcv_hydra.beton import (
    Beton,
    BFloat16TensorField,
    GrayscaleImageField,
    MaskField,
    RaggedArrayField,
    TextField,
    write_beton,
)
from tests.watching import watch_child

CHILD = Path(__file__).with_name("fuzz_child.py")
MUTATIONS = int(os.environ.get("FUZZ_MUTATIONS", "2000"))
STOCK_MUTATIONS = OWN_MUTATIONS = MUTATIONS // 5


class Samples:
    """Seven samples of one image size, with raw pixels in every third, so that each kind of storage is there."""

    def __init__(self, images_as_arrays: bool) -> None:
        self.images_as_arrays = images_as_arrays

    def __len__(self):
        return 7

    def __getitem__(self, index):
        random = np.random.default_rng(index)
        coarse = random.integers(0, 256, (3, 4, 3), dtype=np.uint8)
        image = Image.fromarray(coarse).resize((16, 12), Image.Resampling.BICUBIC)
        values = np.full((2, 3), index, np.float32)
        picture = np.asarray(image) if self.images_as_arrays else image
        return picture, index, index / 2, values, random.integers(0, 256, 1 + index % 3, dtype=np.uint8)


class OwnSamples:
    """Seven samples of the package's own fields."""

    def __len__(self):
        return 7

    def __getitem__(self, index):
        random = np.random.default_rng(index)
        image = np.repeat(random.integers(0, 256, (12, 2), dtype=np.uint8), 8, axis=1)
        deep = random.integers(0, 65536, (3, 4), dtype=np.uint16)
        boxes = random.random((index % 3, 4)).astype(np.float32)
        noise = random.integers(0, 256, (3, 4), dtype=np.uint8)
        return image, deep, image, noise, boxes, "é" * index, torch.full((2, 3), index, dtype=torch.bfloat16)


OWN_FIELDS = {
    "image": GrayscaleImageField(),
    "deep": GrayscaleImageField(bits=16),
    "mask": MaskField(),
    "raw_mask": MaskField(),
    "boxes": RaggedArrayField("float32", [4]),
    "text": TextField(),
    "tensor": BFloat16TensorField([2, 3]),
}


def fields():
    """FFCV's, which both writers take."""
    return {
        "image": theirs.RGBImageField("proportion", compress_probability=0.7),
        "label": theirs.IntField(),
        "value": theirs.FloatField(),
        "array": theirs.NDArrayField(np.dtype(np.float32), (2, 3)),
        "data": theirs.BytesField(),
    }


def watch(path: Path, first_seed: int, count: int, strict: bool) -> list[str]:
    """What went wrong with mutations of a file."""
    return watch_child([sys.executable, str(CHILD), str(path)], first_seed, count, str(int(strict)))


@pytest.mark.slow
@pytest.mark.timeout(300 + MUTATIONS)
def test_R2_no_mutation_crashes_hangs_or_gives_other_samples(tmp_path):
    path = tmp_path / "a.beton"
    write_beton(Samples(images_as_arrays=False), path, fields(), num_workers=0, description={"name": "fuzz"})
    modes = Beton(path).field_metadata("image")["mode"]
    assert 0 < modes.sum() < len(modes)
    assert watch(path, 0, MUTATIONS, strict=True) == []


@pytest.mark.slow
@pytest.mark.timeout(300 + MUTATIONS)
def test_R2_no_mutation_of_a_file_of_stock_ffcv_crashes_or_hangs(tmp_path):
    path = tmp_path / "stock.beton"
    writer = DatasetWriter(str(path), fields(), num_workers=1, page_size=1 << 21)
    writer.from_indexed_dataset(Samples(images_as_arrays=True), chunksize=7)
    assert Beton(path).checksums is None
    assert watch(path, 10**6, STOCK_MUTATIONS, strict=False) == []


@pytest.mark.slow
@pytest.mark.timeout(300 + MUTATIONS)
def test_R2_no_mutation_of_own_fields_crashes_hangs_or_gives_other_samples(tmp_path):
    path = tmp_path / "own.beton"
    write_beton(OwnSamples(), path, OWN_FIELDS, num_workers=0)
    assert watch(path, 2 * 10**6, OWN_MUTATIONS, strict=True) == []
