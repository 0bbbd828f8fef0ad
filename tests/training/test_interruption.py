"""Signals in the middle of a run: where it stops, what it leaves, and that it resumes exactly there."""

import os
import signal
import stat

import pytest
import torch
from standin_run import config
from test_train import csv_logger

from ffcv_hydra.callbacks import EXIT_STATUS
from ffcv_hydra.errors import WriteError

pytestmark = pytest.mark.timeout(170)

STEPWISE = {
    "_target_": "torch.optim.lr_scheduler.OneCycleLR",
    "max_lr": 0.1,
    "total_steps": "total",
    "interval": "step",
}


def composed(run_dir, stop=None, trainer=None, **changes):
    """A run that records its batches, keeps its checkpoints and, with `stop`, signals itself."""
    callbacks = {
        "record": {"_target_": "standin_run.Record", "path": str(run_dir / "batches")},
        "best": {
            "_target_": "ffcv_hydra.callbacks.ModelCheckpoint",
            "dirpath": str(run_dir / "checkpoints"),
            "monitor": "val_loss",
            "save_last": True,
            "enable_version_counter": False,
        },
    }
    if stop is not None:
        callbacks["stop"] = {"_target_": "standin_run.SignalAt", **stop}
    trainer = {**config()["trainer"], **(trainer or {})}
    return config(callbacks=callbacks, trainer=trainer, model={"scheduler": STEPWISE}, **changes)


def batches(run_dir, rank=0):
    """What the rank did: `train EPOCH BATCH` or `validation EPOCH BATCH`, line by line."""
    path = run_dir / f"batches.{rank}"
    return path.read_text().splitlines() if path.exists() else []


def trained(run_dir):
    return [line for line in batches(run_dir) if line.startswith("train")]


def last_weights(run_dir):
    return torch.load(run_dir / "checkpoints/last.ckpt", weights_only=True)["state_dict"]


def interrupted(train, run_dir, *arguments, **options):
    with pytest.raises(SystemExit) as ended:
        train(composed(run_dir, *arguments, **options), run_dir)
    assert ended.value.code == EXIT_STATUS


@pytest.mark.parametrize("signum", ["SIGINT", "SIGTERM", "SIGUSR1"])
def test_a_signal_stops_the_run_after_the_batch(train, result, tmp_path, signum):
    before = signal.getsignal(getattr(signal, signum))
    interrupted(train, tmp_path, {"signum": signum, "batch": 4})
    assert batches(tmp_path) == [f"train 0 {batch}" for batch in range(5)]
    assert result(tmp_path)["status"] == "interrupted"
    assert signum in result(tmp_path)["error"]
    assert torch.load(tmp_path / "checkpoints/last.ckpt", weights_only=True)["global_step"] == 5
    assert signal.getsignal(getattr(signal, signum)) is before


@pytest.mark.parametrize(
    ("where", "trainer"),
    [
        ({"stage": "train", "epoch": 0, "batch": 0}, {}),
        ({"stage": "train", "epoch": 1, "batch": 4}, {}),
        ({"stage": "train", "epoch": 0, "batch": 11}, {}),
        ({"stage": "train", "epoch": 1, "batch": 11}, {}),
        ({"stage": "validation", "epoch": 0, "batch": 0}, {}),
        ({"stage": "validation", "epoch": 0, "batch": 5}, {}),
        ({"stage": "validation", "epoch": 1, "batch": 11}, {}),
        ({"stage": "train", "epoch": 1, "batch": 3}, {"accumulate_grad_batches": 3}),
        ({"stage": "train", "epoch": 0, "batch": 3}, {"val_check_interval": 4}),
        ({"stage": "validation", "epoch": 0, "batch": 2}, {"val_check_interval": 4}),
        ({"stage": "train", "epoch": 0, "batch": 11}, {"limit_val_batches": 0}),
    ],
)
def test_a_resumed_run_ends_as_if_never_interrupted(train, tmp_path, where, trainer):
    whole = train(composed(tmp_path / "whole", trainer=trainer), tmp_path / "whole")
    interrupted(train, tmp_path / "first", {"signum": "SIGTERM", **where}, trainer)
    last = tmp_path / "first/checkpoints/last.ckpt"
    resumed = train(composed(tmp_path / "second", trainer=trainer, ckpt_path=str(last)), tmp_path / "second")
    assert {name: value for name, value in resumed["metrics"].items() if name != "train_loss"} == {
        name: pytest.approx(value, abs=1e-7) for name, value in whole["metrics"].items() if name != "train_loss"
    }
    for name, weight in last_weights(tmp_path / "whole").items():
        assert torch.equal(last_weights(tmp_path / "second")[name], weight)
    assert trained(tmp_path / "first") + trained(tmp_path / "second") == trained(tmp_path / "whole")


@pytest.mark.parametrize("where", [{"epoch": 1, "batch": 4}, {"stage": "validation", "epoch": 0, "batch": 5}])
def test_a_resumed_average_ends_as_if_never_interrupted(train, tmp_path, where):
    def averaged(name, stop=None, **changes):
        made = composed(tmp_path / name, stop, test_after_fit=True, **changes)
        made["callbacks"]["ema"] = {"_target_": "ffcv_hydra.callbacks.EMA", "decay": 0.9}
        return made, tmp_path / name

    whole = train(*averaged("whole"))
    with pytest.raises(SystemExit):
        train(*averaged("first", {"signum": "SIGTERM", **where}))
    resumed = train(*averaged("second", ckpt_path=str(tmp_path / "first/checkpoints/last.ckpt")))
    assert resumed["metrics"]["test_loss"] == whole["metrics"]["test_loss"] == min(whole["metrics"]["val_loss"], 9)
    expected, found = (
        torch.load(tmp_path / name / "checkpoints/last.ckpt", weights_only=True) for name in ("whole", "second")
    )
    for state in ("state_dict", "current_model_state", "averaging_state"):
        assert all(torch.equal(found[state][name], value) for name, value in expected[state].items())
    assert not torch.equal(
        *(expected[state]["backbone.linear.weight"] for state in ("state_dict", "current_model_state"))
    )


def test_an_interrupted_validation_is_done_again_as_a_whole(train, tmp_path):
    interrupted(train, tmp_path / "first", {"signum": "SIGTERM", "stage": "validation", "batch": 5})
    last = tmp_path / "first/checkpoints/last.ckpt"
    train(composed(tmp_path / "second", ckpt_path=str(last)), tmp_path / "second")
    assert batches(tmp_path / "second")[:12] == [f"validation 0 {batch}" for batch in range(12)]


def test_an_interrupted_test_keeps_the_last_checkpoint_of_the_training(train, result, tmp_path):
    interrupted(train, tmp_path, {"signum": "SIGTERM", "stage": "test", "epoch": 2}, test_after_fit=True)
    assert result(tmp_path)["status"] == "interrupted"
    assert result(tmp_path)["metrics"]["val_loss"] > 0
    assert torch.load(tmp_path / "checkpoints/last.ckpt", weights_only=True)["global_step"] == 24


def test_a_signal_before_the_first_batch_stops_at_once(train, result, tmp_path, monkeypatch):
    def build_model(config):
        os.kill(os.getpid(), signal.SIGTERM)
        pytest.fail("went on")

    monkeypatch.setattr("ffcv_hydra.training.run.build_model", build_model)
    interrupted(train, tmp_path)
    assert result(tmp_path)["status"] == "interrupted"


def test_a_second_signal_ends_at_once_where_the_first_cannot(run_command, result, tmp_path):
    run_dir = tmp_path / "run"
    status, output = run_command(run_dir, composed(run_dir, {"signum": "SIGINT", "twice": True}))
    assert status == EXIT_STATUS
    assert "stopping after this batch" in output
    assert result(run_dir)["status"] == "interrupted"


def lose_folder(run_dir, batch=None):
    return {"lose": {"_target_": "standin_run.LoseFolder", "folder": str(run_dir), "batch": batch}}


def test_F33_an_interrupted_run_whose_folder_is_gone_ends_as_interrupted(train, tmp_path, capsys):
    run_dir = tmp_path / "run"
    stopped = composed(run_dir, {"signum": "SIGTERM", "batch": 2}, logger={"csv": csv_logger(run_dir)})
    stopped["callbacks"] = {"stop": stopped["callbacks"]["stop"], **lose_folder(run_dir, batch=2)}
    with pytest.raises(SystemExit) as ended:
        train(stopped, run_dir)
    assert ended.value.code == EXIT_STATUS
    printed = capsys.readouterr()
    assert f"interrupted by SIGTERM; {run_dir}/checkpoints/last.ckpt cannot be written: " in printed.out
    assert f"{run_dir}/result.json cannot be written: Not a directory" in printed.err
    assert printed.err.count("run.log cannot be written") <= 1


def test_F33_a_run_that_fails_says_why_though_its_folder_is_gone(train, tmp_path):
    run_dir = tmp_path / "run"
    failing = {"_target_": "standin_run.FailingClassifier", "failing_rank": 0}
    with pytest.raises(ValueError, match="a batch of bad luck"):
        train(config(model=failing, callbacks=lose_folder(run_dir, batch=1)), run_dir)


def test_F33_a_completed_run_is_completed_though_its_folder_is_gone(train, tmp_path, capsys):
    run_dir = tmp_path / "run"
    returned = train(config(callbacks=lose_folder(run_dir), logger={"csv": csv_logger(run_dir)}), run_dir)
    assert returned["status"] == "completed"
    assert returned["metrics"]["val_loss"] > 0
    assert returned["mode"] == "fit"
    printed = capsys.readouterr()
    assert "fit completed" in printed.out
    assert "result.json cannot be written" in printed.err


def test_F33_a_checkpoint_that_cannot_be_written_is_one_line(train, tmp_path):
    run_dir = tmp_path / "run"
    callbacks = {"best": composed(run_dir)["callbacks"]["best"], **lose_folder(run_dir, batch=5)}
    with pytest.raises(WriteError, match=r"\.ckpt cannot be written: (Not a directory|File exists)"):
        train(config(callbacks=callbacks), run_dir)


def fake_slurm(tmp_path, monkeypatch):
    """An `scontrol` that writes down how it was called, in the environment of a job of one task."""
    script = tmp_path / "bin/scontrol"
    script.parent.mkdir()
    script.write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/scontrol.txt\n')
    script.chmod(script.stat().st_mode | stat.S_IEXEC)
    monkeypatch.setenv("PATH", f"{script.parent}:{os.environ['PATH']}")
    for name, value in {
        "SLURM_JOB_ID": "4711", "SLURM_NTASKS": "1", "SLURM_JOB_NAME": "train", "SLURM_PROCID": "0",
        "SLURM_LOCALID": "0", "SLURM_NODEID": "0", "SLURM_NNODES": "1", "SLURM_NTASKS_PER_NODE": "1",
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    return tmp_path / "scontrol.txt"


def test_slurm_requeues_the_job_and_it_goes_on_where_it_was(train, tmp_path, monkeypatch):
    called = fake_slurm(tmp_path, monkeypatch)
    run_dir = tmp_path / "job"
    interrupted(train, run_dir, {"signum": "SIGUSR1", "epoch": 1, "batch": 4})
    assert called.read_text().split() == ["requeue", "4711"]
    train(composed(run_dir), run_dir)
    assert trained(run_dir) == [f"train {epoch} {batch}" for epoch in range(2) for batch in range(12)]


def test_slurm_does_not_requeue_a_job_that_is_cancelled(train, tmp_path, monkeypatch):
    called = fake_slurm(tmp_path, monkeypatch)
    interrupted(train, tmp_path / "job", {"signum": "SIGTERM", "batch": 4})
    assert not called.exists()
