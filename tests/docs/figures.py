"""`make docs-figures`: the pictures that commands of the pages make, made by these."""

import shutil
import subprocess
import tempfile
from pathlib import Path

from tests.docs.blocks import BLOCKS, ROOT
from tests.docs.shell import in_folder

FIGURES = {
    "report.png": ("docs/guides/report.md", "outputs/digits/report.html"),
    "boxes.png": ("docs/guides/boxes.md", "boxes.png"),
    "preview.png": ("docs/guides/looking.md", "preview.png"),
    "sweep.png": ("docs/guides/sweeps.md", "multirun/workers/results.png"),
}
"""By the name in docs/: the page whose first command makes it, and where; of HTML, what a browser shows."""


def _photograph(page: Path, picture: Path) -> None:
    """The first screens of a page, as Chromium shows it."""
    with tempfile.TemporaryDirectory() as profile:
        options = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--window-size=1000,1860"]
        command = ["chromium", *options, f"--user-data-dir={profile}", f"--screenshot={picture}", page.as_uri()]
        subprocess.run(command, check=True, capture_output=True, timeout=120)


def main() -> None:
    for name, (page, made) in FIGURES.items():
        command = next(command for block in BLOCKS if block.page == page for command, _ in block.commands())
        with tempfile.TemporaryDirectory() as folder:
            status, printed = in_folder(Path(folder), command)
            if status:
                raise SystemExit(f"{command}\n{printed}")
            if made.endswith(".html"):
                _photograph(Path(folder) / made, ROOT / "docs" / name)
            else:
                shutil.copy(Path(folder) / made, ROOT / "docs" / name)
        print(f"docs/{name}: {command}")


if __name__ == "__main__":
    main()
