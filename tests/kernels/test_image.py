import cv2
import numpy as np
import pytest
from ffcv.libffcv import imdecode

from ffcv_hydra.kernels.image import decode_resized
from ffcv_hydra.kernels.jpeg import Decompressor

HEIGHT, WIDTH = 61, 83
DECOMPRESSOR = Decompressor()


@pytest.fixture
def pixels() -> np.ndarray:
    coarse = np.random.default_rng(0).integers(0, 256, (7, 9, 3), dtype=np.uint8)
    return cv2.resize(coarse, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)


def jpeg(pixels: np.ndarray) -> np.ndarray:
    return cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, 90])[1].reshape(-1)


def decode(stored: np.ndarray, mode: int, height: int = HEIGHT, width: int = WIDTH) -> tuple[int, np.ndarray]:
    target = np.zeros((1, height, width, 3), dtype=np.uint8)
    one = [np.array([value], dtype=np.int64) for value in (0, len(stored))]
    failed = decode_resized(
        DECOMPRESSOR.handle, stored, *one, np.array([mode], dtype=np.uint8), np.array([height]), np.array([width]),
        np.array([[0, 0, height, width]]), np.empty(3 * height * width, dtype=np.uint8), target,
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
