import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ffcv_hydra.beton import layout
from ffcv_hydra.errors import ConversionError

PAGE = 64


@given(st.lists(st.integers(0, PAGE), max_size=60), st.integers(0, 200))
def test_allocations_follow_one_another_and_cross_no_page_border(sizes, start):
    pointers, end = layout.place(np.array(sizes, dtype=np.uint64), start, PAGE)
    position = start
    for pointer, size in zip(pointers.tolist(), sizes, strict=True):
        room = max(size, 1)
        fits = position // PAGE == (position + room - 1) // PAGE
        assert pointer == (position if fits else -(-position // PAGE) * PAGE)
        assert pointer // PAGE == (pointer + room - 1) // PAGE
        position = pointer + room
    assert end == position


def test_W11_default_page_size_grows_with_the_allocations():
    assert layout.page_size_for(0) == 8 << 20
    assert layout.page_size_for(400_000) == 8 << 20
    assert layout.page_size_for(3_000_000) == 64 << 20
    assert layout.page_size_for(1 << 40) == 1 << 31


@pytest.mark.parametrize("page_size", [0, 1 << 20, (1 << 21) + 1, 1 << 32])
def test_page_sizes_that_ffcv_cannot_use_are_refused(page_size):
    with pytest.raises(ConversionError, match="use a power of two"):
        layout.check_page_size(page_size)
