"""Tables as people read and copy them."""

from io import StringIO

import pytest
from rich.table import Table

from ffcv_hydra.terminal import TerminalConsole, print_whole

PATH = "/a/rather/long/path/" + "x" * 60 + "/last.ckpt"


@pytest.mark.parametrize("width", [40, 80, 120, 200])
def test_F56_no_table_breaks_a_path(width):
    table = Table("result", "value")
    table.add_row("path", PATH)
    console = TerminalConsole(file=StringIO(), width=width)
    print_whole(console, table)
    lines = console.file.getvalue().splitlines()
    assert any(PATH in line for line in lines)
    assert ("━" in lines[0]) == (width > 80)
    assert not any(line.endswith(" ") for line in lines if "━" not in lines[0])
