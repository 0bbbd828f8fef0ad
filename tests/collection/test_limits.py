import pytest

from ffcv_hydra.collection.limits import parse_size


@pytest.mark.parametrize(
    ("size", "num_bytes"),
    [(7, 7), ("12B", 12), ("3kB", 3000), ("500MB", 500_000_000), (" 1.5 GB ", 1_500_000_000), ("2GiB", 2 << 30)],
)
def test_sizes_are_numbers_or_texts(size, num_bytes):
    assert parse_size(size) == num_bytes
