"""Whole images that are made to fit, with black around them, are torchvision's resized ones at the place they say."""

import numpy as np
import pytest
import torch
from torchvision.transforms.v2 import functional

from ffcv_hydra.beton import ImageArrayField, MaskField, RandomAccessImageField, write_beton
from ffcv_hydra.errors import PipelineError
from ffcv_hydra.kernels.random.generator import fold, key_of
from ffcv_hydra.loader import Loader
from ffcv_hydra.operations import LetterBox, RandomHorizontalFlip, RandomShortestSide, RandomZoomOut, ToTensor

pytestmark = pytest.mark.timeout(120)

SIZES = [(60, 80), (90, 64), (64, 64), (20, 200), (300, 7), (33, 31)] * 4
KEYS = fold(key_of(0), np.arange(4000, dtype=np.uint64))


def pixels(index: int) -> torch.Tensor:
    """uint8 (3, H, W), nowhere black."""
    coarse = torch.from_numpy(np.random.default_rng(index).integers(60, 256, (3, 6, 8), dtype=np.uint8))
    return functional.resize(coarse, list(SIZES[index])).clamp(20)


@pytest.fixture(scope="module")
def beton(tmp_path_factory):
    path = tmp_path_factory.mktemp("fitted") / "raw.beton"
    images = [(pixels(index).permute(1, 2, 0).numpy(),) for index in range(len(SIZES))]
    write_beton(images, path, {"image": RandomAccessImageField(write_mode="raw")}, num_workers=0)
    return path


def decoded(beton, *operations) -> torch.Tensor:
    """uint8 (N, 3, H, W)."""
    ((images,),) = Loader(beton, len(SIZES), pipelines={"image": [*operations, ToTensor()]}, num_workers=1)
    return images.permute(0, 3, 1, 2)


def shown(image: torch.Tensor) -> tuple[int, int, int, int]:
    """Top, left, height and width of what is not black."""
    rows, columns = (image.amax(0) > 0).nonzero(as_tuple=True)
    top, left = int(rows.min()), int(columns.min())
    return top, left, int(rows.max()) + 1 - top, int(columns.max()) + 1 - left


def check(image: torch.Tensor, index: int, place: tuple[int, int, int, int]) -> None:
    """The resized image is there, and nothing else."""
    top, left, height, width = place
    expected = torch.zeros_like(image)
    resized = functional.resize(pixels(index), [height, width], antialias=True)
    expected[:, top : top + height, left : left + width] = resized
    assert (image.int() - expected.int()).abs().max() <= 1


@pytest.mark.parametrize("size", [64, (40, 90), (200, 30)])
def test_letter_boxes_are_as_large_as_they_fit_and_in_the_middle(beton, size):
    wanted = (size, size) if isinstance(size, int) else size
    for index, image in enumerate(decoded(beton, LetterBox(size, "bilinear"))):
        sides = SIZES[index]
        scale = min(w / s for w, s in zip(wanted, sides, strict=True))
        height, width = (max(1, round(side * scale)) for side in sides)
        assert height == wanted[0] or width == wanted[1]
        check(image, index, ((wanted[0] - height) // 2, (wanted[1] - width) // 2, height, width))


def test_shorter_sides_are_drawn_and_the_whole_image_is_kept(beton):
    found = set()
    for index, image in enumerate(decoded(beton, RandomShortestSide([20, 31, 45], [70, 80], "bilinear"))):
        top, left, height, width = place = shown(image)
        assert (top, left) == (0, 0) and height <= 70 and width <= 80
        check(image, index, place)
        if max(SIZES[index]) < 1.5 * min(SIZES[index]):
            found.add(min(height, width))
        expected = height * SIZES[index][1] / SIZES[index][0]
        assert min(height, width) < 4 or abs(expected - width) <= max(1, width / height)
    assert found == {20, 31, 45}
    sides = RandomShortestSide([20, 31], 50).parts(np.full(4000, 40), np.full(4000, 40), KEYS).placements[:, 0]
    assert abs((sides == 20).mean() - 0.5) < 0.03


def test_zoomed_images_are_somewhere_in_black(beton):
    for index, image in enumerate(decoded(beton, RandomZoomOut([60, 80], (1.5, 3), p=1, interpolation="bilinear"))):
        _, _, height, width = place = shown(image)
        assert 20 <= height <= 40 and 26 <= width <= 54 and abs(width / height - 80 / 60) < 0.06
        check(image, index, place)


def test_zooms_are_distributed_as_torchvisions(beton):
    heights, widths = np.full(4000, 100), np.full(4000, 100)
    placed = RandomZoomOut(1000, (1, 4), p=0.3).parts(heights, widths, KEYS).placements
    is_zoomed = placed[:, 0] < 1000
    assert abs(is_zoomed.mean() - 0.3) < 0.03
    zoomed = placed[is_zoomed]
    factors = 1000 / zoomed[:, 0]
    assert abs(factors.mean() - 2.5) < 0.1 and factors.min() >= 1 and factors.max() <= 4.01
    for side in (2, 3):
        shares = -zoomed[:, side] / (1000 - zoomed[:, 0])
        assert shares.min() >= 0 and shares.max() <= 1 and abs(shares.mean() - 0.5) < 0.04
    assert abs(np.corrcoef(zoomed[:, 2], zoomed[:, 3])[0, 1]) < 0.9


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: RandomShortestSide([], 20), "RandomShortestSide: min_size is a list of numbers of pixels; got"),
        (lambda: RandomShortestSide([10, 0], 20), "min_size is a list"),
        (lambda: RandomZoomOut(20, (0.5, 2)), r"RandomZoomOut: side_range is \[smallest, largest\], at least 1"),
        (lambda: RandomZoomOut(20, p=2), "RandomZoomOut: p is a number, at least 0, at most 1; got 2"),
        (lambda: LetterBox("20"), "LetterBox: size is"),
        (lambda: LetterBox(20, fill="grey"), "LetterBox: fill is a number, or a list of one per channel; got grey"),
    ],
)
def test_impossible_arguments_are_refused(make, message):
    with pytest.raises(PipelineError, match=message):
        make()


MAKE = [
    lambda size, **more: LetterBox(size, **more),
    lambda size, **more: RandomShortestSide([10, 70], size, **more),
    lambda size, **more: RandomZoomOut(size, p=0.7, **more),
]


@pytest.mark.parametrize("flip", [[], [RandomHorizontalFlip(0.5)]], ids=["upright", "mirrored"])
@pytest.mark.parametrize("make", MAKE, ids=["LetterBox", "RandomShortestSide", "RandomZoomOut"])
def test_the_fill_is_wherever_the_image_is_not(beton, make, flip):
    plain, filled = (decoded(beton, make([50, 60], fill=fill), *flip) for fill in (0, [1, 200, 3]))
    is_empty = (plain == 0).all(1, keepdim=True)  # no pixel of an image is black
    assert is_empty.any() and not is_empty.all()
    assert torch.equal(filled, torch.where(is_empty, torch.tensor([1, 200, 3])[:, None, None], plain))


FIELDS = {
    "image": RandomAccessImageField(write_mode="raw"),
    "mask": MaskField(),
    "deep": ImageArrayField(2, "float32", write_mode="raw"),
}


def test_masks_and_deep_images_have_fills_of_their_own(tmp_path):
    image, mask, deep = np.full((20, 40, 3), 9, np.uint8), np.full((20, 40), 4, np.uint8), np.ones((20, 40, 2), "f4")
    write_beton([(image, mask, deep)] * 3, tmp_path / "a.beton", FIELDS, num_workers=0)
    pipelines = {
        name: {"operations": [RandomZoomOut(30, (2, 2), 1, fill=fill), ToTensor()], "joint_with": joint}
        for name, fill, joint in (("image", 5, None), ("mask", 255, "image"), ("deep", [0.5, -3], "image"))
    }
    ((images, masks, deep),) = Loader(tmp_path / "a.beton", 3, pipelines=pipelines, num_workers=1)
    shown = images[..., :1] == 9
    assert shown.sum((1, 2, 3)).tolist() == [15 * 15] * 3 and (images[~shown[..., 0]] == 5).all()
    assert torch.equal(masks, torch.where(shown, 4, 255).byte())
    assert torch.equal(deep, torch.where(shown, torch.ones(2), torch.tensor([0.5, -3])))
    for name, fill, message in (
        ("mask", [1, 2], "fill has 2 values, but images have 1 channels"),
        ("image", 256, "fill 256: uint8 images hold integers up to 255"),
    ):
        wrong = {**dict.fromkeys(FIELDS, "disabled"), name: {"operations": [LetterBox(30, fill=fill)]}}
        with pytest.raises(PipelineError, match=f"pipeline of '{name}': LetterBox: {message}"):
            Loader(tmp_path / "a.beton", 3, pipelines=wrong)
