import cv2
import numpy as np
import pytest
from ffcv.libffcv import imdecode

from ffcv_hydra.kernels.images.windows import (
    STORED_AS_JPEG,
    STORED_AS_RUNS,
    STORED_RAW,
    decode_windows,
)
from ffcv_hydra.kernels.jpeg.decoder import EXTRA_BYTES
from ffcv_hydra.kernels.memory.mask_codec import encode_runs
from tests.kernels.jpegs import parts_with

HEIGHT, WIDTH = 61, 83


@pytest.fixture
def pixels() -> np.ndarray:
    coarse = np.random.default_rng(0).integers(0, 256, (7, 9, 3), dtype=np.uint8)
    return cv2.resize(coarse, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)


def jpeg(pixels: np.ndarray) -> np.ndarray:
    return cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, 90])[1].reshape(-1)


def decode(
    stored: np.ndarray,
    mode: int,
    height: int = HEIGHT,
    width: int = WIDTH,
    channels: int = 3,
    dtype: type = np.uint8,
    offset: int = 0,
    size: int | None = None,
) -> tuple[int, np.ndarray]:
    """Decode one image, whole: `size` bytes from `offset` of `stored` on, by default all."""
    target = np.zeros((1, height, width, channels), dtype=dtype)
    channels *= target.itemsize  # bytes per pixel
    small = np.empty(len(stored) + EXTRA_BYTES, dtype=np.uint8)
    failed = decode_windows(
        parts_with(small),
        stored,
        np.array([offset]),
        np.array([len(stored) - offset if size is None else size]),
        np.array([mode], dtype=np.uint8), np.array([height]), np.array([width]), channels,
        np.ones(1, dtype=np.int64),
        np.array([[[0, 0, height, width, height, width, 0, 0, 0]]]), np.zeros(1, dtype=np.int64),
        np.array([[target.ctypes.data, height, width, 0, target.nbytes, 0, 0, 1, 0, 0]]),
        np.zeros(1, dtype=np.uint64), np.empty(channels * height * width, dtype=np.uint8),
        np.empty(2 * (channels * width + 1), dtype=np.float32), 0,
    )  # fmt: skip
    return failed, target[0]


def test_a_jpeg_gives_the_pixels_that_ffcv_gives(pixels):
    stored = jpeg(pixels)
    theirs = np.empty_like(pixels)
    imdecode(stored, theirs, HEIGHT, WIDTH, HEIGHT, WIDTH, 0, 0, 1, 1, False, False)
    failed, ours = decode(stored, 0)
    assert failed == -1
    assert np.array_equal(ours, theirs)


def test_raw_pixels_come_back_as_they_are(pixels):
    failed, ours = decode(pixels.reshape(-1), 1)
    assert failed == -1
    assert np.array_equal(ours, pixels)


@pytest.mark.parametrize("mode", [STORED_AS_JPEG, STORED_RAW, STORED_AS_RUNS, 3])
@pytest.mark.parametrize(
    ("offset", "size"), [(-1, 10), (0, -1), (1, None), (10**6, 10), (0, 10**6), (2**62, 2**62), (5, 2**63 - 1)]
)
def test_an_extent_outside_the_file_is_refused(mode, offset, size):
    stored = np.full(4 * 3, 77, dtype=np.uint8)
    size = len(stored) if size is None else size
    assert decode(stored, mode, 4, 3, 1, offset=offset, size=size)[0] == 0


@pytest.mark.parametrize("damage", ["cut", "zeros", "empty", "no jpeg"])
def test_a_damaged_jpeg_is_reported(pixels, damage):
    stored = jpeg(pixels)
    if damage == "cut":
        stored = stored[: len(stored) // 2]
    elif damage == "zeros":
        stored[100:] = 0
    elif damage == "empty":
        stored = stored[:0]
    else:
        stored[:] = 1
    assert decode(stored.copy(), 0)[0] == 0


def test_a_jpeg_of_another_size_than_recorded_is_reported(pixels):
    assert decode(jpeg(pixels), 0, HEIGHT * 2, WIDTH * 2)[0] == 0
    assert decode(jpeg(pixels), 0, HEIGHT, WIDTH - 1)[0] == 0


def test_too_few_raw_pixels_are_reported(pixels):
    assert decode(pixels.reshape(-1)[:-1].copy(), 1)[0] == 0


def test_a_grayscale_jpeg_gives_the_pixels_that_opencv_gives_within_a_few_levels(pixels):
    stored = jpeg(pixels[:, :, 0])
    failed, ours = decode(stored, STORED_AS_JPEG, channels=1)
    assert failed == -1
    theirs = cv2.imdecode(stored, cv2.IMREAD_GRAYSCALE)
    assert np.abs(ours[:, :, 0].astype(int) - theirs).max() <= 3  # the fast DCT of one, the exact one of the other


@pytest.mark.parametrize("channels, dtype", [(1, np.uint8), (1, np.uint16), (3, np.uint16)])
@pytest.mark.parametrize("offset", [0, 1, 3])
def test_raw_pixels_of_any_kind_come_back_from_any_address(channels, dtype, offset):
    pixels = np.random.default_rng(0).integers(0, np.iinfo(dtype).max + 1, (9, 7, channels), dtype=dtype)
    stored = np.concatenate([np.zeros(offset, dtype=np.uint8), pixels.reshape(-1).view(np.uint8)])
    failed, ours = decode(stored, STORED_RAW, 9, 7, channels, dtype, offset)
    assert failed == -1
    assert np.array_equal(ours, pixels)
    assert decode(stored[:-1].copy(), STORED_RAW, 9, 7, channels, dtype, offset)[0] == 0


def test_a_run_length_coded_mask_comes_back_as_it_was():
    mask = (np.arange(9 * 7).reshape(9, 7) // 10).astype(np.uint8)
    failed, ours = decode(encode_runs(mask), STORED_AS_RUNS, 9, 7, 1)
    assert failed == -1
    assert np.array_equal(ours[:, :, 0], mask)
    assert decode(encode_runs(mask), STORED_AS_RUNS, 9, 8, 1)[0] == 0


@pytest.mark.parametrize(
    "mode, height, width, channels, dtype",
    [
        (STORED_AS_RUNS, 9, 7, 3, np.uint8),
        (STORED_AS_RUNS, 9, 7, 1, np.uint16),
        (3, 9, 7, 3, np.uint8),
        (255, 9, 7, 1, np.uint8),
        (STORED_RAW, 0, 7, 3, np.uint8),
        (STORED_RAW, 9, 0, 3, np.uint8),
    ],
)
def test_what_a_field_of_that_kind_cannot_hold_is_reported(mode, height, width, channels, dtype):
    stored = np.zeros(10_000, dtype=np.uint8)
    if mode == STORED_AS_RUNS:
        stored = encode_runs(stored[: height * width * channels].reshape(height, -1))
    elif mode == STORED_AS_JPEG:
        stored = jpeg(stored[: height * width].reshape(height, width))
    assert decode(stored, mode, height, width, channels, dtype)[0] == 0
