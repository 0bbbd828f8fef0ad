"""Parts of JPEGs: the very pixels of the whole, with an index of restart segments and without."""

import io
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from sklearn.datasets import load_sample_images

from ffcv_hydra.beton.fields.restart_index import with_random_access
from ffcv_hydra.kernels.jpeg.region import decode_region
from ffcv_hydra.kernels.jpeg.turbojpeg import decode_jpeg
from tests.kernels.jpegs import encode

pytestmark = pytest.mark.timeout(300)
SUBSAMPLING = ["4:4:4", "4:2:2", "4:2:0", "4:4:0", "4:1:1"]
SIZES = [(375, 500), (500, 375), (224, 29 * 16), (230, 31 * 16 - 3), (97, 129), (70, 17), (16, 16), (9, 300)]


def photo(height: int, width: int, mode: str = "RGB") -> Image.Image:
    picture = Image.fromarray(load_sample_images().images[(height + width) % 2])
    return picture.resize((width, height), Image.Resampling.BICUBIC).convert(mode)


def encoded(image: Image.Image, **options) -> np.ndarray:
    buffer = io.BytesIO()
    image.save(buffer, "jpeg", **{"quality": 90, **options})
    return np.frombuffer(buffer.getvalue(), np.uint8)


def scaled(side: int, scale: int) -> int:
    return -(-side // scale)


def whole(jpeg: np.ndarray, height: int, width: int, channels: int = 3, scale: int = 1) -> np.ndarray:
    target = np.zeros(height * width * channels, np.uint8)
    decode_jpeg(jpeg, height, width, channels, target, scale)
    rows, columns = scaled(height, scale), scaled(width, scale)
    return target[: rows * columns * channels].reshape(rows, columns, channels)


def part(jpeg: np.ndarray, height: int, width: int, box, channels: int = 3, scale: int = 1):
    """The pixels of the box, or of all scaled pixels that touch it, and which of the whole's they are."""
    stored = np.concatenate([np.full(7, 0xAB, np.uint8), jpeg, np.full(5, 0xCD, np.uint8)])
    stored.flags.writeable = False
    small, target = np.zeros(len(jpeg) + 8, np.uint8), np.zeros(height * width * channels + 8, np.uint8)
    top, left, _, columns = decode_region(
        stored[7:-5], height, width, channels, np.array(box), scale, small[:-8], target[:-8]
    )
    assert not small[-8:].any() and not target[-8:].any()
    top, left, columns = top // scale, left // scale, scaled(columns, scale)
    pixels = target[: len(target) // (columns * channels) * columns * channels].reshape(-1, columns, channels)
    rows, cols = slice(box[0] // scale, scaled(box[2], scale)), slice(box[1] // scale, scaled(box[3], scale))
    return pixels[rows.start - top : rows.stop - top, cols.start - left : cols.stop - left], (rows, cols)


def refusal(jpeg: np.ndarray, height: int, width: int, box, **options) -> str:
    """Why a part is refused."""
    with pytest.raises(ValueError) as error:
        part(jpeg, height, width, box, **options)
    return str(error.value)


def boxes(height: int, width: int, count: int):
    """Random boxes of all sizes, and the corners."""
    random = np.random.default_rng(height * width)
    for _ in range(count):
        top, bottom = sorted(random.choice(height + 1, 2, replace=False).tolist())
        left, right = sorted(random.choice(width + 1, 2, replace=False).tolist())
        yield top, left, bottom, right
    yield from ((0, 0, 1, 1), (height - 1, width - 1, height, width), (0, width - 1, 1, width), (0, 0, height, width))


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("subsampling", SUBSAMPLING)
@pytest.mark.parametrize("indexed", [True, False])
def test_a_part_has_the_pixels_of_the_whole(size, subsampling, indexed):
    jpeg = encode(np.asarray(photo(*size)), subsampling)
    jpeg = with_random_access(jpeg) if indexed else jpeg
    if jpeg is None:
        return  # too small for more than one segment
    expected = whole(jpeg, *size)
    for box in boxes(*size, count=30):
        pixels, (rows, columns) = part(jpeg, *size, box)
        assert np.array_equal(pixels, expected[rows, columns])


@pytest.mark.parametrize("scale", [2, 4, 8])
@pytest.mark.parametrize("subsampling", SUBSAMPLING)
@pytest.mark.parametrize("indexed", [True, False])
def test_a_scaled_part_has_the_pixels_of_the_scaled_whole(scale, subsampling, indexed):
    for size in SIZES:
        jpeg = encode(np.asarray(photo(*size)), subsampling)
        jpeg = with_random_access(jpeg) if indexed else jpeg
        if jpeg is None:
            continue
        expected = whole(jpeg, *size, scale=scale)
        for box in boxes(*size, count=8):
            pixels, (rows, columns) = part(jpeg, *size, box, scale=scale)
            assert np.array_equal(pixels, expected[rows, columns])


@pytest.mark.parametrize("indexed", [True, False])
@pytest.mark.parametrize("mode", ["RGB", "L"])
@pytest.mark.parametrize("channels", [1, 3])
def test_colours_and_grayscale_are_turned_into_one_another(indexed, mode, channels):
    size = 200, 333
    jpeg = encoded(photo(*size, mode))
    jpeg = with_random_access(jpeg) if indexed else jpeg
    expected = whole(jpeg, *size, channels=channels)
    for box in boxes(*size, count=20):
        pixels, (rows, columns) = part(jpeg, *size, box, channels=channels)
        assert np.array_equal(pixels, expected[rows, columns])


def test_less_is_decoded_than_the_whole():
    jpeg = with_random_access(encoded(photo(480, 640)))
    small, target = np.zeros(len(jpeg), np.uint8), np.zeros(480 * 640 * 3, np.uint8)
    box = np.array([200, 300, 232, 340])
    top, left, rows, columns = decode_region(jpeg, 480, 640, 3, box, 1, small, target)
    assert 200 - 16 - 2 <= top <= 200 and 300 - 80 - 2 <= left <= 300 and rows <= 64 and 40 <= columns <= 3 * 80
    assert target[: 48 * columns * 3].any() and not target[64 * columns * 3 :].any()


def test_progressive_jpegs_are_decoded_as_a_whole():
    jpeg = encoded(photo(100, 150), progressive=True)
    expected = whole(jpeg, 100, 150)
    pixels, (rows, columns) = part(jpeg, 100, 150, (10, 20, 30, 40))
    assert np.array_equal(pixels, expected[rows, columns])


@pytest.mark.parametrize("indexed", [True, False])
def test_another_size_than_expected_is_reported(indexed):
    jpeg = encoded(photo(100, 150))
    jpeg = with_random_access(jpeg) if indexed else jpeg
    part(jpeg, 100, 150, (0, 0, 10, 10))
    assert refusal(jpeg, 150, 100, (0, 0, 10, 10)) == "it is 150 pixels wide and 100 high, not 100 and 150"


@pytest.mark.parametrize("indexed", [True, False])
def test_damage_under_the_part_is_reported(indexed):
    jpeg = encoded(photo(375, 500))
    jpeg = (with_random_access(jpeg) if indexed else jpeg).copy()
    begin = len(jpeg) // 3
    jpeg[begin : begin + 300] = 0xFF  # no entropy-coded data may hold that
    assert refusal(jpeg, 375, 500, (0, 0, 300, 500))


def test_an_unknown_marker_does_not_spoil_the_next_jpeg():
    progressive = encode(np.asarray(photo(64, 96)), progressive=True)  # TurboJPEG reads its header, too
    damaged = progressive.copy()
    damaged[np.flatnonzero((damaged[:-1] == 0xFF) & (damaged[1:] == 0xDB))[0] + 1] = 0xDE
    for _ in range(2):
        assert "its header is damaged or unusual" in refusal(damaged, 64, 96, (0, 0, 64, 96))
        part(progressive, 64, 96, (0, 0, 64, 96))


def _without(jpeg: np.ndarray, marker: int) -> np.ndarray:
    """A JPEG without its segments of one marker."""
    content = jpeg.tobytes()
    kept, at = content[:2], 2
    while content[at + 1] != 0xDA:
        end = at + 2 + int.from_bytes(content[at + 2 : at + 4], "big")
        kept += b"" if content[at + 1] == marker else content[at:end]
        at = end
    return np.frombuffer(kept + content[at:], np.uint8)


@pytest.mark.parametrize("scale", [1, 2])
def test_F24_tables_of_the_jpeg_before_decode_no_other_one(scale):
    size, box = (96, 128), (10, 20, 50, 60)
    other, standard = encoded(photo(*size), quality=20, optimize=True), encoded(photo(*size))
    no_quantisers, no_codes = _without(standard, 0xDB), _without(standard, 0xC4)
    expected = whole(standard, *size, scale=scale)  # a decoder takes the standard's codes for those that are not there
    for before in (other, standard):
        for wanted in (box, (0, 0, *size)):
            part(before, *size, wanted)
            assert "Quantization table" in refusal(no_quantisers, *size, wanted, scale=scale)
            part(before, *size, wanted)
            pixels, (rows, columns) = part(no_codes, *size, wanted, scale=scale)
            assert np.array_equal(pixels, expected[rows, columns])


@pytest.mark.parametrize("kind", ["plain", "indexed", "restarts"])
@pytest.mark.parametrize("factors", [(0x31, 0x11, 0x11), (0x22, 0x12, 0x11), (0x22, 0x11, 0x13)], ids=str)
@pytest.mark.parametrize("scale", [1, 2])
def test_F25_sampling_factors_that_the_whole_is_refused_for(kind, factors, scale):
    size = 120, 200
    jpeg = encode(np.asarray(photo(*size)), quality=98, restart_interval=3 if kind == "restarts" else 0)
    jpeg = (with_random_access(jpeg) if kind == "indexed" else jpeg).copy()
    at = int(np.flatnonzero((jpeg[:-1] == 0xFF) & (jpeg[1:] == 0xC0))[0])
    jpeg[at + 11 : at + 20 : 3] = factors
    for box in boxes(*size, count=10):
        assert refusal(jpeg, *size, box, scale=scale)


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_mutated_files_are_decoded_or_refused_and_nothing_is_read_or_written_outside(data):
    size = 120, 200
    jpeg = with_random_access(encoded(photo(*size))).copy()
    # headers and index more often than what lies between: they say where things are
    places = st.one_of(st.integers(0, 700), st.integers(len(jpeg) - 120, len(jpeg) - 1), st.integers(0, len(jpeg) - 1))
    for _ in range(data.draw(st.integers(1, 4))):
        jpeg[data.draw(places)] = data.draw(st.integers(0, 255))
    jpeg = jpeg[: data.draw(st.one_of(st.just(len(jpeg)), st.integers(0, len(jpeg))))]
    box = data.draw(st.sampled_from(list(boxes(*size, count=5))))
    with suppress(ValueError):
        part(jpeg, *size, box)  # which looks behind what may be written
