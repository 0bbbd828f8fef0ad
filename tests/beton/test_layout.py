import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ffcv_hydra.beton import layout
from ffcv_hydra.errors import ConversionError

PAGE = 64


@given(st.lists(st.lists(st.integers(0, PAGE), min_size=1, max_size=5), max_size=30), st.integers(0, 200))
def test_samples_follow_one_another_and_cross_no_page_border(samples, start):
    pointers, end = placed(samples, PAGE, start)
    position, found = start, iter(pointers)
    for sample in samples:
        rooms = [max(size, 1) for size in sample]
        gap = -position % PAGE or PAGE
        if sum(rooms) > gap and gap <= PAGE // 16:
            position += gap
        for room in rooms:
            position += 0 if room <= (gap := -position % PAGE or PAGE) else gap
            assert next(found) == position
            position += room
    assert end == position


@pytest.mark.parametrize("sample", [(2_100_000,) * 2, (400_000,) * 11, (1_450_000,) * 3, (3_000_000, 2_000_000, 9)])
def test_pages_never_make_a_file_much_larger(sample):
    page_size = 8 << 20
    _, end = placed([sample] * 200, page_size)
    assert end <= 200 * sum(sample) / (1 - max(max(sample) / page_size, 1 / 16))


def test_samples_of_up_to_a_sixteenth_of_a_page_are_in_one():
    pages = np.array(placed([(PAGE // 32, PAGE // 32), (3,), (1, 2)] * 50, PAGE)[0]).reshape(-1, 5) // PAGE
    assert (pages[:, 0] == pages[:, 1]).all() and (pages[:, 3] == pages[:, 4]).all()


def placed(samples, page_size, start=0):
    sizes = np.array([size for sample in samples for size in sample], dtype=np.uint64)
    ids = np.repeat(np.arange(3, 3 + len(samples), dtype=np.uint64), [len(sample) for sample in samples])
    pointers, end = layout.place(sizes, ids, start, page_size)
    return pointers.tolist(), end


def test_W11_default_page_size_grows_with_the_allocations():
    assert layout.page_size_for(0) == 8 << 20
    assert layout.page_size_for(400_000) == 8 << 20
    assert layout.page_size_for(3_000_000) == 64 << 20
    assert layout.page_size_for(1 << 40) == 1 << 31


@pytest.mark.parametrize("page_size", [0, 1 << 20, (1 << 21) + 1, 1 << 32])
def test_page_sizes_that_ffcv_cannot_use_are_refused(page_size):
    with pytest.raises(ConversionError, match="use a power of two"):
        layout.check_page_size(page_size)
