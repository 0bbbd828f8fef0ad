import numpy as np
import pytest

from ffcv_hydra.beton.allocations import Allocations


def allocations(pointers, sizes=None, checksums=True):
    pointers = np.array(pointers, dtype=np.uint64)
    sizes = np.full(len(pointers), 5, np.uint64) if sizes is None else np.array(sizes, dtype=np.uint64)
    return Allocations(pointers, sizes, np.arange(len(pointers), dtype=np.uint64) if checksums else None)


@pytest.mark.parametrize(
    ("offsets", "expected"),
    [
        ([10, 30, 50], slice(0, None, 2)),
        ([20, 40, 60], slice(1, None, 2)),
        ([10, 40, 50], None),  # the fields change places
        ([30, 50, 10], None),
        ([10, 20], None),  # three allocations for each of two samples
        ([10, 20, 30, 40], None),  # six allocations of four samples
        ([10, 20, 30, 40, 50, 60], slice(0, None, 1)),
        ([10] * 7, None),  # more samples than allocations
    ],
)
def test_regular_rows_are_equally_far_apart(offsets, expected):
    assert allocations([10, 20, 30, 40, 50, 60]).regular_rows(np.array(offsets, dtype=np.uint64)) == expected


def test_regular_rows_may_be_in_any_order():
    assert allocations([50, 60, 10, 20]).regular_rows(np.array([60, 20], dtype=np.uint64)) == slice(1, None, 2)


def test_without_allocations_there_are_no_regular_rows():
    assert allocations([]).regular_rows(np.array([1], dtype=np.uint64)) is None


def test_sorting_keeps_the_columns_together_and_puts_empty_allocations_first():
    found = allocations([30, 10, 30, 20], [5, 5, 0, 5]).sorted()
    assert [column.tolist() for column in found] == [[10, 20, 30, 30], [5, 5, 0, 5], [1, 3, 2, 0]]
    assert allocations([2, 1], checksums=False).sorted().checksums is None


def test_what_is_sorted_is_not_copied():
    found = allocations([10, 20, 30])
    assert found.sorted() is found
