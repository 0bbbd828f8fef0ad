"""The commands and the Python of `docs/many-files.md`, run one after another in one folder."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from ffcv_hydra.cli.inspection import main

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "many-files.md").read_text()
COMMANDS = [line for block in re.findall(r"```bash\n(.*?)```", PAGE, re.DOTALL) for line in block.splitlines()]
CODE = "\n".join(re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL))


@pytest.mark.timeout(200)
def test_what_the_page_says_works(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for command in COMMANDS:
        words = [str(ROOT / word) if (ROOT / word).is_file() else word for word in shlex.split(command)]
        if words[1:3] == ["-m", "ffcv_hydra"]:
            assert main(words[3:]) == 0
        else:
            _run(tmp_path, sys.executable, *words[1:])
    assert (tmp_path / "data/toy.beton/00003.beton").is_file()
    assert (tmp_path / "few/table.csv").is_file()
    counts = (
        "\n    print(sorted(sum(i in span for i in loader.sample_ids(0).tolist()) for span in loader.members.values()))"
    )
    shown = _run(tmp_path, sys.executable, "-c", CODE.replace("\n    ...", counts))
    assert shown.startswith("120\n") and shown.count("[2, 4, 14]") == 6


def _run(folder: Path, *command: str) -> str:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=100, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout
