"""Two ranks on a CPU: that they end together, one way or another.

Each test starts two processes, most of whose time goes into imports. Two ranks that complete are in
`tests/test_end_to_end.py`.
"""

import json
import subprocess
import sys
from types import SimpleNamespace

import pytest
import torch
from pytorch_lightning.strategies.launchers import _SubprocessScriptLauncher
from standin_run import CLASSES, SAMPLES, config
from test_interruption import batches, composed, lose_folder

from ffcv_hydra.callbacks import EXIT_STATUS
from ffcv_hydra.training.ranks import join_child_ranks

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
TWO = {"devices": 2, "strategy": "ddp"}


@pytest.mark.parametrize(
    ("signum", "rank", "stage", "batch"),
    [("SIGINT", 0, "train", 2), ("SIGTERM", 1, "validation", 1)],
)
def test_a_signal_to_one_rank_stops_both_at_the_same_batch(run_command, result, tmp_path, signum, rank, stage, batch):
    run_dir = tmp_path / "run"
    stop = {"signum": signum, "rank": rank, "stage": stage, "batch": batch}
    status, output = run_command(run_dir, composed(run_dir, stop, TWO))
    assert status == EXIT_STATUS, output
    assert result(run_dir)["status"] == "interrupted"
    assert batches(run_dir, 0) == batches(run_dir, 1)
    assert len(batches(run_dir)) <= 9
    checkpoint = torch.load(run_dir / "checkpoints/last.ckpt", weights_only=True)
    assert checkpoint["global_step"] == sum(line.startswith("train") for line in batches(run_dir))


def test_F33_two_ranks_end_as_interrupted_though_the_folder_is_gone(run_command, tmp_path):
    run_dir = tmp_path / "run"
    stopped = composed(run_dir, {"signum": "SIGTERM", "batch": 2}, TWO)
    stopped["callbacks"] = {"stop": stopped["callbacks"]["stop"], **lose_folder(run_dir, batch=2)}
    status, output = run_command(run_dir, stopped)
    assert status == EXIT_STATUS, output
    assert "last.ckpt cannot be written" in output


def test_a_second_signal_takes_the_other_rank_along(run_command, result, tmp_path):
    run_dir = tmp_path / "run"
    status, output = run_command(run_dir, composed(run_dir, {"signum": "SIGINT", "twice": True}, TWO))
    assert status == EXIT_STATUS, output
    assert result(run_dir)["status"] == "interrupted"


def test_two_ranks_unfreeze_alike_and_count_every_sample_once(run_command, result, tmp_path):
    run_dir = tmp_path / "run"
    callbacks = {
        "finetuning": {"_target_": "ffcv_hydra.callbacks.Finetuning", "unfreeze_at_epoch": 1},
        "same": {"_target_": "standin_run.SameWeights", "trained_from": 1},
    }
    network = {"_target_": "ffcv_hydra.models.SmallConvNet", "in_channels": 1, "width": 4, "num_classes": CLASSES}
    trainer = {**config()["trainer"], **TWO, "max_epochs": 2}
    status, output = run_command(run_dir, config(callbacks=callbacks, model={"backbone": network}, trainer=trainer))
    assert status == 0, output
    assert result(run_dir)["status"] == "completed"
    found = json.loads((run_dir / "evaluation.json").read_text())["evaluations"]["val"]
    assert sum(found["counts"]) == SAMPLES
    assert sum(found["correct"]) + sum(count for *_, count in found["confused"]) == SAMPLES


@pytest.mark.parametrize("rank", [0, 1])
def test_a_rank_that_fails_ends_the_run_and_says_why(run_command, result, tmp_path, rank):
    run_dir = tmp_path / "run"
    failing = {"_target_": "standin_run.FailingClassifier", "failing_rank": rank}
    status, output = run_command(run_dir, config(model=failing, trainer={**config()["trainer"], **TWO}))
    assert (run_dir / "result.json").exists(), output
    assert status not in (0, EXIT_STATUS), output
    assert result(run_dir)["status"] == "failed", output
    assert "a batch of bad luck" in result(run_dir)["error"]
    assert result(run_dir)["error"].startswith("rank 1: ") == (rank == 1)


def test_F23_a_rank_that_dies_by_sigbus_is_explained(caplog):
    launcher = object.__new__(_SubprocessScriptLauncher)
    script = "import os, signal; os.kill(os.getpid(), signal.SIGBUS)"
    launcher.procs = [subprocess.Popen([sys.executable, "-c", script])]
    join_child_ranks(SimpleNamespace(strategy=SimpleNamespace(launcher=launcher)), timeout=60)
    assert "killed by SIGBUS: a file that was being read was cut short, or its disk failed" in caplog.text
