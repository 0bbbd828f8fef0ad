"""The blocks of code in README, CONTRIBUTING and the pages of docs/, for the tests here."""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
_BLOCK = re.compile(r"((?:^<!-- [^\n]* -->\n)*)^```(\w*)[^\n]*\n(.*?)^```$", re.DOTALL | re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """What stands between two fences.

    Attributes:
        page: relative to the checkout.
        line: where it begins.
        language: what the fence says.
        text: without the fences.
        is_run: by `make docs-check`; not if `<!-- not run: WHY -->` stands above.
        first: commands that are run before, of comments `<!-- first: COMMAND -->` above.
    """

    page: str
    line: int
    language: str
    text: str
    is_run: bool
    first: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"

    def commands(self) -> Iterator[tuple[str, str]]:
        """Command lines with what each prints: all lines of `bash`, those after `$` of `console`."""
        text = self.text.replace("\\\n", " ")
        if self.language == "bash":
            yield from ((line, "") for line in text.splitlines() if line.strip() and not line.startswith("#"))
        elif self.language == "console":
            for session in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
                line, _, printed = session.partition("\n")
                yield line, printed


def blocks_of(page: Path) -> list[Block]:
    """The blocks of a page, from top to bottom."""
    content = page.read_text()
    return [
        Block(
            str(page.relative_to(ROOT)),
            content.count("\n", 0, found.start(3)) + 1,
            found[2],
            found[3],
            "<!-- not run: " not in found[1],
            tuple(re.findall(r"<!-- first: (.*) -->", found[1])),
        )
        for found in _BLOCK.finditer(content)
    ]


def words(command: str) -> list[str]:
    """A command line as the shell has it, without comments."""
    return shlex.split(command, comments=True)


BLOCKS = [block for page in PAGES for block in blocks_of(page)]
