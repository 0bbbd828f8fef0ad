"""Decoders on the fields of one channel: grayscale images of 8 and 16 bits, and masks."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2 import functional as torchvision

from ffcv_hydra.beton import GrayscaleImageField, MaskField, write_beton
from ffcv_hydra.loader import Loader
from ffcv_hydra.operations import CenterCrop, RandomResizedCrop, Resize, ResizeShorterSide
from ffcv_hydra.operations.to_tensor import ToTensor
from ffcv_hydra.pipeline import FieldPipeline

pytestmark = pytest.mark.timeout(120)
SIZES = [(60, 80), (90, 64), (41, 41), (1, 50)]
IDS = (0, 3, 100, 255)
FIELDS = {
    "jpeg": GrayscaleImageField(write_mode="jpg"),
    "raw": GrayscaleImageField(write_mode="raw"),
    "deep": GrayscaleImageField(write_mode="raw", bits=16),
    "mask": MaskField(),
    "noise": MaskField(),
}


def smooth(index: int) -> np.ndarray:
    coarse = np.random.default_rng(index).integers(0, 256, (6, 8), dtype=np.uint8)
    return cv2.resize(coarse, SIZES[index][::-1], interpolation=cv2.INTER_CUBIC)


def stored(index: int) -> dict[str, np.ndarray]:
    random = np.random.default_rng(100 + index)
    classes = cv2.resize(random.integers(0, 4, (4, 4), dtype=np.uint8), SIZES[index][::-1], interpolation=0)
    deep = random.integers(0, 65536, SIZES[index], dtype=np.uint16)
    noise = random.integers(0, 4, SIZES[index], dtype=np.uint8)  # stored raw, as runs would be larger
    ids = np.array(IDS, dtype=np.uint8)
    return {"jpeg": smooth(index), "raw": smooth(index), "deep": deep, "mask": ids[classes], "noise": ids[noise]}


class Images:
    def __len__(self) -> int:
        return len(SIZES)

    def __getitem__(self, index: int):
        return tuple(stored(index)[name] for name in FIELDS)


@pytest.fixture(scope="module")
def beton(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("images") / "own.beton"
    write_beton(Images(), path, FIELDS, num_workers=0)
    return path


def decoded(beton: Path, make, **options) -> dict[str, torch.Tensor]:
    pipelines = {name: FieldPipeline([make(), ToTensor()], joint_with="disabled") for name in FIELDS}
    loader = Loader(beton, len(SIZES), pipelines=pipelines, **options)
    return dict(zip(FIELDS, next(iter(loader)), strict=True))


@pytest.mark.parametrize("index", range(len(SIZES)))
def test_images_resized_to_their_own_size_come_back_as_they_were_stored(beton, index):
    batch = decoded(beton, lambda: Resize(SIZES[index]), indices=[index])
    for name, expected in stored(index).items():
        image = batch[name][0].numpy()
        assert (image.shape, image.dtype) == ((*SIZES[index], 1), expected.dtype)
        tolerance = 12 if name == "jpeg" else 0
        assert np.abs(image[:, :, 0].astype(int) - expected).max() <= tolerance


@pytest.mark.parametrize("interpolation", ["area", "bilinear", "nearest"])
def test_masks_are_resampled_by_nearest_whatever_is_asked_for(beton, interpolation):
    for size in ([20, 30], [100, 7], [200, 301]):
        batch = decoded(beton, lambda size=size: Resize(size, interpolation))
        for name in ("mask", "noise"):
            for index, mask in enumerate(batch[name]):
                source = torch.from_numpy(stored(index)[name])[None]
                assert torch.equal(mask[:, :, 0], torchvision.resize(source, size, InterpolationMode.NEAREST_EXACT)[0])


@pytest.mark.parametrize("make", [lambda: RandomResizedCrop(24), lambda: CenterCrop(24), lambda: Resize([24, 50])])
def test_resampled_masks_hold_only_ids_of_the_source(beton, make):
    batch = decoded(beton, make)
    for name in ("mask", "noise"):
        for index, mask in enumerate(batch[name]):
            assert set(np.unique(mask)) <= set(np.unique(stored(index)[name]))


@pytest.mark.parametrize("size", [[20, 30], [64, 65], [130, 7]])
def test_bilinear_equals_torchvisions_within_one_level(beton, size):
    batch = decoded(beton, lambda: ResizeShorterSide(40, size, "bilinear"))
    for index in range(len(SIZES)):
        source = stored(index)
        for name in ("raw", "deep"):
            tensor = torch.from_numpy(source[name].astype(np.uint8 if name == "raw" else np.float64))[None]
            expected = torchvision.center_crop(torchvision.resize(tensor, [40], antialias=True), size)
            assert np.abs(batch[name][index, :, :, 0].numpy().astype(float) - expected[0].numpy()).max() <= 1
