"""Metrics of the epochs that have ended, whatever the end of the run."""

import re

import pytest
from standin_run import config

from ffcv_hydra.report.evaluation import read_evaluation
from ffcv_hydra.run_folder import read_run

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


def test_what_a_model_logs_in_its_own_hook_is_in_the_row_and_line_of_its_epoch(train, tmp_path, capsys):
    progress = {"_target_": "ffcv_hydra.callbacks.ProgressBar"}
    trainer = {"max_epochs": 3, "enable_progress_bar": True}
    model = {"_target_": "standin_run.LogsLate"}
    train(config(model=model, callbacks={"progress": progress}, trainer=trainer), tmp_path)
    columns = read_run(tmp_path).metrics
    assert (columns["epoch"], columns["step"], columns["late"]) == ([1, 2, 3], [12, 24, 36], [0, 1, 2])
    for lines in (capsys.readouterr().out, (tmp_path / "run.log").read_text()):
        assert re.findall(r"epoch (\d)/3: .*late (\d)", lines) == [("1", "0"), ("2", "1"), ("3", "2")]


def test_a_test_after_a_fit_is_of_no_epoch(train, tmp_path):
    logger = {"csv": {"_target_": "ffcv_hydra.training.step_logger.StepLogger", "save_dir": str(tmp_path)}}
    rate = {"_target_": "pytorch_lightning.callbacks.LearningRateMonitor", "logging_interval": "step"}
    train(config(test_after_fit=True, logger=logger, callbacks={"rate": rate}), tmp_path)
    [rates] = [values for name, values in read_run(tmp_path).metrics.items() if name.startswith("lr-")]
    assert None not in rates  # though none of the few steps was logged
    columns = read_run(tmp_path).metrics_by_step
    last = {name: values[-1] for name, values in columns.items()}
    assert last["test_loss"] is not None and last["epoch"] is None
    assert {epoch for epoch in columns["epoch"] if epoch} == {1, 2}


def test_what_was_evaluated_stays_until_a_run_that_goes_on_evaluates_anew(train, tmp_path):
    folder = str(tmp_path / "checkpoints")
    best = {"_target_": "ffcv_hydra.callbacks.ModelCheckpoint", "dirpath": folder, "save_last": True}
    train(config(callbacks={"best": best}), tmp_path)
    before = read_evaluation(tmp_path)["evaluations"]
    assert before["val"]["epoch"] == 2
    stop = {"_target_": "standin_run.SignalAt", "signum": "SIGINT", "epoch": 2, "batch": 3}
    longer = config(trainer={"max_epochs": 3}, callbacks={"stop": stop}, ckpt_path=f"{folder}/last.ckpt")
    with pytest.raises(SystemExit):
        train(longer, tmp_path)
    assert read_evaluation(tmp_path)["evaluations"] == before
