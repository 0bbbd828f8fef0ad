import functools
import hashlib

import cv2
import numpy as np
import pytest
import torch
from ffcv.libffcv import resize_crop
from sklearn.datasets import load_sample_images
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2 import functional as torchvision

from ffcv_hydra.kernels.compiling.compilation import kernel
from ffcv_hydra.kernels.geometry.resize import resize_window
from ffcv_hydra.kernels.geometry.taps import AREA, BILINEAR, NEAREST
from tests.kernels.jpegs import parts_with


@kernel("void(int64[::1], uint8[::1], int64, int64[::1], int64, float32[::1], uint8[:, :, ::1])")
def resize_8(parts, source, width, window, interpolation, row, target):
    resize_window(parts, source, width, window, 1, interpolation, row, target)


@kernel("void(int64[::1], uint16[::1], int64, int64[::1], int64, float64[::1], uint16[:, :, ::1])")
def resize_16(parts, source, width, window, interpolation, row, target):
    resize_window(parts, source, width, window, 1, interpolation, row, target)


def resized(
    image: np.ndarray,
    box: tuple[int, int, int, int],
    size: tuple[int, int],
    interpolation: int = AREA,
    part: tuple[int, int, int, int] | None = None,
) -> np.ndarray:
    """`part` (top, left, height, width) of `box` of `image`, resized to `size`; by default all of that."""
    top, left, height, width = part or (0, 0, *size)
    target = np.full((height, width, image.shape[2]), 77, dtype=image.dtype)
    resize, row = (resize_8, np.float32) if image.dtype == np.uint8 else (resize_16, np.float64)
    window = np.array([*box, *size, top, left, 0])
    resize(
        parts_with(np.empty(0, dtype=np.uint8)),
        image.reshape(-1),
        image.shape[1],
        window,
        interpolation,
        np.empty(2 * (image.shape[2] * box[3] + 1), dtype=row),
        target,
    )
    return target


def image(height: int, width: int, channels: int = 3) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, channels), dtype=np.uint8)


@functools.cache
def photo(number: int, height: int, width: int) -> np.ndarray:
    """A real photo, uint8 (height, width, 3)."""
    return cv2.resize(load_sample_images().images[number], (width, height), interpolation=cv2.INTER_AREA)


def whole(image: np.ndarray) -> tuple[int, int, int, int]:
    return (0, 0, *image.shape[:2])


def torch_resized(image: np.ndarray, size: tuple[int, int], mode: InterpolationMode) -> np.ndarray:
    tensor = torch.from_numpy(image).permute(2, 0, 1)
    return torchvision.resize(tensor, list(size), mode, antialias=True).permute(1, 2, 0).numpy()


SIZES = [
    ((333, 500), (224, 224)),  # shrink
    ((213, 320), (97, 131)),
    ((213, 320), (1, 1)),
    ((63, 41), (127, 200)),  # grow
    ((120, 160), (50, 301)),  # both
    ((77, 1), (20, 5)),  # one pixel high or wide
    ((1, 90), (3, 31)),
    ((1, 1), (4, 3)),
    ((50, 60), (50, 31)),  # one axis as it is
]


@pytest.mark.parametrize("source_size, size", SIZES)
@pytest.mark.parametrize("number", [0, 1])
@pytest.mark.parametrize("channels", [1, 3])
def test_bilinear_equals_torchvisions_within_one_level(number, source_size, size, channels):
    source = np.ascontiguousarray(photo(number, *source_size)[:, :, :channels])
    theirs = torch_resized(source, size, InterpolationMode.BILINEAR)
    assert difference(resized(source, whole(source), size, BILINEAR), theirs) <= 1


def test_bilinear_of_noise_equals_torchvisions_within_one_level():
    random = np.random.default_rng(0)
    for _ in range(60):
        height, width, *size = random.integers(1, 90, 4)
        source = random.integers(0, 256, (height, width, 3), dtype=np.uint8)
        theirs = torch_resized(source, size, InterpolationMode.BILINEAR)
        assert difference(resized(source, whole(source), size, BILINEAR), theirs) <= 1


@pytest.mark.parametrize("channels", [1, 3])
def test_nearest_equals_torchvisions(channels):
    random = np.random.default_rng(0)
    for _ in range(200):
        height, width, *size = random.integers(1, 120, 4)
        source = random.integers(0, 256, (height, width, channels), dtype=np.uint8)
        theirs = torch_resized(source, size, InterpolationMode.NEAREST_EXACT)
        assert np.array_equal(resized(source, whole(source), size, NEAREST), theirs)


def test_a_part_of_a_resized_box_is_that_part_with_zeros_around():
    source = image(40, 50)
    box, size = (3, 4, 30, 41), (22, 57)
    for interpolation in (AREA, BILINEAR, NEAREST):
        for inside in [(0, 0, 22, 57), (5, 8, 10, 20), (-3, -7, 40, 90), (-5, 10, 20, 30), (15, 40, 30, 30)]:
            top, left, height, width = inside
            padded = np.pad(resized(source, box, size, interpolation), ((50, 50), (50, 50), (0, 0)))
            expected = padded[50 + top : 50 + top + height, 50 + left : 50 + left + width]
            assert np.array_equal(resized(source, box, size, interpolation, inside), expected)


@pytest.mark.parametrize("inside", [(0, 0, 20, 30), (-2, 3, 30, 10), (5, -4, 3, 60)])
def test_a_part_of_a_box_of_its_own_size_is_copied_with_zeros_around(inside):
    top, left, height, width = inside
    source = image(50, 60)
    padded = np.pad(source[3:23, 4:34], ((50, 50), (50, 50), (0, 0)))
    expected = padded[50 + top : 50 + top + height, 50 + left : 50 + left + width]
    assert np.array_equal(resized(source, (3, 4, 20, 30), (20, 30), AREA, inside), expected)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [(20, 33), (64, 200), (1, 1)])
def test_16_bits_equal_opencvs_area_average_and_torchs_bilinear_within_one_of_65535_levels(size, channels):
    source = np.random.default_rng(0).integers(0, 65536, (61, 83, channels), dtype=np.uint16)
    area = cv2.resize(source, size[::-1], interpolation=cv2.INTER_AREA).reshape(*size, channels)
    assert difference(resized(source, whole(source), size), area) <= 1
    tensor = torch.from_numpy(source.astype(np.float64)).permute(2, 0, 1)[None]
    bilinear = torch.nn.functional.interpolate(tensor, size, mode="bilinear", antialias=True)[0].permute(1, 2, 0)
    assert np.abs(resized(source, whole(source), size, BILINEAR) - bilinear.numpy()).max() <= 1


@pytest.mark.parametrize("interpolation", [AREA, BILINEAR, NEAREST])
@pytest.mark.parametrize("size", [(3, 3), (1, 1), (17, 90)])
def test_the_largest_level_of_16_bits_does_not_overflow(interpolation, size):
    source = np.full((4000, 90, 1), 65535, dtype=np.uint16)
    assert (resized(source, whole(source), size, interpolation) == 65535).all()


def test_shrinking_by_area_gives_the_bytes_that_it_always_gave():
    source = np.random.default_rng(7).integers(0, 256, (91, 123, 3), dtype=np.uint8)
    boxes = [(0, 0, 91, 123), (5, 7, 64, 100), (20, 30, 33, 41), (90, 122, 1, 1), (3, 2, 1, 50), (40, 60, 50, 1)]
    digest = hashlib.sha256()
    for box in [*boxes, (11, 13, 20, 17)]:
        for size in [(32, 32), (20, 33), (1, 1), (33, 41), (64, 65), (7, 9), (5, 50)]:
            if size[0] <= box[2] and size[1] <= box[3]:
                digest.update(resized(source, box, size).tobytes())
    assert digest.hexdigest() == "f1f46c3a0dd26a4022b7fb3e392a1a5f99fd82814ee4614145abb519b9e8a39e"


def difference(ours: np.ndarray, theirs: np.ndarray) -> int:
    return int(np.abs(ours.astype(int) - theirs).max())


@pytest.mark.parametrize("box", [(0, 0, 90, 120), (5, 7, 64, 100), (20, 30, 33, 41)])
@pytest.mark.parametrize("size", [(32, 32), (20, 33), (1, 1), (33, 41)])
def test_shrinking_equals_opencvs_area_average_within_one_level(box, size):
    top, left, height, width = box
    source = image(90, 120)
    crop = np.ascontiguousarray(source[top : top + height, left : left + width])
    assert difference(resized(source, box, size), cv2.resize(crop, size[::-1], interpolation=cv2.INTER_AREA)) <= 1


def test_F11_area_equals_opencvs_within_one_level_also_where_one_axis_or_both_grow():
    random = np.random.default_rng(0)
    for attempt in range(300):
        height, width, *size = random.integers(1, 90, 4)
        if attempt % 3 == 0:  # whole multiples, where rounding decides which pixel comes first
            size = height * random.integers(1, 5), width * random.integers(1, 5)
        source = random.integers(0, 256, (height, width, 3), dtype=np.uint8)
        theirs = np.empty((*size, 3), dtype=np.uint8)
        resize_crop(source, 0, height, 0, width, theirs)  # FFCV's, which is OpenCV's INTER_AREA
        assert difference(resized(source, whole(source), size), theirs) <= 1


def test_a_crop_of_the_output_size_is_copied():
    source = image(50, 60)
    assert np.array_equal(resized(source, (3, 4, 20, 30), (20, 30)), source[3:23, 4:34])


def test_a_single_pixel_fills_the_output():
    source = image(5, 5)
    assert (resized(source, (2, 3, 1, 1), (7, 9)) == source[2, 3]).all()


@pytest.mark.parametrize("level", [0, 1, 254, 255])
@pytest.mark.parametrize("size", [(3, 3), (17, 90)])
@pytest.mark.parametrize("interpolation", [AREA, BILINEAR, NEAREST])
def test_an_even_surface_stays_even(level, size, interpolation):
    source = np.full((40, 50, 3), level, dtype=np.uint8)
    assert (resized(source, (0, 0, 40, 50), size, interpolation) == level).all()
