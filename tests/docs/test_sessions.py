"""`make docs-check`: what README and the pages show is run, a page at a time in a folder of its own, and compared."""

import os
import re
import tempfile
from pathlib import Path

import pytest

from tests.docs.blocks import BLOCKS, Block
from tests.docs.shell import in_folder

CHECKED = sorted({block.page for block in BLOCKS if block.is_run} - {"docs/extending.md", "CONTRIBUTING.md"})
HOME = "/home/ana/ffcv_hydra"  # where the pages' commands are started
STANDS_FOR = [  # what may be another one in the next run
    (re.compile(r"\d{4}-\d\d-\d\d/\d\d-\d\d-\d\d_[0-9a-f]{6}"), "RUN"),
    (re.compile(r"\b[0-9a-f]{16,64}\b"), "HASH"),
    (re.compile(r"-?\d[\d,.]*(?:e-?\d+)?"), "#"),
    (re.compile(r"[━─]+"), "-"),
    (re.compile(r"\b[kMG]?B\b"), "B"),
    (re.compile(r"\s+"), " "),
]


def as_compared(line: str) -> str:
    for pattern, text in STANDS_FOR:
        line = pattern.sub(text, line)
    return line.strip()


def missing(shown: str, printed: str) -> str | None:
    """The first line that is shown and not printed, in the order of the lines; None if there is none."""
    lines = iter([as_compared(line) for line in printed.splitlines()])
    for line in shown.splitlines():
        if line.strip() not in ("", "...") and as_compared(line) not in lines:
            return line
    return None


@pytest.mark.parametrize(
    ("shown", "printed", "lost"),
    [
        ("a 1.5 kB\n...\nb", "a 20 MB\nother\nb\n", None),
        ("a\nb", "b\na\n", "b"),
        ("│ val_loss │ 0.1 │", "│ val_loss     │ 3.5e-05 │", None),
        ("outputs/2026-11-28/17-54-28_bbcde1", "outputs/2027-01-02/00-00-00_0aaaa1", None),
        ("fit completed", "fit interrupted", "fit completed"),
    ],
)
def test_numbers_times_and_folders_may_be_others_and_words_not(shown, printed, lost):
    assert missing(shown, printed) == lost


@pytest.mark.skipif("DOCS_CHECK" not in os.environ, reason="make docs-check, which takes a while")
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("page", CHECKED)
def test_a_page_is_what_happens(page, monkeypatch):
    with tempfile.TemporaryDirectory() as name:  # no longer than the pages' own, so that lines break where theirs do
        folder = Path(name).resolve()
        monkeypatch.chdir(folder)
        monkeypatch.syspath_prepend(folder)
        names: dict = {"__name__": page}
        for block in BLOCKS:
            if block.page == page:
                _run(block, folder, names)
        monkeypatch.undo()


def _run(block: Block, folder: Path, names: dict) -> None:
    for command in block.first:
        _shell(command, folder, block)
    if not block.is_run:
        return
    if block.language == "python":
        name = re.match(r"# (\S+\.py)\n", block.text)
        if name:
            (folder / name[1]).write_text(block.text)
        else:
            exec(compile(_with_a_run(block.text, folder), str(block), "exec"), names)
    for command, shown in block.commands():
        if command.startswith("source "):
            continue
        printed = _shell(_with_a_run(command, folder), folder, block, may_fail=bool(shown))
        lost = missing(shown, printed.replace(str(folder), HOME))
        assert lost is None, f"{block}: {command}\nprints no line like\n{lost}\nbut\n{printed[-3000:]}"


def _with_a_run(text: str, folder: Path) -> str:
    """A command or code with the newest run of the page for the one that it names."""
    newest = max((folder / "outputs").glob("*/*"), key=os.path.getmtime, default=folder)
    return re.sub(rf"outputs/(?:\.\.\.|{STANDS_FOR[0][0].pattern})", str(newest), text)


def _shell(command: str, folder: Path, block: Block, may_fail: bool = False) -> str:
    status, printed = in_folder(folder, command)
    assert may_fail or status == 0, f"{block}: {command}\n{printed[-3000:]}"
    return printed
