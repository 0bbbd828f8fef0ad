"""Output that nobody reads to its end."""

import os
import subprocess
import sys

import pytest

from ffcv_hydra.beton import write_beton
from ffcv_hydra.cli.inspection import main
from ffcv_hydra.cli.unread import may_be_unread
from tests.cli.conftest import ROOT


@pytest.fixture
def unread():
    """The descriptor of a pipe whose reader has gone."""
    read_end, write_end = os.pipe()
    os.close(read_end)
    return write_end


@pytest.mark.timeout(120)
@pytest.mark.parametrize("command", [["run.py", "--help"], ["run.py", "--cfg", "job"], ["-m", "ffcv_hydra", "info"]])
def test_a_reader_who_has_gone_is_no_error(command, tmp_path, unread):
    write_beton([(n,) for n in range(4)], tmp_path / "a.beton", progress=False)
    script = [str(ROOT / command[0]), *command[1:]] if command[0] == "run.py" else [*command, str(tmp_path / "a.beton")]
    done = subprocess.run(
        [sys.executable, *script], cwd=tmp_path, stdout=unread, stderr=subprocess.PIPE, text=True, timeout=100
    )
    os.close(unread)
    assert (done.returncode, done.stderr) == (141, "")


@pytest.mark.timeout(120)
@pytest.mark.parametrize("command", [["explain", "--stage=train"], ["bench", "--seconds=0.1"]])
def test_a_reader_who_has_gone_while_hydras_job_is_at_work_is_no_error(command, tmp_path, unread, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    with open(unread, "w") as stdout:
        monkeypatch.setattr(sys, "stdout", stdout)
        with pytest.raises(SystemExit) as ended:
            main([*command, "dataset.source.num_samples=40", "loader.num_workers=1"])
    assert (ended.value.code, capsys.readouterr().err) == (141, "")


def test_another_pipe_that_is_closed_is_an_error():
    with pytest.raises(BrokenPipeError, match="another"), may_be_unread():
        raise BrokenPipeError("another")
