"""The console that tables and reports are printed on."""

from typing import Any

from rich.console import Console
from rich.text import Text

from ffcv_hydra.printable import printable


class TerminalConsole(Console):
    """A rich console that prints text as it is: brackets are no markup, and control characters are shown.

    Args:
        options: as rich's `Console` takes them; by default it writes to stdout.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"markup": False, "emoji": False, "highlight": False, **options})

    def render_str(self, text: str, **options: Any) -> Text:
        """Rich's text of `text`, made `printable`."""
        return super().render_str(printable(text), **options)
