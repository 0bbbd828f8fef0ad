"""`make docs-figures`: the pictures that commands of the pages make, made by these."""

import shutil
import tempfile
from pathlib import Path

from tests.docs.blocks import BLOCKS, ROOT
from tests.docs.shell import in_folder

FIGURES = {
    "preview.png": ("docs/guides/looking.md", "preview.png"),
    "sweep.png": ("docs/guides/sweeps.md", "multirun/workers/results.png"),
}
"""By the name in docs/: the page whose first command makes it, and where."""


def main() -> None:
    for name, (page, made) in FIGURES.items():
        command = next(command for block in BLOCKS if block.page == page for command, _ in block.commands())
        with tempfile.TemporaryDirectory() as folder:
            status, printed = in_folder(Path(folder), command)
            if status:
                raise SystemExit(f"{command}\n{printed}")
            shutil.copy(Path(folder) / made, ROOT / "docs" / name)
        print(f"docs/{name}: {command}")


if __name__ == "__main__":
    main()
