import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ffcv_hydra.beton import layout
from ffcv_hydra.errors import ConversionError

PAGE = 64


@given(st.lists(st.lists(st.integers(0, PAGE), min_size=1, max_size=5), max_size=30), st.integers(0, 200))
def test_samples_follow_one_another_and_cross_no_page_border(samples, start):
    sizes = np.array([size for sample in samples for size in sample], dtype=np.uint64)
    ids = np.repeat(np.arange(3, 3 + len(samples), dtype=np.uint64), [len(sample) for sample in samples])
    pointers, end = layout.place(sizes, ids, start, PAGE)
    position, found = start, iter(pointers.tolist())
    for sample in samples:
        rooms = [max(size, 1) for size in sample]
        for together in [rooms] if sum(rooms) <= PAGE else [[room] for room in rooms]:
            fits = position // PAGE == (position + sum(together) - 1) // PAGE
            position = position if fits else -(-position // PAGE) * PAGE
            for room in together:
                assert next(found) == position
                position += room
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
