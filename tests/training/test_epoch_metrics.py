"""Metrics of the epochs that have ended, whatever the end of the run."""

import pytest
from standin_run import config

pytestmark = pytest.mark.timeout(120)


def test_metrics_of_the_epochs_before_an_interruption_are_kept(train, result, tmp_path):
    stop = {"_target_": "standin_run.SignalAt", "signum": "SIGINT", "epoch": 1, "batch": 3}
    with pytest.raises(SystemExit):
        train(config(callbacks={"stop": stop}), tmp_path)
    written = result(tmp_path)
    assert written["status"] == "interrupted"
    assert "<p class=ended>interrupted by SIGINT" in (tmp_path / "report.html").read_text()
    assert set(written["metrics"]) == {"train_loss", "val_loss", "val_accuracy"}


def test_a_loss_that_is_no_number_is_told(train, result, tmp_path):
    model = {"optimizer": {"_target_": "torch.optim.SGD", "lr": float("nan")}}
    train(config(model=model), tmp_path)
    assert result(tmp_path)["not_finite"]["train_loss"] == 1
    assert (tmp_path / "run.log").read_text().count("train_loss is nan at the end of epoch 1") == 1
