"""F10, F55: what the pixels equal is a list that is complete, true, and the one in the docs."""

from types import ModuleType

import pytest

from ffcv_hydra import operations
from ffcv_hydra.operations.promises import PROMISES
from tests.operations.pixel_table import OTHERS, ROWS, Row, in_docs, printed

pytestmark = pytest.mark.timeout(120)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.name}-{row.setting}")
def test_F10_pixels_equal_what_the_table_says(row: Row):
    assert row.difference() <= row.promise.levels


def test_F55_the_table_has_all_public_operations():
    public = {n for n, value in vars(operations).items() if not n.startswith("_") and not isinstance(value, ModuleType)}
    assert {row.name for row in ROWS} | OTHERS == public
    assert not {row.name for row in ROWS} & OTHERS


def test_every_promise_is_tried_once():
    assert sorted((row.name, row.setting) for row in ROWS) == sorted(PROMISES)


def test_F55_the_docs_show_the_table():
    assert in_docs()[1] == printed(), "make pixel-table prints it anew"
