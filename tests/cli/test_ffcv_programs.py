"""What `run-ffcv` refuses; what it runs, tests/cli/ffcv_startup says."""

import pytest

from ffcv_hydra.cli.inspection import main

pytest.importorskip("ffcv")


@pytest.mark.parametrize(
    "arguments, told",
    [([], "run-ffcv takes a SCRIPT, or -m MODULE"), (["nothing.py", "-x"], "nothing.py: no such file")],
)
def test_what_cannot_be_run_is_told(arguments, told, capsys):
    assert main(["run-ffcv", *arguments]) == 1
    assert capsys.readouterr().err.strip() == told


def test_without_ffcv_it_says_how_to_get_it(monkeypatch, capsys):
    monkeypatch.setattr("ffcv_hydra.cli.ffcv_programs.find_spec", lambda name: None)
    assert main(["run-ffcv", "-m", "this"]) == 1
    assert "pip install 'ffcv_hydra[ffcv]' first" in capsys.readouterr().err
