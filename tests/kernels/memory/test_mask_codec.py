import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from ffcv_hydra.kernels.memory.mask_codec import decode_whole_mask, encode_runs

GUARD = 0xAB


def decoded(runs: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    target = np.empty(int(np.prod(shape)), dtype=np.uint8)
    assert decode_whole_mask(runs, target)
    return target.reshape(shape)


def guarded(size: int) -> tuple[np.ndarray, np.ndarray]:
    """A buffer, and its middle `size` bytes to decode into."""
    buffer = np.full(size + 64, GUARD, dtype=np.uint8)
    return buffer, buffer[32 : 32 + size]


@settings(max_examples=200, deadline=None)
@given(arrays.arrays(np.uint8, arrays.array_shapes(min_dims=2, max_dims=2, max_side=40), elements=st.integers(0, 2)))
def test_masks_come_back_as_they_were(mask):
    assert np.array_equal(decoded(encode_runs(mask), mask.shape), mask)


@pytest.mark.parametrize("length", [1, 127, 128, 129, 16383, 16384, 3_000_000])
def test_one_run_of_any_length_takes_a_few_bytes(length):
    mask = np.full((1, length), 255, dtype=np.uint8)
    runs = encode_runs(mask)
    assert len(runs) == 1 + max(1, -(-length.bit_length() // 7))
    assert np.array_equal(decoded(runs, mask.shape), mask)


def test_the_coding_is_class_id_then_leb128_length_across_rows():
    mask = np.array([[7] * 150, [7] * 150, [9] * 149 + [3]], dtype=np.uint8)
    assert encode_runs(mask).tolist() == [7, 300 & 127 | 128, 300 >> 7, 9, 149 & 127 | 128, 149 >> 7, 3, 1]


def test_a_mask_without_runs_takes_two_bytes_per_pixel():
    mask = np.arange(256, dtype=np.uint8).reshape(16, 16)
    assert len(encode_runs(mask)) == 512
    assert np.array_equal(decoded(encode_runs(mask), mask.shape), mask)


def test_a_mask_that_is_a_view_is_coded_as_it_looks():
    mask = np.random.default_rng(0).integers(0, 3, (20, 30), dtype=np.uint8)
    assert np.array_equal(decoded(encode_runs(mask[::2, ::3].T), (10, 10)), mask[::2, ::3].T)


def test_another_dtype_is_refused():
    with pytest.raises(TypeError, match="uint8"):
        encode_runs(np.zeros((2, 2), dtype=np.int64))


@settings(max_examples=500, deadline=None)
@given(st.binary(max_size=60), st.integers(0, 300))
def test_arbitrary_bytes_write_nothing_outside_the_target(data, size):
    buffer, target = guarded(size)
    decode_whole_mask(np.frombuffer(data, dtype=np.uint8), target)
    assert (buffer[:32] == GUARD).all() and (buffer[32 + size :] == GUARD).all()


def test_only_the_given_bytes_are_read():
    data = np.array([9, 9, 5, 4, 9, 9], dtype=np.uint8)
    _, target = guarded(4)
    assert decode_whole_mask(data[2:4], target)
    assert target.tolist() == [5] * 4


@pytest.mark.parametrize(
    "runs",
    [
        [],  # fewer pixels than the mask has
        [1, 9],
        [1, 11],  # more
        [1, 5, 2, 6],
        [1, 10, 2, 1],
        [1, 10, 2],  # no length
        [1, 0x8A],  # an unfinished length
        [1, 0, 1, 10],  # an empty run
        [1] + [0x80] * 9 + [10],  # a length past 63 bits
        [1] + [0xFF] * 8 + [0x7F],
    ],
)
def test_runs_that_do_not_fill_the_mask_exactly_are_refused(runs):
    _, target = guarded(10)
    assert not decode_whole_mask(np.array(runs, dtype=np.uint8), target)
