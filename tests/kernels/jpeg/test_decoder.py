"""The project's own decoding: the very pixels of TurboJPEG's, or none."""

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from ffcv_hydra.beton.fields.restart_index import with_random_access
from ffcv_hydra.kernels.jpeg.decoder import EXTRA_BYTES, REGION_LENGTH, decode_box
from tests.kernels.jpeg.test_region import boxes, encoded, photo, scaled, whole
from tests.kernels.jpegs import encode, parts_with

pytestmark = pytest.mark.timeout(300)
SIZES = [(375, 500), (129, 97), (17, 70), (16, 16), (33, 5), (1, 300)]


def own(
    jpeg: np.ndarray, size: tuple[int, int], box: tuple[int, ...], channels: int = 3, scale: int = 1
) -> np.ndarray | None:
    """The pixels of a box, or all scaled ones that touch it; None if they are left to TurboJPEG."""
    height, width = size
    part, target = np.zeros(len(jpeg) + EXTRA_BYTES, np.uint8), np.full(height * width * channels + 64, 0x5A, np.uint8)
    region, wanted = np.zeros(REGION_LENGTH, np.int64), np.array(box)
    parts = parts_with(part)
    status = decode_box(
        parts.ctypes.data, jpeg.ctypes.data, len(jpeg), height, width, channels, scale, wanted.ctypes.data,
        target.ctypes.data, region.ctypes.data,
    )  # fmt: skip
    assert (target[height * width * channels :] == 0x5A).all()
    if status == 0:
        return None
    assert (region[:2] % scale == 0).all()
    top, left, columns = region[0] // scale, region[1] // scale, region[2]
    box = box[0] // scale, box[1] // scale, scaled(box[2], scale), scaled(box[3], scale)
    assert top == box[0] and left in (box[1], box[1] - 1) and columns == box[3] - left
    pixels = target[: (box[2] - top) * columns * channels].reshape(-1, columns, channels)
    return pixels[:, box[1] - left :]


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("subsampling", ["4:4:4", "4:2:2", "4:2:0", "gray"])
@pytest.mark.parametrize("kind", [{}, {"optimize": True}, {"restart_interval": 1}, {"restart_interval": 7}])
def test_plain_jpegs_are_decoded_to_turbojpegs_pixels(size, subsampling, kind):
    jpeg = encode(np.asarray(photo(*size)), subsampling, **kind)
    expected = whole(jpeg, *size)
    for box in boxes(*size, count=10):
        pixels = own(jpeg, size, box)
        assert pixels is not None and np.array_equal(pixels, expected[box[0] : box[2], box[1] : box[3]])


@pytest.mark.parametrize("scale", [2, 4, 8])
@pytest.mark.parametrize("subsampling", ["4:4:4", "4:2:0", "gray"])
@pytest.mark.parametrize("kind", [{}, {"restart_interval": 7}, {"quality": 100}])
def test_plain_jpegs_are_decoded_smaller_to_turbojpegs_pixels(scale, subsampling, kind):
    for size in SIZES:
        jpeg = encode(np.asarray(photo(*size)), subsampling, **kind)
        expected = whole(jpeg, *size, scale=scale)
        for box in boxes(*size, count=10):
            rows, columns = (slice(box[i] // scale, scaled(box[i + 2], scale)) for i in range(2))
            pixels = own(jpeg, size, box, scale=scale)
            assert pixels is not None and np.array_equal(pixels, expected[rows, columns])


def test_chroma_that_would_be_interpolated_when_smaller_is_left_to_turbojpeg():
    assert own(encode(np.asarray(photo(64, 96)), "4:2:2"), (64, 96), (0, 0, 64, 96), scale=2) is None


@pytest.mark.parametrize("subsampling", ["4:4:4", "4:2:2", "4:2:0"])
def test_with_an_index_only_segments_under_the_box_are_read(subsampling):
    size = 200, 600
    jpeg = with_random_access(encode(np.asarray(photo(*size)), subsampling))
    box = 50, 250, 130, 330
    expected = whole(jpeg, *size)[box[0] : box[2], box[1] : box[3]]
    damaged = jpeg.copy()
    below = np.arange(len(jpeg) - 5000, len(jpeg) - 4000)
    damaged[below[(jpeg[below] | 1 != 0xFF) & (jpeg[below - 1] != 0xFF)]] ^= 1  # markers stay
    assert np.array_equal(own(jpeg, size, box), expected) and np.array_equal(own(damaged, size, box), expected)


@pytest.mark.parametrize("quality", [5, 50, 100])
def test_strong_and_weak_compression_give_turbojpegs_pixels(quality):
    size = 160, 240
    noise = np.random.default_rng(quality).integers(0, 2, (*size, 3), dtype=np.uint8) * np.uint8(255)
    for image in (np.asarray(photo(*size)), noise):
        jpeg = encode(image, "4:2:0", quality=quality)
        assert np.array_equal(own(jpeg, size, (0, 0, *size)), whole(jpeg, *size))


def test_tables_of_the_jpeg_before_are_not_used_for_another_one():
    size = 80, 120
    jpegs = [
        encode(np.asarray(photo(*size)), optimize=optimize, quality=q) for optimize, q in ((0, 90), (1, 90), (1, 30))
    ]
    for jpeg in [*jpegs, *jpegs[::-1]]:
        assert np.array_equal(own(jpeg, size, (0, 0, *size)), whole(jpeg, *size))


def test_F25_a_jpeg_that_breaks_off_is_refused_also_above_that():
    size = 375, 500
    jpeg = encoded(photo(*size))
    cut = jpeg[: len(jpeg) // 2].copy()
    assert own(jpeg, size, (10, 20, 100, 300)) is not None and own(cut, size, (10, 20, 100, 300)) is None


def _saved(mode: str, **options) -> np.ndarray:
    buffer = io.BytesIO()
    photo(64, 96).convert(mode).save(buffer, "jpeg", **options)
    return np.frombuffer(buffer.getvalue(), np.uint8)


def _with_two_byte_quantisers(jpeg: np.ndarray) -> np.ndarray:
    data = jpeg.tobytes()
    at = data.index(b"\xff\xdb")
    assert data[at + 2 : at + 4] == b"\0\x43"
    table = bytes(byte for value in data[at + 5 : at + 69] for byte in (0, value))
    wide = b"\xff\xdb\0\x83" + bytes([data[at + 4] | 0x10]) + table
    return np.frombuffer(data[:at] + wide + data[at + 69 :], np.uint8)


@pytest.mark.parametrize(
    "jpeg",
    [
        encode(np.asarray(photo(64, 96)), "4:4:0"),
        encode(np.asarray(photo(64, 96)), "4:1:1"),
        encode(np.asarray(photo(64, 96)), progressive=True),
        _saved("CMYK"),
        _saved("RGB", keep_rgb=True),
        _with_two_byte_quantisers(_saved("RGB")),
    ],
    ids=["4:4:0", "4:1:1", "progressive", "CMYK", "RGB", "two-byte quantisers"],
)
def test_other_jpegs_are_left_to_turbojpeg(jpeg):
    assert own(jpeg, (64, 96), (0, 0, 64, 96)) is None


def test_an_image_too_narrow_to_interpolate_is_left_to_turbojpeg():
    assert own(encode(np.asarray(photo(64, 4))), (64, 4), (0, 0, 64, 4)) is None


def test_pillow_decodes_nearly_the_same():
    jpeg = encoded(photo(120, 160))
    pillow = np.asarray(Image.open(io.BytesIO(jpeg.tobytes())), dtype=int)  # by the slower, exact transform
    assert np.abs(own(jpeg, (120, 160), (0, 0, 120, 160)) - pillow).mean() < 2


@settings(max_examples=400, deadline=None)
@given(st.data())
def test_what_is_decoded_of_a_mutated_jpeg_is_what_turbojpeg_makes_of_it_without_complaint(data):
    size = 48, 80
    kind = data.draw(st.sampled_from(["plain", "indexed", "restarts"]))
    jpeg = encode(np.asarray(photo(*size)), restart_interval=2 if kind == "restarts" else 0)
    jpeg = with_random_access(jpeg).copy() if kind == "indexed" else jpeg.copy()
    for _ in range(data.draw(st.integers(1, 3))):
        jpeg[data.draw(st.integers(0, len(jpeg) - 1))] = data.draw(st.integers(0, 255))
    pixels = own(jpeg, size, (0, 0, *size))
    if pixels is not None:
        assert np.array_equal(pixels, whole(jpeg, *size))  # which asserts that there is no complaint
