"""Output that nobody reads to its end."""

import os
import subprocess
import sys

import pytest

from ffcv_hydra.beton import write_beton
from tests.cli.conftest import ROOT


@pytest.mark.timeout(120)
@pytest.mark.parametrize("command", [["run.py", "--help"], ["run.py", "--cfg", "job"], ["-m", "ffcv_hydra", "info"]])
def test_a_reader_who_has_gone_is_no_error(command, tmp_path):
    write_beton([(n,) for n in range(4)], tmp_path / "a.beton", progress=False)
    script = [str(ROOT / command[0]), *command[1:]] if command[0] == "run.py" else [*command, str(tmp_path / "a.beton")]
    read_end, write_end = os.pipe()
    os.close(read_end)
    done = subprocess.run(
        [sys.executable, *script], cwd=tmp_path, stdout=write_end, stderr=subprocess.PIPE, text=True, timeout=100
    )
    os.close(write_end)
    assert done.returncode in (1, 141) and done.stderr == ""  # rich ends with 1 itself
