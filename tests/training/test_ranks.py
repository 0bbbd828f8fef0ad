"""Two ranks on a CPU: that they end together, one way or another.

Each test starts two processes, most of whose time goes into imports. Two ranks that complete are in
`tests/test_end_to_end.py`.
"""

import itertools
import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from pytorch_lightning.strategies.launchers import _SubprocessScriptLauncher
from standin_run import CLASSES, SAMPLES, config
from test_interruption import batches, composed, lose_folder

from ffcv_hydra.callbacks import EXIT_STATUS
from ffcv_hydra.training import ranks
from ffcv_hydra.training.ranks import folder_of_all_ranks, join_child_ranks
from tests import processes

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


def test_all_ranks_have_the_folder_of_rank_0(monkeypatch, tmp_path):
    monkeypatch.setenv(ranks._FOLDER_VARIABLE, "")
    words: dict[str, bytes] = {}
    store = SimpleNamespace(set=lambda key, word: words.update({key: word.encode()}), get=words.__getitem__)

    def ask(rank, folder, store, training):
        monkeypatch.setattr(ranks, "_trainings", itertools.count(training))
        monkeypatch.setattr(ranks, "global_rank", lambda: rank)
        monkeypatch.setattr(ranks, "store_of_ranks", lambda: store)
        return folder_of_all_ranks(folder)

    first, second = tmp_path / "first", tmp_path / "second"
    second.mkdir()
    for known, training in ((None, 1), (store, 7)):
        assert ask(0, first, known, training) == ask(1, second, known, training) == first
    assert not second.exists()  # what Hydra has made
    assert ask(1, second, None, 8) == second  # no word of another training


PROGRAM = """
import pathlib
from ffcv_hydra import compose, train

small = ["trainer.max_epochs=1", "trainer.limit_train_batches=1", "trainer.limit_val_batches=1", "test_after_fit=false"]
quiet = ["logger=none", "callbacks.progress=null", "trainer.enable_model_summary=false", "loader.batch_size=16"]
for seed in range(2):
    two = ["trainer=ddp_cpu", "trainer.devices=2", f"seed={seed}"]
    result = train(compose("run", ["dataset=toy", *two, *small, *quiet]))
    with pathlib.Path("results").open("a") as results:
        print(result["status"], result["run_folder"], result["metrics"]["train_loss"], file=results)
"""


def test_a_program_trains_twice_on_two_ranks_in_one_folder_each(tmp_path):
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    done = processes.run([program], tmp_path, {**os.environ, "PYTHONPATH": str(processes.ROOT)})
    assert done.returncode == 0, done.stdout + done.stderr
    folders = [str(path.parent) for path in tmp_path.glob("outputs/*/*/result.json")]
    assert len(folders) == 2 and len([*tmp_path.glob("outputs/*/*")]) == 2
    losses = {path: json.loads(Path(path, "result.json").read_text())["metrics"]["train_loss"] for path in folders}
    found = (tmp_path / "results").read_text().splitlines()
    assert sorted(found) == sorted(f"completed {path} {losses[path]}" for path in folders * 2)
