import numpy as np
import pytest

from ffcv_hydra.beton.tables import Tables
from ffcv_hydra.beton.writing.limit import Limit, bytes_of

SIZES = np.array([5, 0, 100, 7, 30], dtype=np.uint64)  # of three samples, with 2, 0, and 3 allocations
TABLES = Tables(np.zeros((3, 16), np.uint8), np.array([0, 8, 32, 32, 40]), SIZES, SIZES, ("damaged",))


def test_a_sample_takes_its_record_its_rows_and_its_data():
    assert bytes_of(TABLES).tolist() == [16 + 5 + 1 + 2 * 32, 16, 16 + 137 + 3 * 32]  # an empty one takes a byte


@pytest.mark.parametrize(
    ("limit", "share"),
    [
        (Limit(), 3),
        (Limit(num_samples=12), 2),
        (Limit(num_samples=13), 3),
        (Limit(num_bytes=1001), 1),
        (Limit(num_bytes=1086), 1),
        (Limit(num_bytes=1087), 2),
        (Limit(num_bytes=1103), 3),
        (Limit(num_bytes=5000), 3),
    ],
)
def test_a_file_is_full_with_the_sample_that_reaches_the_limit(limit, share):
    assert not limit.is_reached(10, 1000)
    assert limit.share(10, 1000, TABLES) == share
    num_bytes = 1000 + int(bytes_of(TABLES)[:share].sum())
    assert limit.is_reached(10 + share, num_bytes) == (share < 3 or limit.num_samples == 13 or limit.num_bytes == 1103)


def test_pieces_of_tables_are_those_of_their_samples():
    first, rest = TABLES.piece(0, 1), TABLES.piece(1, 3)
    assert (first.num_samples, first.locations.tolist(), first.sizes.tolist()) == (1, [0, 8], [5, 0])
    assert (rest.num_samples, rest.locations.tolist(), rest.sizes.tolist()) == (2, [16, 16, 24], [100, 7, 30])
    assert (first.warnings, rest.warnings) == (("damaged",), ())
    joined = Tables.joined([first, rest])
    assert joined.begins(TABLES) and TABLES.begins(joined)
