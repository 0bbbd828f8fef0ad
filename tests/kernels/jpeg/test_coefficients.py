"""Any scans give the coefficients that they were made of; `scan` and `progressive` are tried here, too."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ffcv_hydra.beton.fields.baseline_jpeg import to_baseline
from ffcv_hydra.kernels.jpeg.coefficients import COEFFICIENTS_SLACK_BYTES, block_layout, read_coefficients
from ffcv_hydra.kernels.jpeg.markers import HEADER_LENGTH
from ffcv_hydra.kernels.jpeg.transcode import parse_whole_jpeg
from tests.kernels.jpeg_scans import LONGEST_RUN, Frame, Scan, encode_scans, flat_table, segment, steep_table
from tests.kernels.jpegs import EDITS, decode_with_pil, edited
from tests.kernels.turbojpeg_transform import transformed

ALL = (0, 1, 2)


def each(start: int, end: int, high: int = 0, low: int = 0, restart_interval: int = 0) -> list[Scan]:
    return [Scan((c,), start, end, high, low, restart_interval) for c in ALL]


DC = Scan(ALL, 0, 0)
PROGRESSIVE = {
    "bands": [DC, *each(1, 5), *each(6, 63)],
    "bands, the last one first": [*each(0, 0), *each(20, 63), *each(3, 19), *each(1, 2)],
    "a coefficient at a time": [DC, *(scan for k in range(1, 64) for scan in each(k, k))],
    "bits": [Scan(ALL, 0, 0, 0, 1), *each(1, 63, 0, 1), *each(1, 63, 1, 0), Scan(ALL, 0, 0, 1, 0)],
    "as many bits as there can be": [
        *(Scan(ALL, 0, 0, low + 1 if low < 13 else 0, low) for low in range(13, -1, -1)),
        *(scan for low in range(13, -1, -1) for scan in each(1, 63, low + 1 if low < 13 else 0, low)),
    ],
    "libjpeg's": [
        Scan(ALL, 0, 0, 0, 1), Scan((0,), 1, 5, 0, 2), Scan((2,), 1, 63, 0, 1), Scan((1,), 1, 63, 0, 1),
        Scan((0,), 6, 63, 0, 2), Scan((0,), 1, 63, 2, 1), Scan(ALL, 0, 0, 1, 0), Scan((2,), 1, 63, 1, 0),
        Scan((1,), 1, 63, 1, 0), Scan((0,), 1, 63, 1, 0),
    ],
    "bands cut anew for each bit, DC in parts": [
        Scan((0, 2), 0, 0, 0, 2), Scan((0,), 1, 9, 0, 2), Scan((1,), 0, 0), *each(10, 63, 0, 2), Scan((1,), 1, 9, 0, 2),
        Scan((2,), 1, 9, 0, 2), *each(1, 30, 2, 1), Scan((0,), 0, 0, 2, 1), *each(31, 63, 2, 1), *each(2, 63, 1, 0),
        Scan((2,), 0, 0, 2, 1), Scan((0, 2), 0, 0, 1, 0), *each(1, 1, 1, 0),
    ],
    "restart markers": [
        Scan(ALL, 0, 0, 0, 1, 2), *each(1, 63, 0, 1, 1), Scan(ALL, 0, 0, 1, 0), *each(1, 20, 1, 0, 7),
        *each(21, 63, 1, 0, 3),
    ],
}  # fmt: skip
SEQUENTIAL = {
    "one scan": [Scan(ALL, 0, 63)],
    "one after the other": each(0, 63),
    "in two parts": [Scan((1, 2), 0, 63, restart_interval=3), Scan((0,), 0, 63, restart_interval=5)],
}
FACTORS = {
    "4:4:4": [(1, 1)] * 3,
    "4:2:2": [(2, 1), (1, 1), (1, 1)],
    "4:2:0": [(2, 2), (1, 1), (1, 1)],
    "4:4:0": [(1, 2), (1, 1), (1, 1)],
    "4:1:1": [(4, 1), (1, 1), (1, 1)],
    "none like another": [(1, 4), (2, 1), (1, 2)],
}
SIZES = [(1, 1), (7, 9), (16, 16), (33, 39), (40, 72)]


def coefficients_of(jpeg: np.ndarray) -> np.ndarray | None:
    """int16 (blocks, 64), in zigzag order, of all components; None if the JPEG is refused."""
    header = np.empty(HEADER_LENGTH, dtype=np.int64)
    assert parse_whole_jpeg(jpeg, header) == 0
    layout, num_blocks = block_layout(header)
    guarded = np.zeros((num_blocks + 2, 64), dtype=np.int16)
    plain = np.empty(len(jpeg) + COEFFICIENTS_SLACK_BYTES, dtype=np.uint8)
    is_good = read_coefficients(jpeg, header, layout, plain, guarded[1:-1])
    assert (guarded[[0, -1]] == 0).all()
    return guarded[1:-1] if is_good else None


def check(frame: Frame, scans: list[Scan], seed: int, **options) -> None:
    coefficients = frame.random_coefficients(seed)
    jpeg = encode_scans(frame, coefficients, scans, **options)
    assert np.array_equal(coefficients_of(jpeg), np.concatenate([part.reshape(-1, 64) for part in coefficients]))
    baseline = to_baseline(jpeg)
    assert np.array_equal(decode_with_pil(baseline), decode_with_pil(jpeg))


@pytest.mark.parametrize("script", PROGRESSIVE)
@pytest.mark.parametrize("factors", FACTORS)
def test_progressive_scans(script, factors):
    for seed, size in enumerate(SIZES):
        table, longest_run = (flat_table, steep_table)[seed % 2], (LONGEST_RUN, 5, 1)[seed % 3]
        check(Frame(*size, FACTORS[factors]), PROGRESSIVE[script], seed, table=table, longest_run=longest_run)


@pytest.mark.parametrize("script", SEQUENTIAL)
@pytest.mark.parametrize("factors", FACTORS)
def test_sequential_scans(script, factors):
    for seed, size in enumerate(SIZES):
        table = (flat_table, steep_table)[seed % 2]
        check(Frame(*size, FACTORS[factors]), SEQUENTIAL[script], seed, progressive=False, table=table)


@pytest.mark.parametrize("factors", [(1, 1), (2, 2), (3, 1)])
def test_one_component_whatever_its_sampling_factors_are(factors):
    scans = [Scan((0,), 0, 0, 0, 1), Scan((0,), 1, 63, 0, 2, 4), Scan((0,), 0, 0, 1, 0), Scan((0,), 1, 63, 2, 1)]
    for seed, size in enumerate(SIZES):
        check(Frame(*size, [factors]), [*scans, Scan((0,), 1, 63, 1, 0)], seed)


@pytest.mark.parametrize("script", PROGRESSIVE)
def test_what_is_written_is_turbojpegs_transform_but_for_its_jfif_header(script):
    frame = Frame(33, 39, FACTORS["4:2:0"])
    jpeg = encode_scans(frame, frame.random_coefficients(1), PROGRESSIVE[script])
    expected = transformed(jpeg)
    assert to_baseline(jpeg).tobytes()[2:] == expected[expected.index(b"\xff\xdb") :]


def test_a_band_ends_in_as_many_blocks_as_there_can_be_at_once():
    frame = Frame(8 * 182, 8 * 182, [(1, 1)])  # 33,124 blocks
    coefficients = [np.zeros((182, 182, 64), dtype=int)]
    coefficients[0][-1, -1, 5] = 3
    scans = [Scan((0,), 0, 0), Scan((0,), 1, 63, 0, 1), Scan((0,), 1, 63, 1, 0)]
    jpeg = encode_scans(frame, coefficients, scans, table=steep_table)
    assert np.array_equal(coefficients_of(jpeg), coefficients[0].reshape(-1, 64))
    baseline = to_baseline(jpeg)
    assert len(baseline) > 4 * len(jpeg)
    assert np.array_equal(decode_with_pil(baseline), decode_with_pil(jpeg))


FRAME = Frame(20, 30, FACTORS["4:2:0"])
WRONG_SCRIPTS = {
    "a component without DC": [Scan((0, 1), 0, 0), *each(1, 63)[:2]],
    "AC before DC": [*each(1, 63), DC],
    "a coefficient that does not come": [DC, *each(1, 30), *each(32, 63)],
    "a bit that does not come": [DC, *each(1, 63, 0, 1)],
    "a bit that is left out": [DC, *each(1, 63, 0, 2), *each(1, 63, 1, 0)],
    "two bits at once": [DC, *each(1, 63, 0, 2), *each(1, 63, 2, 0)],
    "a bit that comes twice": [DC, *each(1, 63, 0, 1), *each(1, 63, 1, 0), *each(1, 63, 1, 0)],
    "coefficients that come twice": [DC, DC, *each(1, 63)],
    "a bit before there is one": [DC, *each(1, 63, 1, 0)],
    "DC with AC": [Scan((0,), 0, 63), *each(0, 63)[1:]],
    "no coefficients": [DC, Scan((0,), 5, 4), *each(1, 63)],
    "in another order than the frame's": [Scan((1, 0, 2), 0, 0), *each(1, 63)],
}


@pytest.mark.parametrize("script", WRONG_SCRIPTS)
def test_scripts_that_leave_something_out_or_send_it_twice_are_refused(script):
    jpeg = encode_scans(FRAME, FRAME.random_coefficients(0), WRONG_SCRIPTS[script])
    assert coefficients_of(jpeg) is None and to_baseline(jpeg) is None


@pytest.mark.parametrize("longest_run", [1, 2])
def test_a_band_that_ends_in_more_blocks_than_there_are_is_refused(longest_run):
    frame, zeros = Frame(8, 16, [(1, 1)]), [np.zeros((1, 2, 64), dtype=int)]
    scans = [Scan((0,), 0, 0), Scan((0,), 1, 63)]
    content = bytearray(encode_scans(frame, zeros, scans, table=steep_table, longest_run=longest_run).tobytes())
    content[content.index(b"\xff\xc2") + 8] = 8  # pixels: the bit that ends the second block's band, if there is one,
    jpeg = np.frombuffer(bytes(content), dtype=np.uint8)  # only fills the byte then
    assert (coefficients_of(jpeg) is None) == (longest_run == 2)


def test_a_band_that_ends_in_more_blocks_than_come_before_a_restart_marker_is_refused():
    frame, zeros = Frame(8, 16, [(1, 1)]), [np.zeros((1, 2, 64), dtype=int)]
    content = encode_scans(frame, zeros, [Scan((0,), 0, 0), Scan((0,), 1, 63, restart_interval=2)]).tobytes()
    assert coefficients_of(np.frombuffer(content, dtype=np.uint8)) is not None
    shorter = content.replace(segment(0xDD, b"\0\2"), segment(0xDD, b"\0\1"))[:-2] + b"\xff\xd0\xff\xd9"
    assert coefficients_of(np.frombuffer(shorter, dtype=np.uint8)) is None


BETWEEN = {
    "a comment": segment(0xFE, b"text"),
    "quantisers": segment(0xDB, b"\0" + bytes([3] * 64)),
    "bytes left over": b"\0\0",
    "a restart marker": b"\xff\xd0",
    "a broken table": segment(0xC4, b"\x10" + bytes([3] + [0] * 15) + b"\0\1\2"),
    "a broken restart interval": segment(0xDD, b"\0\0\0"),
}


@pytest.mark.parametrize("what", BETWEEN)
def test_what_does_not_belong_between_scans_is_refused(what):
    def before(number: int) -> bytes:
        return BETWEEN[what] if number == 2 else b""

    jpeg = encode_scans(FRAME, FRAME.random_coefficients(0), PROGRESSIVE["bands"], extra=before)
    assert coefficients_of(jpeg) is None and to_baseline(jpeg) is None


def test_a_scan_without_its_tables_is_refused():
    content = encode_scans(FRAME, FRAME.random_coefficients(0), PROGRESSIVE["bits"]).tobytes()
    for number in (0x00, 0x10):
        at = content.index(bytes([0xFF, 0xC4, 0, 2 + 17 + (176 if number else 12), number]))
        lacking = content[: at + 4] + bytes([number + 1]) + content[at + 5 :]
        assert coefficients_of(np.frombuffer(lacking, dtype=np.uint8)) is None


def test_coefficients_that_no_baseline_jpeg_holds_are_refused():
    frame = Frame(8, 8, [(1, 1)])
    for k, good, bad in ((0, 2047, 2048), (1, 1023, 1024), (63, -1023, -1024)):
        for value in (good, bad):
            block = np.zeros((1, 1, 64), dtype=int)
            block[0, 0, k] = value
            scans = [Scan((0,), 0, 0, 0, 2), Scan((0,), 0, 0, 2, 1), Scan((0,), 0, 0, 1, 0), Scan((0,), 1, 63, 0, 4)]
            scans += [Scan((0,), 1, 63, low + 1, low) for low in (3, 2, 1, 0)]
            assert (to_baseline(encode_scans(frame, [block], scans)) is None) == (value == bad)


@pytest.mark.parametrize("k", [0, 1])
def test_coefficients_of_more_than_16_bits_are_refused(k):
    block = np.zeros((1, 1, 64), dtype=int)
    block[0, 0, k] = 1 << 16
    scans = [
        Scan((0,), start, end, low + 1 if low < 13 else 0, low)
        for start, end in ((0, 0), (1, 63))
        for low in range(13, -1, -1)
    ]
    assert coefficients_of(encode_scans(Frame(8, 8, [(1, 1)]), [block], scans, table=steep_table)) is None


ORIGINALS = [
    encode_scans(FRAME, FRAME.random_coefficients(0), scans, table=table).tobytes()
    for scans in (PROGRESSIVE["libjpeg's"], PROGRESSIVE["restart markers"])
    for table in (flat_table, steep_table)
]


@settings(max_examples=1000, deadline=None)
@given(st.sampled_from(ORIGINALS), EDITS)
def test_damaged_jpegs_are_refused_or_keep_their_pixels(place_before_guard_page, original, edits):
    simplejpeg = pytest.importorskip("simplejpeg")
    data = place_before_guard_page(edited(original, edits))
    baseline = to_baseline(data)
    if baseline is None:
        return

    def pixels(jpeg: np.ndarray) -> bytes | None:
        try:
            return simplejpeg.decode_jpeg(jpeg.tobytes(), "rgb", fastdct=True).tobytes()
        except ValueError:
            return None

    assert pixels(baseline) == pixels(data)
