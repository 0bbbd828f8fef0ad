import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ffcv_hydra.kernels.jpeg.markers import ENTROPY_START, HEADER_LENGTH, RESTART_INTERVAL
from ffcv_hydra.kernels.jpeg.transcode import (
    MEMORY_BYTES,
    PLAIN_SLACK_BYTES,
    TOO_LARGE,
    UNSUITABLE,
    insert_restart_markers,
    parse_whole_jpeg,
)
from tests.kernels.jpegs import EDITS, SUBSAMPLINGS, assert_same_pixels, decode_with_opencv, edited, encode, pixels

MCU_PIXELS = {"4:4:4": 64, "4:2:2": 128, "4:2:0": 256, "4:4:0": 128, "4:1:1": 256, "gray": 64}

MEMORY = np.zeros(MEMORY_BYTES, dtype=np.uint8)  # of all tests: tables of one JPEG must not be taken for another's


def num_mcus(header):
    width, height, _, mcu_width, mcu_height = header[:5]
    return int(-(-width // mcu_width) * -(-height // mcu_height))


def transcode(data, interval, room=None, is_whole=1, memory=MEMORY):
    """The result of the kernel, the JPEG that it wrote, and the lengths of its segments."""
    header = np.zeros(HEADER_LENGTH, dtype=np.int64)
    if parse_whole_jpeg(data, header) != 0:
        return UNSUITABLE, None, None
    lengths = np.zeros(-(-num_mcus(header) // interval), dtype=np.int64)
    plain = np.empty(len(data) + PLAIN_SLACK_BYTES, dtype=np.uint8)
    size = 2 * len(data) + 64 * len(lengths) + 4096 if room is None else room
    guarded = np.full(size + 64, 0xA5, dtype=np.uint8)
    status = insert_restart_markers(data, header, interval, is_whole, memory, plain, guarded[:size], lengths)
    assert (guarded[size:] == 0xA5).all()
    return status, guarded[: max(status, 0)].copy(), lengths


def segments(jpeg):
    """What is between the markers of the entropy-coded data, and the markers' second bytes."""
    header = np.zeros(HEADER_LENGTH, dtype=np.int64)
    assert parse_whole_jpeg(jpeg, header) == 0
    content = jpeg.tobytes()[header[ENTROPY_START] :]
    found, ends, begin, at = [], [], 0, 0
    while at < len(content):
        if content[at] == 0xFF and content[at + 1] != 0:
            found.append(content[begin:at])
            ends.append(content[at + 1])
            begin = at = at + 2
        else:
            at += 1
    return found, ends


def check(data, interval):
    status, result, lengths = transcode(data, interval)
    assert status > 0
    assert_same_pixels(data, result)
    found, ends = segments(result)
    assert [len(segment) for segment in found] == lengths.tolist()
    assert ends == [0xD0 + n % 8 for n in range(len(found) - 1)] + [0xD9]
    header = np.zeros(HEADER_LENGTH, dtype=np.int64)
    parse_whole_jpeg(result, header)
    assert header[RESTART_INTERVAL] == interval
    assert len(found) == -(-num_mcus(header) // interval)
    scan = int(header[ENTROPY_START]) - (10 if header[2] == 1 else 14)
    assert result[scan - 6 : scan - 2].tolist() == [0xFF, 0xDD, 0, 4]
    return result


SIZES = [(1, 1), (7, 8), (8, 9), (9, 7), (15, 16), (17, 17), (16, 33), (31, 62), (70, 69), (33, 29 * 16), (20, 31 * 16)]


@pytest.mark.parametrize("subsampling", SUBSAMPLINGS)
def test_every_decoder_reads_the_same_pixels(subsampling):
    for seed, (height, width) in enumerate(SIZES):
        data = encode(pixels(height, width, seed), subsampling)
        for interval in (1, 2, 3, 4, 29, 1000):
            check(data, interval)


@pytest.mark.parametrize("quality", [10, 30, 50, 75, 95, 100])
@pytest.mark.parametrize("optimize", [False, True])
def test_qualities_and_optimised_tables(quality, optimize):
    for subsampling in ("4:4:4", "4:2:0", "gray"):
        check(encode(pixels(70, 61), subsampling, quality, optimize), 3)


@pytest.mark.parametrize("level", [0, 128, 255])
def test_categories_that_a_table_lacks_are_added(level):
    flat = encode(np.full((64, 64, 3), level, np.uint8), optimize=True)
    check(flat, 1)


def test_noise_at_full_quality_uses_the_longest_codes():
    noise = np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)
    for optimize in (False, True):
        check(encode(noise, "4:4:4", 100, optimize), 5)


@pytest.mark.parametrize("before", [1, 2, 4, 6, 100])
@pytest.mark.parametrize("interval", [1, 3, 4, 8])
def test_markers_that_are_there_are_replaced(before, interval):
    plain = encode(pixels(50, 90))
    result = check(encode(pixels(50, 90), restart_interval=before), interval)
    assert np.array_equal(result, check(plain, interval))


def test_recoding_takes_markers_away_again():
    data = encode(pixels(50, 90))
    found, _ = segments(data)
    _, marked, _ = transcode(data, 2)
    _, result, _ = transcode(marked, 1000)
    assert segments(result)[0] == found


def test_bytes_behind_the_image_are_left_out():
    data = encode(pixels(50, 90))
    _, expected, _ = transcode(data, 4)
    _, result, _ = transcode(np.concatenate([data, np.arange(256, dtype=np.uint8)]), 4)
    assert np.array_equal(result, expected)


def test_too_little_room_is_noticed_before_it_is_used_up():
    data = encode(pixels(50, 90), quality=100)
    full, _, _ = transcode(data, 2)
    for room in [*range(0, full, 37), full - 1]:
        assert transcode(data, 2, room)[0] == TOO_LARGE


def test_what_decoders_accept_but_no_encoder_writes_is_refused():
    data = encode(pixels(50, 90))
    extraneous = np.concatenate([data[:-2], np.zeros(3, np.uint8), data[-2:]])
    no_end = data[:-2]
    wrong_number = encode(pixels(50, 90), restart_interval=4)
    at = wrong_number.tobytes().index(b"\xff\xd1")
    wrong_number[at + 1] = 0xD2
    for damaged in (extraneous, no_end, wrong_number):
        assert transcode(damaged, 2)[0] == UNSUITABLE


ORIGINALS = [
    encode(pixels(40, 56), subsampling, 90, optimize, restart_interval=restart).tobytes()
    for subsampling, optimize, restart in [
        ("4:2:0", False, 0),
        ("4:4:4", True, 0),
        ("gray", True, 5),
        ("4:2:2", False, 2),
    ]
]


def test_tables_of_one_jpeg_are_not_taken_for_those_of_the_next():
    images = [encode(pixels(40, 56, seed), "4:2:0", quality, True) for seed, quality in enumerate((20, 60, 95, 100))]
    for data in [*images, *images[::-1], *ORIGINALS[:1], *images]:
        data = np.frombuffer(data, np.uint8)
        anew = np.zeros(MEMORY_BYTES, dtype=np.uint8)
        for found, expected in zip(transcode(data, 3), transcode(data, 3, memory=anew), strict=True):
            assert np.array_equal(found, expected)


@pytest.mark.parametrize("original", ORIGINALS)
def test_the_first_segment_alone_is_written_once_all_is_read(original):
    data = np.frombuffer(original, np.uint8)
    _, whole, lengths = transcode(data, 3)
    status, result, written = transcode(data, 3, is_whole=0)
    end = len(whole) - lengths.sum() - 2 * len(lengths) + lengths[0]
    assert (written[0], status) == (lengths[0], end + 2)
    assert np.array_equal(result, [*whole[:end], 0xFF, 0xD9])
    assert transcode(data[:-2], 3, is_whole=0)[0] == UNSUITABLE


@settings(max_examples=400, deadline=None)
@given(st.sampled_from(ORIGINALS), EDITS, st.integers(1, 9))
def test_damaged_jpegs_are_refused_or_keep_their_pixels(place_before_guard_page, original, edits, interval):
    data = place_before_guard_page(edited(original, edits))
    header = np.zeros(HEADER_LENGTH, dtype=np.int64)
    if parse_whole_jpeg(data, header) != 0 or num_mcus(header) > 1 << 20:
        return
    status, result, _ = transcode(data, interval)
    if status > 0:
        assert transcode(data, interval, is_whole=0)[0] > 0
        before, after = decode_with_opencv(data), decode_with_opencv(result)
        assert (before is None) == (after is None)
        assert before is None or np.array_equal(before, after)
