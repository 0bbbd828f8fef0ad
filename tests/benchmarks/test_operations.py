import json
import sys

import pytest

from benchmarks import operations, report
from benchmarks.contenders.transforms import opencv, ours
from benchmarks.steps import OPERATIONS, RECIPES


def test_every_step_is_one_of_ours():
    steps = [
        *OPERATIONS.values(),
        *(step for recipe in RECIPES.values() for view in recipe.views for step in view.steps),
    ]
    for step in steps:
        ours.STEPS[step.name](**step.arguments, p=step.p)
    assert set(opencv.STEPS) < set(ours.STEPS)


@pytest.mark.timeout(300)
def test_contenders_have_turns_at_each_operation_that_they_have(children, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(report, "RESULTS", tmp_path)
    rows = ["--cases", "vertical flip", "posterize", "RandAugment"]
    who = ["--contenders", "ours", "opencv", "copy"]
    monkeypatch.setattr(sys, "argv", ["", *rows, *who, "--photos", "8", "--seconds", "0.001", "--repeats", "2"])
    operations.main()
    record = json.loads((tmp_path / "operations.json").read_text())
    made = {row: {one["name"]: one for one in results} for row, results in record["results"].items()}
    for row in ("vertical flip", "posterize"):
        assert all(len(made[row][name]["values"]) == 2 for name in ("ours", "opencv", "copy"))
        assert made[row]["ours"]["details"] == made[row]["opencv"]["details"]
        assert made[row]["opencv"]["note"] == "" and record["ahead"][row] > 0
    assert "opencv" not in made["RandAugment"]
    assert "posterize" in capsys.readouterr().out
