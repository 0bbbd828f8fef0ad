"""The console that tables and reports are printed on."""

from io import StringIO
from typing import Any, NoReturn

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ffcv_hydra.printable import printable


class TerminalConsole(Console):
    """A rich console that prints text as it is: brackets are no markup, and control characters are shown.

    In a notebook it writes to its file, too, where rich would show all that any console prints below the cell.

    Args:
        options: as rich's `Console` takes them; by default it writes to stdout.
    """

    def __init__(self, **options: Any) -> None:
        plain = {"markup": False, "emoji": False, "highlight": False, "force_jupyter": False}
        super().__init__(**{**plain, **options})

    def render_str(self, text: str, **options: Any) -> Text:
        """Rich's text of `text`, made `printable`."""
        return super().render_str(printable(text), **options)

    def on_broken_pipe(self) -> NoReturn:
        """Let the command know that nobody reads any more, in place of rich's way of ending the process."""
        self.quiet = True
        raise  # the BrokenPipeError, which rich handles while it calls this


def print_whole(console: Console, table: Table) -> None:
    """Print a table without breaking a word, so that paths can be copied.

    One that is wider than the terminal loses its frame, and the terminal wraps its lines.
    """
    wide = TerminalConsole(file=StringIO(), width=10_000, color_system=None)
    if wide.measure(table).maximum <= console.width:
        console.print(table)
        return
    table.box = None
    with wide.capture() as captured:
        wide.print(table)
    console.print("\n".join(["", *map(str.rstrip, captured.get().splitlines())]), soft_wrap=True)
