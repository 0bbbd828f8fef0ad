"""Decoders and operations on images of many channels and of more than 8 bits."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2 import functional as torchvision

from ffcv_hydra.beton import Beton, GrayscaleImageField, ImageArrayField, write_beton
from ffcv_hydra.errors import PipelineError, SampleError
from ffcv_hydra.loader import Loader
from ffcv_hydra.operations import (
    CenterCrop,
    ChannelDropout,
    ColorJitter,
    Cutout,
    GaussianBlur,
    LetterBox,
    NormalizeImage,
    RandAugment,
    RandomAffine,
    RandomBrightness,
    RandomContrast,
    RandomCrop,
    RandomErasing,
    RandomGrayscale,
    RandomHorizontalFlip,
    RandomHue,
    RandomResizedCrop,
    RandomRotation,
    RandomSaturation,
    RandomTranslate,
    RandomVerticalFlip,
    Resize,
    ResizeShorterSide,
    ToTorchImage,
    WholeImage,
)
from ffcv_hydra.operations.to_tensor import ToTensor
from ffcv_hydra.pipeline import FieldPipeline

pytestmark = pytest.mark.timeout(300)
KINDS = {"uint8": 13, "uint16": 3, "int16": 5, "float16": 2, "float32": 13}  # with the number of channels
SIZES = [(60, 80), (90, 64), (33, 33), (1, 50)]
LEVELS = {"float16": 2e-3, "float32": 2e-3}  # of values to 1,000; integers are rounded
RANDOM = np.random.default_rng(0)


def image(dtype: str, height: int, width: int, channels: int) -> np.ndarray:
    low, high = (0, 256) if dtype == "uint8" else (0, 60_000) if dtype == "uint16" else (-1000, 1000)
    return RANDOM.integers(low, high, (height, width, channels)).astype(dtype)


class Images:
    def __init__(self) -> None:
        self.items = [
            (*(image(dtype, *size, count) for dtype, count in KINDS.items()), image("uint16", *size, 1)[:, :, 0])
            for size in SIZES
        ]

    def __len__(self) -> int:
        return len(SIZES)

    def __getitem__(self, index: int) -> tuple[np.ndarray, ...]:
        return self.items[index]


IMAGES = Images()


@pytest.fixture(scope="module", params=["raw", "tiles", "zstd"])
def beton(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("arrays") / "arrays.beton"
    fields = {name: ImageArrayField(count, name, request.param, tile=16) for name, count in KINDS.items()}
    write_beton(IMAGES, path, {**fields, "gray": GrayscaleImageField(bits=16)}, num_workers=0)
    return path


def decoded(beton: Path, *operations, **options) -> dict[str, torch.Tensor]:
    names = (*KINDS, "gray")
    pipelines = {name: FieldPipeline([*operations, ToTensor()], joint_with="disabled") for name in names}
    loader = Loader(beton, len(SIZES), pipelines=pipelines, num_workers=1, **options)
    return dict(zip(names, next(iter(loader)), strict=True))


def given(column: int, index: int) -> np.ndarray:
    found = IMAGES[index][column]
    return found if found.ndim == 3 else found[:, :, None]


def check(batch: dict[str, torch.Tensor], expected_of) -> None:
    """Compare each image with what a function makes of it as float64 (C, H, W)."""
    for column, (name, images) in enumerate(batch.items()):
        stored = given(column, 0).dtype
        assert str(images.dtype) == f"torch.{'float32' if stored == np.float16 else stored}"
        for index, ours in enumerate(images):
            expected = expected_of(torch.from_numpy(given(column, index).astype(np.float64)).permute(2, 0, 1))
            difference = (ours.double().permute(2, 0, 1) - expected).abs().max()
            assert difference <= LEVELS.get(name, 0.51), name


@pytest.mark.parametrize("os_cache", [True, False])
@pytest.mark.parametrize("size", [(24, 31), (70, 70)])
def test_resized_images_are_torchs(beton, size, os_cache):
    for name, mode in (("nearest", InterpolationMode.NEAREST_EXACT), ("bilinear", InterpolationMode.BILINEAR)):
        batch = decoded(beton, Resize(size, name), os_cache=os_cache)
        check(batch, lambda one, mode=mode: torchvision.resize(one, list(size), mode, antialias=True))


@pytest.mark.parametrize("size", [(24, 31), (33, 33), (70, 70)])
def test_area_is_opencvs(beton, size):
    def opencv(one: torch.Tensor) -> torch.Tensor:
        channels = [cv2.resize(channel.numpy(), size[::-1], interpolation=cv2.INTER_AREA) for channel in one]
        return torch.from_numpy(np.stack(channels))

    check(decoded(beton, Resize(size)), opencv)


def test_crops_are_parts_of_the_image(beton):
    batch = decoded(beton, CenterCrop(1, ratio=1e-9))
    check(batch, lambda one: one[:, (one.shape[1] - 1) // 2, (one.shape[2] - 1) // 2, None, None])
    batch = decoded(beton, CenterCrop(33), indices=[2])
    for column, images in enumerate(batch.values()):
        assert np.array_equal(images[0].double().numpy(), given(column, 2).astype(np.float64))
    check(
        decoded(beton, ResizeShorterSide(40, (30, 52), "bilinear")),
        lambda one: torchvision.center_crop(torchvision.resize(one, [40], antialias=True), [30, 52]),
    )


def test_random_crops_and_flips_are_parts_of_the_image(beton):
    crop = RandomResizedCrop(12, scale=(0.3, 0.3), interpolation="nearest")
    batch = decoded(beton, crop, indices=[2])
    flipped = decoded(beton, crop, RandomHorizontalFlip(1.0), indices=[2])
    for column, (name, images) in enumerate(batch.items()):
        assert torch.equal(images.flip(2), flipped[name])
        pixels, found = (one.reshape(-1, one.shape[2]) for one in (given(column, 2), images[0].numpy()))
        assert {tuple(pixel) for pixel in found.tolist()} <= {tuple(pixel) for pixel in pixels.tolist()}


@pytest.mark.parametrize("write_mode", ["raw", "tiles", "zstd"])
@pytest.mark.parametrize("dtype", KINDS)
def test_whole_images_come_back(tmp_path, dtype, write_mode):
    images = [image(dtype, 20, 26, 3) for _ in range(3)]
    field = ImageArrayField(3, dtype, write_mode, tile=8)
    write_beton([(one,) for one in images], path := tmp_path / "a.beton", {"image": field}, num_workers=0)
    for operations in ([WholeImage()], [RandomVerticalFlip(1.0), RandomVerticalFlip(1.0)]):
        [(batch,)] = Loader(path, 3, pipelines={"image": [*operations, ToTensor()]}, num_workers=1)
        assert np.array_equal(batch.numpy().astype(dtype), images)


@pytest.mark.parametrize("channels", [1, 3, 5, 13])
def test_what_is_no_number_stays_where_it_is(tmp_path, channels):
    stored = np.arange(40 * 20 * channels, dtype=np.float32).reshape(40, 20, channels)
    stored[:, 0], stored[5, 7], stored[9, 12] = np.nan, np.inf, -np.inf
    write_beton([(stored,)], tmp_path / "nan.beton", {"image": ImageArrayField(channels, "float32")}, num_workers=0)
    ((fitted,),) = Loader(tmp_path / "nan.beton", 1, pipelines={"image": [LetterBox(40, "bilinear"), ToTensor()]})
    expected = np.zeros((40, 40, channels), dtype=np.float32)
    expected[:, 10:30] = stored
    np.testing.assert_array_equal(fitted[0].numpy(), expected)
    ((half,),) = Loader(tmp_path / "nan.beton", 1, pipelines={"image": [LetterBox(20, "bilinear"), ToTensor()]})
    is_nan = np.isnan(half[0].numpy())
    assert is_nan[:, 5].all() and not is_nan[:, :5].any() and not is_nan[:, 6:].any() and not half[0, :, :5].any()


@pytest.mark.parametrize("channels", [1, 3, 5, 13])
@pytest.mark.parametrize(
    "operation",
    [
        GaussianBlur([5, 3], [1.3, 1.3]), RandomRotation(180, "bilinear", 7),
        RandomAffine([0, 0], scale=[1, 1], interpolation="bilinear"),  # which reads each pixel from one
        RandomAffine(90, [0.2, 0.1], [0.5, 1.5], 20, "bilinear"),
    ],
    ids=["blur", "rotation", "nothing", "affine"],
)  # fmt: skip
def test_what_is_no_number_spreads_as_far_as_it_is_read(apply, operation, channels):
    images = np.stack([image("float32", 14, 11, channels) for _ in range(6)])
    damaged, marked = images.copy(), np.zeros_like(images)
    damaged[:, 5, 6, channels // 2], marked[:, 5, 6, channels // 2] = np.nan, 1
    plain = np.zeros_like(images)
    reads = apply(operation, marked) != apply(operation, plain)
    whole, found = apply(operation, images), apply(operation, damaged)
    assert reads.any() and np.array_equal(np.isnan(found), reads)
    assert np.array_equal(found[~reads], whole[~reads])


def test_views_of_one_decode_are_those_of_their_own(beton):
    pipelines = dict.fromkeys((*KINDS, "gray"), "disabled")
    two = {"float32": FieldPipeline([RandomResizedCrop(9), ToTensor()], views=2)}
    one = Loader(beton, 4, pipelines={**pipelines, "float32": [RandomResizedCrop(9), ToTensor()]}, num_workers=1)
    [(views,)], [(alone,)] = Loader(beton, 4, pipelines={**pipelines, **two}, num_workers=1), one
    assert torch.equal(views[0], alone) and not torch.equal(views[0], views[1])


@pytest.mark.parametrize("write_mode", ["tiles", "zstd"])
def test_tiles_that_a_crop_does_not_touch_are_not_looked_at(tmp_path, write_mode):
    write_beton(IMAGES, path := tmp_path / "a.beton", {
        **{name: ImageArrayField(count, name, write_mode, tile=16) for name, count in KINDS.items()},
        "gray": GrayscaleImageField(bits=16),
    }, num_workers=0)  # fmt: skip
    begin, size = (int(column[1]) for column in Beton(path).extents("int16"))
    content = bytearray(path.read_bytes())
    content[begin + size - 20] ^= 1  # of the last tile
    path.write_bytes(content)
    pipelines = dict.fromkeys((*KINDS, "gray"), "disabled")

    def batches(operation) -> list:
        return list(Loader(path, 4, pipelines={**pipelines, "int16": [operation, ToTensor()]}, num_workers=1))

    [(images,)] = batches(CenterCrop(8, ratio=0.5))
    assert np.array_equal(images[1].numpy().shape, (8, 8, 5))
    with pytest.raises(SampleError, match="field 'int16', sample 1: the image in tiles .tile 5, 3 is damaged.*90 x 64"):
        batches(Resize((8, 8)))


@pytest.mark.parametrize("os_cache", [True, False])
def test_a_raw_image_with_one_flipped_bit_is_named(tmp_path, os_cache):
    write_beton(
        [(image("float32", 20, 20, 13),)] * 3,
        path := tmp_path / "a.beton",
        {"image": ImageArrayField(13, write_mode="raw")},
        num_workers=0,
    )
    content = bytearray(path.read_bytes())
    content[int(Beton(path).extents("image")[0][1]) + 400] ^= 4
    path.write_bytes(content)
    with pytest.raises(SampleError, match="field 'image', sample 1"):
        list(Loader(path, 3, pipelines={"image": [CenterCrop(8), ToTensor()]}, os_cache=os_cache))


# Operations on arrays.

DTYPES = ("uint8", "uint16", "int16", "float32")


def batch_of(dtype: str, channels: int = 6, count: int = 12) -> np.ndarray:
    return np.stack([image(dtype, 21, 18, channels) for _ in range(count)])


def as_tensors(images: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(images.astype(np.float64)).permute(0, 3, 1, 2)


def clipped(values: torch.Tensor, dtype: str) -> torch.Tensor:
    if dtype == "float32":
        return values
    limits = np.iinfo(dtype)
    return values.clamp(limits.min, limits.max).trunc()


@pytest.mark.parametrize("dtype", DTYPES)
def test_brightness_and_contrast_blend_and_are_cut_to_the_range(apply, dtype):
    images = batch_of(dtype)
    bright, blended = RandomBrightness(0.0, 1.0), RandomContrast(0.0, 1.0)
    for factor in (0.4, 1.7):
        bright.amounts = blended.amounts = factor, factor
        expected = clipped(as_tensors(images) * factor, dtype)
        tolerance = 1e-2 if dtype == "float32" else 1
        assert (as_tensors(apply(bright, images)) - expected).abs().max() <= tolerance
        means = as_tensors(images).mean((2, 3), keepdim=True)
        expected = clipped(as_tensors(images) * factor + (1 - factor) * means, dtype)
        assert (as_tensors(apply(blended, images)) - expected).abs().max() <= tolerance


@pytest.mark.parametrize("dtype", ["uint16", "float32"])
def test_contrast_of_three_channels_is_torchvisions(apply, dtype):
    images = np.abs(batch_of(dtype, channels=3))
    images = (images / 1001).astype(np.float32) if dtype == "float32" else images
    blended = RandomContrast(0.0, 1.0)
    blended.amounts = 0.6, 0.6
    ours = as_tensors(apply(blended, images))
    theirs = torchvision.adjust_contrast(torch.from_numpy(images).permute(0, 3, 1, 2), 0.6).double()
    assert (ours - theirs).abs().max() <= (1e-5 if dtype == "float32" else 1)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("size", [1, 3, [7, 5]])
def test_blur_is_torchvisions(apply, dtype, size):
    images = batch_of(dtype, count=3)
    window = [size, size] if isinstance(size, int) else size
    expected = torchvision.gaussian_blur(as_tensors(images), window, [1.3, 1.3])
    ours = as_tensors(apply(GaussianBlur(size, 1.3), images))
    assert (ours - expected).abs().max() <= (1e-2 if dtype == "float32" else 1)


@pytest.mark.parametrize("dtype", DTYPES)
def test_normalisation_is_computed_once(apply, dtype):
    images, mean, std = batch_of(dtype), [3.5, -2, 0, 1, 7, 100], [1, 2, 3, 0.3, 5, 7.7]
    ours = apply(NormalizeImage(mean, std), images)
    assert ours.dtype == np.float32
    assert np.array_equal(ours, ((images.astype(np.float64) - mean) / std).astype(np.float32))


def test_normalisation_that_does_not_fit_is_refused(apply):
    for operation, dtype in (
        (NormalizeImage([1.0] * 5, [1.0] * 5), "int16"),
        (NormalizeImage([1.0] * 6, [1.0] * 6, "float16"), "int16"),
        (NormalizeImage.of_table(np.zeros((256, 6), np.float32)), "int16"),
    ):
        with pytest.raises(PipelineError, match="takes |are of 5 channels, and images have 6"):
            apply(operation, batch_of(dtype))


@pytest.mark.parametrize("dtype", DTYPES)
def test_affine_maps_are_torchvisions(apply, dtype):
    images = batch_of(dtype, count=8)
    turned = apply(RandomRotation([30.0, 30.0], "bilinear"), images)
    expected = torchvision.rotate(as_tensors(images).float(), 30.0, InterpolationMode.BILINEAR).double()
    scale = {"uint16": 60_000, "uint8": 255}.get(dtype, 2000)
    assert (as_tensors(turned) - expected).abs().max() <= max(1, scale * 1e-4)
    nearest = as_tensors(apply(RandomAffine(0, translate=(0.2, 0.2)), images))
    assert set(np.unique(nearest)) <= set(np.unique(images.astype(np.float64))) | {0.0}
    filled = apply(RandomAffine(45, interpolation="bilinear", fill=7), np.full_like(images, 7))
    assert np.array_equal(filled, np.full_like(images, 7))


@pytest.mark.parametrize("dtype", [*DTYPES, "float16"])
def test_what_moves_or_paints_takes_any_image(apply, dtype):
    images = batch_of(dtype)
    values = set(np.unique(images.astype(np.float64))) | {3.0}
    for operation in (RandomCrop(12, 3, 3), RandomTranslate(4, 3), Cutout(5, 3), RandomErasing(1.0, value=3)):
        result = apply(operation, images)
        assert result.dtype == images.dtype and set(np.unique(result.astype(np.float64))) <= values


@pytest.mark.parametrize("dtype", [*DTYPES, "float16"])
def test_channels_are_dropped(apply, dtype):
    images = np.stack([image(dtype, 4, 4, 6) for _ in range(400)])
    images[images == 5] = 4
    result = apply(ChannelDropout(0.5, [1, 3], 5), images)
    dropped = (result == 5).all((1, 2))
    assert np.array_equal(result, np.where(dropped[:, None, None], np.array(5, images.dtype), images))
    counts = np.bincount(dropped.sum(1), minlength=4)
    assert len(counts) == 4 and 150 < counts[0] < 250 and counts[1:].min() > 40
    assert dropped.sum(0).min() > 40  # each channel in its turn
    filled = apply(ChannelDropout(1.0, 1, [1, 2, 3, 4, 5, 6]), images)
    assert ((filled == np.arange(1, 7)).all((1, 2)).sum(1) == 1).all()


@pytest.mark.parametrize("count", [0, [2, 1], [1, 2, 3], 1.5, "all"])
def test_impossible_counts_of_channels_are_refused(count):
    with pytest.raises(PipelineError, match="count is a number of channels or"):
        ChannelDropout(0.5, count)


def test_some_channel_is_left(apply):
    with pytest.raises(PipelineError, match="count 6 leaves no channel of images of 6"):
        apply(ChannelDropout(0.5, 6), batch_of("int16"))


@pytest.mark.parametrize(
    "operation", [RandomHue(0.1), RandomSaturation(0.5), RandomGrayscale(), ColorJitter(0.1, 0.1), RandAugment()]
)
@pytest.mark.parametrize(("dtype", "channels"), [("uint8", 6), ("float32", 3)])
def test_what_is_for_three_colours_says_so_at_start(apply, operation, dtype, channels):
    with pytest.raises(PipelineError, match="with 1 or 3 channels; got") as error:
        apply(operation, batch_of(dtype, channels))
    assert "\n" not in str(error.value)


def test_a_whole_pipeline(beton):
    pipelines = dict.fromkeys((*KINDS, "gray"), "disabled")
    operations = [
        RandomResizedCrop(24), RandomHorizontalFlip(), RandomRotation(10, "bilinear"), RandomBrightness(0.3),
        RandomContrast(0.3), GaussianBlur(3), ChannelDropout(), RandomErasing(), NormalizeImage([1.0] * 13, [2.0] * 13),
        ToTensor(), ToTorchImage(),
    ]  # fmt: skip
    one, other = (
        torch.cat(
            [batch for (batch,) in Loader(beton, 2, pipelines={**pipelines, "float32": operations}, num_workers=n)]
        )
        for n in (1, 2)
    )
    assert one.shape == (4, 13, 24, 24) and one.dtype == torch.float32
    assert torch.equal(one, other) and one.isfinite().all()
