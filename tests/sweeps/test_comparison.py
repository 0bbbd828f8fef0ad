"""`python -m ffcv_hydra compare` of runs and sweeps."""

import json

import pytest
import yaml

from ffcv_hydra.cli.inspection import main
from ffcv_hydra.process_identity import this_process
from tests.sweeps.test_results import leave_job


def leave_run(folder, config=None, status="completed", **result):
    folder.mkdir(parents=True)
    config = {"optimized_metric": "val_loss", "dir": f"{folder}/checkpoints", "seed": 0, **(config or {})}
    (folder / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
    (folder / "result.json").write_text(json.dumps({"status": status, "run_folder": str(folder), **result}))
    return str(folder)


@pytest.fixture
def compared(capsys, monkeypatch):
    """The lines that a comparison prints at 100 columns."""

    def compare(*paths, status=0):
        monkeypatch.setenv("COLUMNS", "100")
        assert main(["compare", *paths]) == status
        printed = capsys.readouterr()
        lines = (printed.err if status else printed.out).splitlines()
        assert all(len(line) <= 100 or line[1:2] == ":" for line in lines if not status)
        return [" ".join(line.split()) for line in lines]

    return compare


def test_two_runs_show_what_differs_and_by_how_much(tmp_path, compared):
    crop = {"_target_": "ffcv_hydra.operations.CenterCrop", "size": [32, 32]}
    first = leave_run(tmp_path / "a", {"pipeline": {"image": [crop]}}, metrics={"val_loss": 0.5, "lr-SGD": 1.0},
                      samples_per_second=1000.0, waiting=0.25, commit={"hash": "a" * 40, "dirty": True})  # fmt: skip
    second = leave_run(tmp_path / "b", {"pipeline": {"image": [{**crop, "size": [8, 8]}]}, "new": 1},
                       metrics={"val_loss": 0.25}, samples_per_second=1500.0, commit={"hash": "a" * 40})  # fmt: skip
    lines = compared(first, second)
    assert lines[:2] == [f"A: {first} (run, completed)", f"B: {second} (run, completed)"]
    assert "pipeline.image CenterCrop(size=[32, 32]) CenterCrop(size=[8, 8])" in lines
    assert "new 1" in lines
    assert "val_loss 0.5 0.25 -0.25" in lines and "images/s 1,000 1,500 +500" in lines
    assert "waiting for data 25%" in lines
    assert "commit aaaaaaaaaaaa and changes aaaaaaaaaaaa" in lines
    assert not any(line.startswith(("dir", "seed", "lr-SGD")) for line in lines), "what is the same, or each run's own"


def test_what_is_secret_is_not_compared(tmp_path, compared):
    first = leave_run(tmp_path / "a", {"w": {"api_key": "abc", "url": "https://a:abc@h/x"}})
    second = leave_run(tmp_path / "b", {"w": {"api_key": ["abc"]}}, status="failed", error="at https://a:abc@h/x")
    lines = compared(first, second)
    assert not any("abc" in line for line in lines) and "w.url https://***@h/x" in lines


def test_equal_configs_and_a_failure_are_told(tmp_path, compared):
    lines = compared(
        leave_run(tmp_path / "a"), leave_run(tmp_path / "b", status="failed", error="ValueError: bad luck"),
        leave_run(tmp_path / "c"),
    )  # fmt: skip
    assert lines[1].endswith("(run, failed: ValueError: bad luck)")
    assert "The configs are the same." in lines


def test_a_run_that_was_killed_stands_there_with_its_last_epoch(tmp_path, compared):
    first = leave_run(tmp_path / "a", {"key": None}, metrics={"val_loss": 0.5})
    process = {**this_process(), "started": 5}
    killed = leave_run(tmp_path / "b", status="running", process=process, seconds=0.1, metrics={})
    (tmp_path / "b/metrics.csv").write_text("epoch,step,val_loss\n1,5,0.75\n2,10,\n")
    lines = compared(first, killed)
    assert "(run, killed: its process" in lines[1] and "The configs are the same." in lines
    assert "val_loss 0.5 0.75 +0.25" in lines and "epoch 2" in lines
    assert not any(line.startswith("time") for line in lines)


def test_a_sweep_stands_beside_a_run_with_its_best_group(tmp_path, compared):
    run = leave_run(tmp_path / "run", {"a": 1}, metrics={"loss": 0.5})
    for job, (value, seed) in enumerate([(1, 0), (1, 1), (2, 0), (2, 1)]):
        folder = tmp_path / "sweep" / str(job)
        leave_job(folder, [f"a={value}", f"seed={seed}"], value / 10 + seed / 10)
        (folder / "config.yaml").write_text(f"optimized_metric: val_loss\na: {value}\nseed: {seed}\n")
    lines = compared(run, str(tmp_path / "sweep"))
    assert lines[1].endswith("(sweep, 4 completed)")
    assert "seed 0 0 | 1" in lines and "a 1 1 | 2" in lines
    assert "best a=1" in lines and "loss 0.5 0.15 ± 0.071" in lines


def test_many_sides_fit_into_the_columns(tmp_path, compared):
    runs = [leave_run(tmp_path / f"r{n}", {"a": "long " * n * 3, "key.that_is.quite_long": n}) for n in range(8)]
    assert len(compared(*runs)) > 10


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda folder: None, "there is no such folder"),
        (lambda folder: folder.mkdir(), "neither the folder of a run, nor of a sweep, nor a measurement of bench"),
        (lambda folder: (folder.mkdir(), (folder / "result.json").write_text("{")), "is damaged"),
        (lambda folder: folder.write_text("x"), "is nothing that this version's bench wrote"),
    ],
    ids=["nothing", "empty", "damaged", "a file"],
)
def test_what_cannot_be_compared_is_told_in_one_line(tmp_path, compared, make, said):
    make(tmp_path / "x")
    (line,) = compared(leave_run(tmp_path / "a"), str(tmp_path / "x"), status=1)
    assert said in line and str(tmp_path / "x") in line


def test_one_is_not_enough(tmp_path, compared):
    assert compared(leave_run(tmp_path / "a"), status=1) == ["compare takes two paths or more"]
