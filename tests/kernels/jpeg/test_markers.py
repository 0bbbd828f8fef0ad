import numba
import numpy as np
import pytest

from ffcv_hydra.kernels.jpeg import markers
from ffcv_hydra.kernels.jpeg.markers import FOOTER_BYTES, HEADER_LENGTH, INDEX_LENGTH, parse_jpeg, read_index
from tests.kernels.jpegs import encode, pixels


@numba.njit
def _parse(data, offset, size, header):
    return parse_jpeg(data, offset, size, header)


@numba.njit
def _read(data, offset, size, out):
    return read_index(data, offset, size, out)


def parse(data, offset=0, size=None):
    header = np.zeros(HEADER_LENGTH, dtype=np.int64)
    return _parse(data, offset, len(data) if size is None else size, header), header


def read(data, offset=0, size=None):
    out = np.zeros(INDEX_LENGTH, dtype=np.int64)
    return _read(data, offset, len(data) if size is None else size, out), out.tolist()


MCU_SIZES = {
    "4:4:4": (8, 8), "4:2:2": (16, 8), "4:2:0": (16, 16), "4:4:0": (8, 16), "4:1:1": (32, 8), "gray": (8, 8),
}  # fmt: skip


@pytest.mark.parametrize("subsampling", MCU_SIZES)
@pytest.mark.parametrize("offset", [0, 5])
def test_a_header_is_read_wherever_the_jpeg_stands(subsampling, offset):
    jpeg = encode(pixels(33, 70), subsampling, restart_interval=3)
    data = np.concatenate([np.full(offset, 0xFF, np.uint8), jpeg, np.zeros(9, np.uint8)])
    status, header = parse(data, offset, len(jpeg))
    assert status == 0
    assert (header[markers.WIDTH], header[markers.HEIGHT]) == (70, 33)
    assert header[markers.COMPONENTS] == (1 if subsampling == "gray" else 3)
    width, height = MCU_SIZES[subsampling]
    assert (header[markers.MCU_WIDTH], header[markers.MCU_HEIGHT]) == (width, height)
    assert (header[markers.MAX_H], header[markers.MAX_V]) == (width // 8, height // 8)
    assert (header[markers.RESTART_INTERVAL], header[markers.IS_BASELINE]) == (3, 1)
    position = header[markers.SIZE_POSITION]
    assert data[position : position + 4].tolist() == [0, 33, 0, 70]
    scan = jpeg.tobytes().index(b"\xff\xda")
    assert header[markers.ENTROPY_START] == offset + scan + 2 + int.from_bytes(jpeg[scan + 2 : scan + 4].tobytes())


def patched(jpeg, old, new):
    content = jpeg.tobytes()
    assert content.count(old) == 1
    return np.frombuffer(content.replace(old, new), dtype=np.uint8)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"\xff\xc0\x00\x11\x08", b"\xff\xc9\x00\x11\x08"),  # arithmetic coding
        (b"\xff\xc0\x00\x11\x08", b"\xff\xc1\x00\x11\x0c"),  # 12 bits
        (b"\xff\xda\x00\x0c\x03\x01\x00\x02\x11\x03\x11", b"\xff\xda\x00\x08\x01\x01\x00"),  # of several scans
        (b"\xff\xda\x00\x0c\x03\x01\x00\x02\x11", b"\xff\xda\x00\x0c\x03\x02\x00\x01\x11"),  # in another order
    ],
)
def test_kinds_that_are_not_baseline_are_told_apart(old, new):
    status, header = parse(patched(encode(pixels(16, 16)), old, new))
    assert (status, header[markers.IS_BASELINE]) == (0, 0)


def test_progressive_is_not_baseline():
    assert parse(encode(pixels(16, 16), progressive=True))[1][markers.IS_BASELINE] == 0


def test_a_jpeg_cut_short_anywhere_before_its_data_is_damaged():
    data = encode(pixels(20, 20), optimize=True)
    _, header = parse(data)
    for size in range(header[markers.ENTROPY_START]):
        assert parse(data[:size].copy())[0] == markers.DAMAGED
        assert parse(data, 0, size)[0] == markers.DAMAGED


def test_a_size_beyond_the_data_is_damaged():
    data = encode(pixels(20, 20))
    assert parse(data, 0, len(data) + 1)[0] == markers.DAMAGED
    assert parse(data, -1, len(data))[0] == markers.DAMAGED
    assert parse(data, 1, len(data) - 1)[0] == markers.DAMAGED


def indexed(lengths, length_bytes=2, interval=4, first=10, version=1):
    """An index behind a JPEG of which only the lengths matter."""
    last = len(lengths) - 1
    markers = [bytes([0xFF, 0xD9 if n == last else 0xD0 + n % 8]) for n in range(len(lengths))]
    jpeg = bytes(first) + b"".join(bytes(length) + marker for length, marker in zip(lengths, markers, strict=True))
    numbers = [(interval, 2), (len(lengths), 4), (first, 4)]
    footer = b"FHRI" + bytes([version, length_bytes]) + b"".join(n.to_bytes(size, "little") for n, size in numbers)
    return jpeg + b"".join(length.to_bytes(length_bytes, "little") for length in lengths) + footer


@pytest.mark.parametrize("length_bytes", [2, 4])
@pytest.mark.parametrize("offset", [0, 3])
def test_an_index_is_found_at_the_end(length_bytes, offset):
    content = indexed([5, 300, 7], length_bytes)
    data = np.frombuffer(bytes(offset) + content + b"FHRI", dtype=np.uint8)
    count, out = read(data, offset, len(content))
    assert count == 3
    assert out == [4, offset + 10, offset + len(content) - FOOTER_BYTES - 3 * length_bytes, length_bytes]
    assert read(data)[0] == 0


@pytest.mark.parametrize("length_bytes", [2, 4])
def test_F26_an_index_that_lies_about_lengths_is_none(length_bytes):
    lengths = [5, 3, 5, 8, 2, 2, 6, 1, 9, 5, 3, 7]
    content = bytearray(indexed(lengths, length_bytes))
    begin = len(content) - FOOTER_BYTES - len(lengths) * length_bytes

    def count(told):
        content[begin:-FOOTER_BYTES] = b"".join(length.to_bytes(length_bytes, "little") for length in told)
        return read(np.frombuffer(bytes(content), dtype=np.uint8))[0]

    assert count(lengths) == len(lengths)
    moved = [*lengths[:3], lengths[3] - 1, lengths[4] + 1, *lengths[5:]]
    far = [lengths[0] + sum(lengths[1:9]) + 16, 0, 0, 0, 0, 0, 0, 0, 0, *lengths[9:]]  # the same numbers, 8 markers on
    for told in (moved, lengths[::-1], far):
        assert count(told) == 0


def test_a_damaged_index_is_none():
    content = indexed([5, 300, 7])
    for position in range(len(content) - FOOTER_BYTES - 6, len(content)):
        damaged = bytearray(content)
        damaged[position] ^= 0x40
        is_interval = position in (len(content) - 10, len(content) - 9)  # which only the image can confirm
        assert (read(np.frombuffer(bytes(damaged), dtype=np.uint8))[0] > 0) == is_interval


@pytest.mark.parametrize(
    "content",
    [indexed([5], interval=0), indexed([]), indexed([5], version=2), indexed([5], 4)[1:], b"FHRI", b"", bytes(16)],
)
def test_what_is_no_index_is_none(content):
    assert read(np.frombuffer(content, dtype=np.uint8))[0] == 0
