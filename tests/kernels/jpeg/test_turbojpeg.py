"""Whole JPEGs by TurboJPEG: FFCV's pixels, in one line what is wrong with them, and nothing beyond the target."""

import io
import re
import struct
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from ffcv_hydra.kernels.jpeg.turbojpeg import complaint, decode_jpeg
from tests.kernels.ffcv_turbojpeg import decode_as_ffcv
from tests.kernels.jpegs import SUBSAMPLINGS, encode, pixels

pytestmark = pytest.mark.timeout(200)


def saved(mode: str, size: tuple[int, int] = (48, 64), **options) -> np.ndarray:
    buffer = io.BytesIO()
    Image.fromarray(pixels(*size)).convert(mode).save(buffer, "jpeg", **options)
    return np.frombuffer(buffer.getvalue(), np.uint8)


def lossless(height: int, width: int) -> np.ndarray:
    """A gray image as lossless JPEG (T.81, annex H), whose samples are all as predicted."""

    def segment(marker: int, content: bytes) -> bytes:
        return struct.pack(">BBH", 0xFF, marker, 2 + len(content)) + content

    frame = struct.pack(">BHHB", 8, height, width, 3) + bytes([1, 0x11, 0, 2, 0x11, 0, 3, 0x11, 0])
    codes = bytes([0, 1, 1, *[0] * 14, 0, 7])
    scan = bytes([3, 1, 0, 2, 0, 3, 0, 1, 0, 0])
    content = segment(0xC3, frame) + segment(0xC4, codes) + segment(0xDA, scan) + bytes(-(-height * width * 3 // 8))
    return np.frombuffer(b"\xff\xd8" + content + b"\xff\xd9", np.uint8)


def decoded(jpeg: np.ndarray, height: int, width: int, channels: int = 3, scale: int = 1) -> np.ndarray:
    rows, columns = -(-height // scale), -(-width // scale)
    target = np.full(rows * columns * channels + 4096, 0x5A, np.uint8)
    try:
        decode_jpeg(jpeg, height, width, channels, target[:-4096], scale)
    finally:
        assert (target[-4096:] == 0x5A).all()
    return target[:-4096].reshape(rows, columns, channels)


def refusal(jpeg: np.ndarray, *arguments, **options) -> str:
    with pytest.raises(ValueError) as error:
        decoded(jpeg, *arguments, **options)
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize("subsampling", SUBSAMPLINGS)
@pytest.mark.parametrize(
    "kind",
    [{}, {"progressive": True}, {"quality": 30, "optimize": True}, {"quality": 100, "restart_interval": 3}],
    ids=["plain", "progressive", "optimised", "restarts"],
)
def test_pixels_are_those_of_ffcvs_turbojpeg(subsampling, kind):
    for size in [(61, 200), (200, 61), (16, 16), (7, 3), (1, 9), (130, 97)]:
        jpeg = encode(pixels(*size), subsampling, **kind)
        for scale in (1, 2, 4, 8):
            for channels in (1, 3):
                is_good, expected = decode_as_ffcv(jpeg, *size, channels, scale)
                assert is_good and np.array_equal(decoded(jpeg, *size, channels, scale), expected)


@pytest.mark.parametrize("jpeg", [saved("RGB", keep_rgb=True), saved("RGB", streamtype=2)], ids=["RGB", "no tables"])
def test_unusual_ones_too(jpeg):
    assert decode_as_ffcv(jpeg, 48, 64)[0] == (complaint(jpeg, 48, 64) is None)
    if complaint(jpeg, 48, 64) is None:
        assert np.array_equal(decoded(jpeg, 48, 64), decode_as_ffcv(jpeg, 48, 64)[1])


@pytest.mark.parametrize("side", range(1, 20))
def test_small_images_are_decoded_at_the_fraction_that_is_asked_for(side):
    for size in [(side, 1), (2, side), (side, side), (side, 5)]:
        jpeg = encode(pixels(*size), "4:4:4")
        for scale in (2, 4, 8):
            assert np.array_equal(decoded(jpeg, *size, scale=scale), decode_as_ffcv(jpeg, *size, scale=scale)[1])


@settings(max_examples=500, deadline=None)
@given(st.data())
def test_what_ffcvs_turbojpeg_refuses_or_warns_of_is_refused(data):
    subsampling = data.draw(st.sampled_from(list(SUBSAMPLINGS)))
    jpeg = encode(pixels(48, 80), subsampling, progressive=data.draw(st.booleans())).copy()
    for _ in range(data.draw(st.integers(1, 3))):
        jpeg[data.draw(st.integers(0, len(jpeg) - 1))] = data.draw(st.integers(0, 255))
    jpeg = jpeg[: data.draw(st.one_of(st.just(len(jpeg)), st.integers(0, len(jpeg))))]
    is_good, expected = decode_as_ffcv(jpeg, 48, 80)
    assert (complaint(jpeg, 48, 80) is None) == is_good
    if is_good:
        assert np.array_equal(decoded(jpeg, 48, 80), expected)
    else:
        assert refusal(jpeg, 48, 80)


@pytest.mark.parametrize("scale", [1, 2, 8])
def test_lossless_jpegs_are_refused_before_turbojpeg_writes_more_than_a_scaled_image(scale):
    jpeg = lossless(64, 80)
    assert "Unsupported JPEG process" in refusal(jpeg, 64, 80, scale=scale)
    odd = np.frombuffer(jpeg.tobytes()[:2] + b"\xff\xff\xff\x01\xff\xd3" + jpeg.tobytes()[2:], np.uint8)
    assert "Unsupported JPEG process" in refusal(odd, 64, 80, scale=scale)


def test_cmyk_is_told_from_the_header():
    jpeg = saved("CMYK")
    for channels in (1, 3):
        assert "Unsupported color conversion request" in refusal(jpeg, 48, 64, channels)
    assert "Unsupported color conversion request" in refusal(saved("RGB"), 48, 64, 4)
    assert complaint(jpeg, 48, 64, channels=4) is None and complaint(jpeg[:-900], 48, 64, channels=4) is not None


def test_another_size_is_told_from_the_header():
    jpeg = saved("RGB")
    assert refusal(jpeg, 64, 48) == "it is 64 pixels wide and 48 high, not 48 and 64"
    assert refusal(jpeg, 47, 64) == "it is 64 pixels wide and 48 high, not 64 and 47"


JPEG = saved("RGB").tobytes()


@pytest.mark.parametrize(
    "content, reason",
    [
        (b"", "it is no JPEG: it begins with the bytes ''"),
        (b"nothing of the kind" * 9, "it is no JPEG: it begins with the bytes '6e 6f'"),
        (b"\xff\xd8", "its header breaks off"),
        (JPEG[:300], "its header breaks off"),
        (b"\xff\xd8" * 9, "in its header, byte 2 begins no segment"),
        (JPEG[:20] + b"?" + JPEG[20:], "in its header, byte 20 begins no segment"),
        (JPEG.replace(b"\xff\xdb", b"\xff\xde", 1), "its header is damaged or unusual: .+"),
    ],
    ids=["empty", "text", "begin", "cut", "two begins", "a byte more", "another marker"],
)
def test_what_is_wrong_with_a_header_is_said_as_far_as_it_can_be_told(content, reason):
    jpeg = np.frombuffer(content, np.uint8)
    assert re.fullmatch(reason, refusal(jpeg, 48, 64)) and complaint(jpeg, 48, 64) == refusal(jpeg, 48, 64)


def test_F24_tables_of_the_jpeg_before_decode_no_other_one():
    jpeg = saved("RGB").tobytes()
    at = jpeg.index(b"\xff\xdb")
    no_quantisers = np.frombuffer(jpeg[:at] + jpeg[jpeg.index(b"\xff\xc0") :], np.uint8)
    for _ in range(3):
        decoded(np.frombuffer(jpeg, np.uint8), 48, 64)
        assert "Quantization table" in refusal(no_quantisers, 48, 64)


def test_threads_decode_side_by_side():
    jpegs = [encode(pixels(100, 140, seed), "4:2:0", progressive=True) for seed in range(8)]
    expected = [decoded(jpeg, 100, 140) for jpeg in jpegs]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda number: decoded(jpegs[number % 8], 100, 140), range(400)))
    assert all(np.array_equal(each, expected[number % 8]) for number, each in enumerate(found))
