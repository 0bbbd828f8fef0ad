import pytest

from ffcv_hydra.sizes import parse_size


@pytest.mark.parametrize(
    ("size", "num_bytes"),
    [(7, 7), ("7", 7), ("12B", 12), ("3kB", 3000), ("500MB", 500_000_000), (" 1.5 GB ", 1_500_000_000), ("1KiB", 1024)],
)
def test_sizes_are_numbers_or_texts(size, num_bytes):
    assert parse_size(size) == num_bytes


@pytest.mark.parametrize("size", [0, -1, True, None, 1.5, "", "0", "1e3", "GB", "3 XB", "-1GB"])
def test_what_is_none_is_told_with_what_to_give(size):
    with pytest.raises(ValueError, match="; use a number of bytes from 1 on, or a text such as 500MB or 1GB$"):
        parse_size(size)
