"""Two ranks on a CPU: that they end together, one way or another."""

import pytest
import torch
from standin_run import SAMPLES, config
from test_interruption import batches, composed

from ffcv_hydra.callbacks import EXIT_STATUS

pytestmark = [pytest.mark.timeout(300)]
TWO = {"devices": 2, "strategy": "ddp"}


def test_two_ranks_train_and_only_rank_0_writes(run_command, result, tmp_path):
    run_dir = tmp_path / "run"
    options = composed(run_dir, trainer=TWO, test_after_fit=True, optimized_metric="val_loss")
    status, output = run_command(run_dir, options)
    assert status == 0, output
    assert result(run_dir)["status"] == "completed"
    assert output.count("run folder:") == 1
    names = {str(path.relative_to(run_dir)) for path in run_dir.rglob("*") if path.is_file()}
    assert {name for name in names if "epoch=" not in name} == {
        "config.yaml", "run.log", "result.json", "checkpoints/last.ckpt", "batches.0", "batches.1",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("signum", "rank", "stage", "batch"),
    [("SIGTERM", 0, "train", 2), ("SIGTERM", 1, "validation", 1), ("SIGINT", 1, "train", 5)],
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


def test_a_second_signal_takes_the_other_rank_along(run_command, result, tmp_path):
    run_dir = tmp_path / "run"
    status, output = run_command(run_dir, composed(run_dir, {"signum": "SIGINT", "twice": True}, TWO))
    assert status == EXIT_STATUS, output
    assert result(run_dir)["status"] == "interrupted"


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


def test_predictions_of_both_ranks_end_in_one_file(run_command, tmp_path):
    run_dir = tmp_path / "run"
    status, output = run_command(run_dir, config(mode="predict", trainer={**config()["trainer"], **TWO}))
    assert status == 0, output
    written = torch.load(run_dir / "predictions.pt", weights_only=True)
    assert written["sample_ids"].tolist() == list(range(SAMPLES))
    assert len(written["predictions"]) == SAMPLES
    assert not list(run_dir.glob(".*"))
