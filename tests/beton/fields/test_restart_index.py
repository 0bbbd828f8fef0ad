import struct
from io import BytesIO

import cv2
import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_sample_images

from ffcv_hydra.beton.fields.restart_index import first_segment, has_index, with_random_access
from tests.kernels.jpegs import SUBSAMPLINGS, assert_same_pixels, decode_with_opencv, encode, pixels

PHOTOS = load_sample_images().images


def photo(width, height=None, number=0):
    height = width * 2 // 3 if height is None else height
    return cv2.resize(PHOTOS[number], (width, height), interpolation=cv2.INTER_AREA)


def index_of(stored):
    """Interval, lengths, position of the first segment and length of the JPEG, read by the layout alone."""
    content = stored.tobytes()
    magic, version, length_bytes, interval, count, first = struct.unpack("<4sBBHII", content[-16:])
    assert (magic, version) == (b"FHRI", 1)
    begin = len(content) - 16 - count * length_bytes
    lengths = np.frombuffer(content[begin:-16], dtype=f"<u{length_bytes}").astype(int).tolist()
    return interval, lengths, first, begin


def check_index(stored):
    """The index points behind each marker, and at nothing else; returns the interval and the number of segments."""
    interval, lengths, at, end = index_of(stored)
    content = stored.tobytes()
    for n, length in enumerate(lengths):
        assert content[at - 1] == (0 if n == 0 else 0xD0 + (n - 1) % 8)  # the last byte of SOS, or of a marker
        assert content[at : at + length].replace(b"\xff\x00", b"").count(0xFF) == 0
        at += length + 2
    assert content[at - 2 : at] == b"\xff\xd9"
    assert at == end
    assert has_index(content[-16:])
    return interval, len(lengths)


@pytest.mark.parametrize("subsampling", SUBSAMPLINGS)
@pytest.mark.parametrize("quality", [50, 90, 98])
@pytest.mark.parametrize("width", [320, 29 * 16 - 3, 31 * 16])
def test_photos_get_an_index_for_less_than_three_percent(subsampling, quality, width):
    for number in (0, 1):
        jpeg = encode(photo(width, number=number), subsampling, quality)
        stored = with_random_access(jpeg)
        if stored is None:  # not even a segment for each row is cheap enough
            assert quality == 50
            continue
        assert_same_pixels(jpeg, stored)
        interval, count = check_index(stored)
        assert count > 1
        mcu_width = {"4:4:4": 8, "4:4:0": 8, "gray": 8, "4:2:2": 16, "4:2:0": 16, "4:1:1": 32}[subsampling]
        assert -(-width // mcu_width) % interval == 0
        assert len(stored) <= 1.03 * len(jpeg)


def test_segments_are_64_pixels_wide_where_that_is_cheap_enough():
    assert check_index(with_random_access(encode(photo(500), "4:2:0", 90)))[0] == 4
    assert check_index(with_random_access(encode(photo(500), "4:4:4", 100)))[0] == 9  # 63 in a row
    assert check_index(with_random_access(encode(photo(500), "4:1:1", 98)))[0] == 2
    assert check_index(with_random_access(encode(photo(500), "4:2:0", 20)))[0] in (16, 32)


def test_optimised_tables_stay_as_they_are_but_for_more_categories():
    jpeg = encode(photo(300), optimize=True)
    stored = with_random_access(jpeg)
    assert_same_pixels(jpeg, stored)
    check_index(stored)
    assert len(stored) <= 1.03 * len(jpeg)


@pytest.mark.parametrize("subsampling", ["4:4:4", "4:2:0", "gray"])
def test_progressive_images_become_sequential(subsampling):
    jpeg = encode(photo(300), subsampling, progressive=True)
    stored = with_random_access(jpeg)
    assert_same_pixels(jpeg, stored)
    check_index(stored)


@pytest.mark.parametrize(
    ("before", "after"), [(1, 1), (2, 2), (4, 4), (8, 8), (16, 16), (7, 4), (32, 4), (5000, 4)]
)  # fmt: skip
def test_markers_that_suit_are_kept(before, after):
    jpeg = encode(photo(500), restart_interval=before)
    stored = with_random_access(jpeg)
    assert_same_pixels(jpeg, stored)
    assert check_index(stored)[0] == after
    if before == after:
        assert np.array_equal(stored[: index_of(stored)[3]], jpeg)


def test_markers_that_cost_too_much_are_thinned_out():
    jpeg = encode(photo(500), quality=30, restart_interval=1)
    stored = with_random_access(jpeg)
    assert_same_pixels(jpeg, stored)
    assert check_index(stored)[0] > 1
    assert len(stored) < len(jpeg)


def test_what_is_stored_gets_the_same_index_again():
    stored = with_random_access(encode(photo(300)))
    assert np.array_equal(with_random_access(stored), stored)


def test_long_segments_are_counted_with_four_bytes():
    image = np.full((4096, 8192, 3), 128, dtype=np.uint8)
    image[:8] = np.random.default_rng(0).integers(0, 256, (8, 8192, 3), dtype=np.uint8)
    jpeg = encode(image, "gray", quality=100, optimize=True)
    stored = with_random_access(jpeg)
    _, lengths, _, _ = index_of(stored)
    assert max(lengths) > 0xFFFF
    check_index(stored)
    assert np.array_equal(decode_with_opencv(stored), decode_with_opencv(jpeg))


def patched(jpeg, old, new):
    content = jpeg.tobytes()
    assert content.count(old) == 1
    return np.frombuffer(content.replace(old, new), dtype=np.uint8)


def cmyk():
    file = BytesIO()
    Image.fromarray(photo(300)).convert("CMYK").save(file, "JPEG")
    return np.frombuffer(file.getvalue(), dtype=np.uint8)


REFUSED = {
    "CMYK": cmyk(),
    "too small": encode(pixels(16, 16)),
    "one segment": encode(pixels(8, 64), quality=100),
    "empty": np.zeros(0, dtype=np.uint8),
    "no JPEG": np.zeros(5000, dtype=np.uint8),
    "cut short": encode(photo(300))[:-100],
    "progressive and cut short": encode(photo(300), progressive=True)[:-100],
    "arithmetic coding": patched(encode(photo(300)), b"\xff\xc0\x00\x11\x08", b"\xff\xc9\x00\x11\x08"),
    "12 bits": patched(encode(photo(300)), b"\xff\xc0\x00\x11\x08", b"\xff\xc1\x00\x11\x0c"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_has_no_segments_here_is_refused(kind):
    assert with_random_access(REFUSED[kind]) is None


@pytest.mark.parametrize("subsampling", SUBSAMPLINGS)
def test_the_first_segment_is_an_image(subsampling):
    jpeg = encode(photo(300), subsampling)
    segment, height, width = first_segment(with_random_access(jpeg), 200, 300)
    expected = decode_with_opencv(jpeg)[:height, :width]
    assert decode_with_opencv(segment).shape == (height, width, 3)
    inside = decode_with_opencv(segment)[: height - 2, : width - 2]  # chroma is interpolated over the border
    assert np.array_equal(inside, expected[: height - 2, : width - 2])


def test_the_first_segment_of_another_size_is_none():
    assert first_segment(with_random_access(encode(photo(300))), 201, 300) is None
