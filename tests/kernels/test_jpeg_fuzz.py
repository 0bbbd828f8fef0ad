"""JPEGs with mutated markers and tables: the pixels of a fresh TurboJPEG, or an error on both sides.

FUZZ_MUTATIONS says how many are tried; `make fuzz` sets it to 100,000 and shows how many were decoded.
"""

import os
import sys
from pathlib import Path

import pytest

from tests.watching import watch_child

CHILD = Path(__file__).with_name("jpeg_fuzz_child.py")
MUTATIONS = int(os.environ.get("FUZZ_MUTATIONS", "2000"))


@pytest.mark.slow
@pytest.mark.timeout(300 + MUTATIONS)
def test_mutated_markers_and_tables_give_the_pixels_of_a_fresh_turbojpeg_or_an_error_on_both_sides():
    *wrong, counts = watch_child([sys.executable, str(CHILD)], 0, MUTATIONS)
    print(counts)
    assert wrong == []
