import io
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2 import functional as torchvision

from ffcv_hydra.beton import write_beton
from ffcv_hydra.beton.fields.rgb_image_field import RGBImageField
from ffcv_hydra.errors import PipelineError
from ffcv_hydra.loader import Loader
from ffcv_hydra.operations import CenterCrop, RandomResizedCrop, Resize, ResizeShorterSide
from ffcv_hydra.operations.to_tensor import ToTensor
from ffcv_hydra.pipeline import FieldPipeline

pytestmark = pytest.mark.timeout(120)
SIZES = [(60, 80), (90, 64), (64, 64), (40, 200)]


class Images:
    def __len__(self) -> int:
        return len(SIZES)

    def __getitem__(self, index: int):
        return (pixels(index),)


def pixels(index: int) -> np.ndarray:
    coarse = np.random.default_rng(index).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    return cv2.resize(coarse, SIZES[index][::-1], interpolation=cv2.INTER_CUBIC)


@pytest.fixture(scope="module")
def beton(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("images") / "raw.beton"
    write_beton(Images(), path, {"image": RGBImageField(write_mode="raw")}, num_workers=0)
    return path


def decoded(beton: Path, *operations, **options) -> torch.Tensor:
    return next(iter(Loader(beton, len(SIZES), pipelines={"image": [*operations, ToTensor()]}, **options)))[0]


@pytest.mark.parametrize("ratio", [1.0, 0.875, 0.5])
def test_center_crop_takes_the_central_square(beton, ratio):
    for index, image in enumerate(decoded(beton, CenterCrop([20, 20], ratio))):
        height, width = SIZES[index]
        side = int(min(height, width) * ratio)
        top, left = (height - side) // 2, (width - side) // 2
        crop = np.ascontiguousarray(pixels(index)[top : top + side, left : left + side])
        expected = cv2.resize(crop, (20, 20), interpolation=cv2.INTER_AREA)
        assert np.abs(image.numpy().astype(int) - expected).max() <= 1


def test_random_resized_crop_of_everything_is_the_resized_image(beton):
    whole = RandomResizedCrop((30, 30), scale=(1, 1), ratio=(1, 1))
    image = decoded(beton, whole, indices=[2])[0]
    expected = cv2.resize(pixels(2), (30, 30), interpolation=cv2.INTER_AREA)
    assert np.abs(image.numpy().astype(int) - expected).max() <= 1


def test_random_resized_crop_differs_by_sample_and_epoch(beton):
    loader = Loader(beton, 4, pipelines={"image": [RandomResizedCrop(16), ToTensor()]}, indices=[2, 2, 2, 2])
    (first,), (second,) = next(iter(loader)), (loader.sampler.set_epoch(1), next(iter(loader)))[1]
    assert len(first.unique(dim=0)) == 4  # the same sample four times: each occurrence draws anew
    assert not torch.equal(first, second)


@pytest.mark.parametrize("options", [{"progressive": True}, {"subsampling": 2}], ids=["progressive", "baseline"])
def test_any_number_of_threads_decodes_jpegs_to_the_same_pixels(tmp_path, options):
    class Photos:
        def __len__(self):
            return 160

        def __getitem__(self, index):
            buffer = io.BytesIO()
            Image.fromarray(pixels(index % 4)).save(buffer, "jpeg", quality=60 + index % 40, **options)
            return (Image.open(buffer),)

    path = tmp_path / "jpegs.beton"
    write_beton(Photos(), path, {"image": {"random_access": False}}, num_workers=0)
    kept = path.read_bytes().count(b"\xff\xc2\x00\x11")
    assert kept == (160 if "progressive" in options else 0)
    pipelines = {"image": [RandomResizedCrop(24)], "other": FieldPipeline([Resize([20, 30])], source="image")}
    one, many = (list(Loader(path, 32, pipelines=pipelines, num_workers=count, seed=1)) for count in (1, 8))
    assert len(one) == 5
    for single, several in zip(one, many, strict=True):
        assert all(np.array_equal(a, b) for a, b in zip(single, several, strict=True))


def test_images_of_one_size_need_no_crop(tmp_path):
    class Same(Images):
        def __getitem__(self, index):
            return (pixels(2),)

    write_beton(Same(), tmp_path / "same.beton", {"image": RGBImageField(write_mode="raw")}, num_workers=0)
    image = next(iter(Loader(tmp_path / "same.beton", 1)))[0][0]
    assert np.array_equal(image.numpy(), pixels(2))


MODES = {"bilinear": InterpolationMode.BILINEAR, "nearest": InterpolationMode.NEAREST_EXACT}


def resized(image: np.ndarray, size: list[int], interpolation: InterpolationMode) -> torch.Tensor:
    return torchvision.resize(torch.from_numpy(image).permute(2, 0, 1), size, interpolation, antialias=True)


@pytest.mark.parametrize("size", [[24, 24], [50, 7], [100, 90]])
@pytest.mark.parametrize("interpolation, tolerance", [("bilinear", 1), ("nearest", 0)])
def test_resize_equals_torchvisions(beton, size, interpolation, tolerance):
    for index, image in enumerate(decoded(beton, Resize(size, interpolation))):
        expected = resized(pixels(index), size, MODES[interpolation])
        assert (image.permute(2, 0, 1).int() - expected).abs().max() <= tolerance


@pytest.mark.parametrize("shorter_side", [20, 33, 64, 101])
@pytest.mark.parametrize("size", [[20, 20], [33, 17], [120, 31], [130, 400]])
@pytest.mark.parametrize("interpolation, tolerance", [("bilinear", 1), ("nearest", 0)])
def test_resize_shorter_side_equals_torchvisions_resize_and_center_crop(
    beton, shorter_side, size, interpolation, tolerance
):
    for index, image in enumerate(decoded(beton, ResizeShorterSide(shorter_side, size, interpolation))):
        expected = resized(pixels(index), [shorter_side], MODES[interpolation])
        expected = torchvision.center_crop(expected, size)
        assert (image.permute(2, 0, 1).int() - expected).abs().max() <= tolerance


def test_resize_shorter_side_by_area_is_the_area_average_of_what_is_cut_out(beton):
    image = decoded(beton, ResizeShorterSide(30, 20), indices=[0])[0]  # 60 x 80 becomes 30 x 40
    expected = cv2.resize(pixels(0), (40, 30), interpolation=cv2.INTER_AREA)[5:25, 10:30]
    assert np.abs(image.numpy().astype(int) - expected).max() <= 1


def test_another_size_needs_no_other_arguments_and_leaves_the_decoder_alone(beton):
    for decoder in (CenterCrop(16, 0.5, "bilinear"), Resize([16, 16], "bilinear"), ResizeShorterSide(20, 16)):
        larger = decoder.with_size([32, 32])
        assert (decoder.size, larger.size) == ((16, 16), (32, 32))
        assert (type(larger), larger.interpolation) == (type(decoder), decoder.interpolation)
        assert decoded(beton, larger).shape == (4, 32, 32, 3)
    assert (larger.shorter_side, decoder.shorter_side) == (40, 20)


def test_boxes_do_not_depend_on_the_output_size_or_the_interpolation():
    keys = np.arange(50, dtype=np.uint64)
    heights, widths = np.full(50, 70), np.full(50, 90)
    decoder = RandomResizedCrop(16, scale=(0.2, 0.9), ratio=(0.5, 2))
    other = RandomResizedCrop([40, 20], scale=(0.2, 0.9), ratio=(0.5, 2), interpolation="nearest")
    assert np.array_equal(decoder.boxes(heights, widths, keys), other.boxes(heights, widths, keys))
    assert np.array_equal(decoder.boxes(heights, widths, keys), decoder.with_size(99).boxes(heights, widths, keys))


def test_sizes_may_be_lists_tuples_or_one_number(beton):
    for size in ([16, 24], (16, 24)):
        assert decoded(beton, CenterCrop(size)).shape == (4, 16, 24, 3)
    assert decoded(beton, RandomResizedCrop(16)).shape == (4, 16, 16, 3)


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: CenterCrop((8, 8, 3)), "CenterCrop: size is"),
        (lambda: CenterCrop(0), "CenterCrop: size is"),
        (lambda: CenterCrop(8, ratio=1.5), r"ratio must be in \(0, 1\]; got 1.5"),
        (lambda: RandomResizedCrop([8.5, 8]), "RandomResizedCrop: size is"),
        (lambda: RandomResizedCrop(8, scale=(0.5, 2)), r"scale is \[smallest, largest\], above 0, at most 1"),
        (lambda: RandomResizedCrop(8, scale=(0.5, 0.2)), r"scale is \[smallest, largest\]"),
        (lambda: RandomResizedCrop(8, ratio=(0, 1)), r"ratio is \[smallest, largest\]"),
        (lambda: CenterCrop(8, interpolation="cubic"), "CenterCrop: interpolation is one of area, bilinear, nearest"),
        (lambda: Resize(8), r"Resize: size is \[height, width\]; .*; got 8: \[8, 8\] stretches, ResizeShorter"),
        (lambda: Resize("ab"), "Resize: size is"),
        (lambda: ResizeShorterSide(0, 8), "ResizeShorterSide: shorter_side is a number of pixels; got 0"),
        (lambda: ResizeShorterSide(8.0, 8), "ResizeShorterSide: shorter_side is"),
        (lambda: CenterCrop(8).with_size([0, 8]), "CenterCrop: size is"),
    ],
)
def test_impossible_arguments_are_named(make, message):
    with pytest.raises(PipelineError, match=message):
        make()
