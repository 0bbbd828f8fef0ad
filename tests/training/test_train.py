"""What a run leaves behind, and how it fails."""

import logging
import re
import shutil
import signal
import sys
import warnings
from pathlib import Path

import pytest
import pytorch_lightning as pl
import torch
import yaml
from pytorch_lightning.utilities.exceptions import MisconfigurationException
from standin_run import CLASSES, SAMPLES, checkpoints, config

from ffcv_hydra.callbacks import RunInterrupted
from ffcv_hydra.errors import ConfigError
from ffcv_hydra.run_folder import read_run
from ffcv_hydra.training import run
from ffcv_hydra.training.report import print_results

pytestmark = pytest.mark.timeout(120)


def csv_logger(run_dir):
    return {"_target_": "ffcv_hydra.training.step_logger.StepLogger", "save_dir": str(run_dir)}


def test_run_folder_holds_what_a_run_is_known_by(train, result, tmp_path):
    run_dir = tmp_path / "run"
    composed = config(
        test_after_fit=True, callbacks={"best": checkpoints(run_dir), "none": None}, logger={"csv": csv_logger(run_dir)}
    )
    returned = train(composed, run_dir)
    names = {str(path.relative_to(run_dir)) for path in run_dir.rglob("*") if path.is_file()}
    best = {name for name in names if re.fullmatch(r"checkpoints/epoch=\d-step=\d+\.ckpt", name)}
    assert len(best) == 1
    assert names - best == {
        "config.yaml", "run.log", "result.json", "checkpoints/last.ckpt", "metrics.csv", "metrics_by_step.csv",
        "evaluation.json", "report.html",
    }  # fmt: skip
    assert yaml.safe_load((run_dir / "config.yaml").read_text()) == composed
    assert str(best.pop()) in (run_dir / "run.log").read_text()
    assert returned == result(run_dir)


def test_each_epoch_is_a_row_and_a_line_and_the_log_has_command_table_and_warnings(train, tmp_path):
    class Warns(pl.Callback):
        def on_train_start(self, trainer, pl_module):
            warnings.warn("a word of warning", stacklevel=1)

    trainer = {"max_epochs": 3, "check_val_every_n_epoch": 2, "log_every_n_steps": 5}
    composed = config(trainer=trainer, logger={"csv": csv_logger(tmp_path)}, callbacks={"best": checkpoints(tmp_path)})
    with pytest.MonkeyPatch.context() as patch:
        of_config = run.build_callbacks
        patch.setattr(run, "build_callbacks", lambda *arguments: [*of_config(*arguments), Warns()])
        with pytest.warns(UserWarning, match="a word of warning"):
            train(composed, tmp_path)
    found = read_run(tmp_path)
    assert (found.metrics["epoch"], found.metrics["step"]) == ([1, 2, 3], [12, 24, 36])
    assert [value is not None for value in found.metrics["val_loss"]] == [False, True, False]
    assert None not in found.metrics["train_loss"]
    assert found.metrics_by_step["step"] == [4, 9, 11, 14, 19, 23, 24, 29, 34, 35]
    text = (tmp_path / "run.log").read_text()
    assert f"$ {found.result['command']}" in text and "UserWarning: a word of warning" in text
    assert len(re.findall(r"INFO ffcv_hydra.run: epoch \d/3: train_loss", text)) == 3
    assert "fit completed" in text and "memory, at most" in text and f"run folder: {tmp_path}" in text
    assert found.result["memory"]["resident"] > 1e6


def test_a_run_that_goes_on_in_its_folder_adds_to_its_metrics(train, tmp_path):
    composed = config(logger={"csv": csv_logger(tmp_path)}, callbacks={"best": checkpoints(tmp_path)})
    train(composed, tmp_path)
    before, steps = read_run(tmp_path).metrics, read_run(tmp_path).metrics_by_step["step"]
    longer = {"trainer": {**composed["trainer"], "max_epochs": 3}, "ckpt_path": str(tmp_path / "checkpoints/last.ckpt")}
    train({**composed, **longer}, tmp_path)
    after = read_run(tmp_path).metrics
    assert after["epoch"] == [1, 2, 3] and after["val_loss"][:2] == before["val_loss"]
    later = read_run(tmp_path).metrics_by_step["step"]
    assert later[: len(steps)] == steps and len(later) > len(steps)
    train(config(mode="test", ckpt_path=longer["ckpt_path"], logger={"csv": csv_logger(tmp_path)}), tmp_path)
    assert read_run(tmp_path).metrics == after
    assert set(later) <= set(read_run(tmp_path).metrics_by_step["step"])
    other = Path(train(composed, tmp_path)["run_folder"])  # a new run, which leaves that one alone
    assert other != tmp_path and read_run(other).metrics["epoch"] == [1, 2] and read_run(tmp_path).metrics == after


@pytest.mark.parametrize(("waiting", "is_told"), [(0.5, True), (0.1, False), (None, False)])
def test_much_waiting_for_data_is_told_with_what_to_do(tmp_path, capsys, waiting, is_told):
    result = {"mode": "fit", "status": "completed", "metrics": {}, "samples_per_second": 10.0, "waiting": waiting}
    print_results({**result, "overrides": ["dataset=toy", "a=[1,2]"]}, tmp_path)
    printed = capsys.readouterr().out
    assert ("python -m ffcv_hydra bench dataset=toy 'a=[1,2]'" in printed) == is_told
    assert ("waiting for data" in printed) == (waiting is not None)


def test_result_says_what_came_out(train, result, tmp_path):
    train(config(test_after_fit=True, callbacks={"best": checkpoints(tmp_path)}, optimized_metric="val_loss"), tmp_path)
    written = result(tmp_path)
    assert written["status"] == "completed"
    assert written["error"] is None
    assert set(written["metrics"]) == {"train_loss", "val_loss", "val_accuracy", "test_loss", "test_accuracy"}
    assert written["metrics"]["test_loss"] == pytest.approx(written["optimized_metric"])
    assert torch.load(written["best_checkpoint"], weights_only=True)["epoch"] == 1
    assert written["samples_per_second"] > 0 and written["seconds"] > 0


def test_metrics_and_a_loss_come_from_the_config(train, result, tmp_path, capsys):
    metrics = {
        "f1": {"_target_": "torchmetrics.classification.MulticlassF1Score", "average": None},
        "auroc": {"_target_": "torchmetrics.AUROC"},
        "confusion": {"_target_": "torchmetrics.classification.MulticlassConfusionMatrix"},
    }
    composed = config(
        model={"metrics": metrics, "loss": {"_target_": "torch.nn.MultiMarginLoss"}},
        callbacks={"best": checkpoints(tmp_path, monitor="val_f1/2", mode="max")},
        trainer={"max_epochs": 1},
        optimized_metric="val_f1/2",
        test_after_fit=True,
    )
    train(composed, tmp_path)
    written = result(tmp_path)
    names = ["loss", "accuracy", *(f"f1/{number}" for number in range(CLASSES)), "auroc"]
    logged = {f"{stage}_{name}" for name in names for stage in ("val", "test")}
    assert set(written["metrics"]) == {"train_loss", *logged}
    assert written["optimized_metric"] == written["metrics"]["val_f1/2"]
    saved = torch.load(written["best_checkpoint"], weights_only=True)["hyper_parameters"]
    assert (saved["metrics"], saved["loss"]) == (metrics, {"_target_": "torch.nn.MultiMarginLoss"})
    assert "val_f1/3" in capsys.readouterr().out
    with pytest.raises(ConfigError, match="model.metrics.f1: MulticlassF1Score refuses its arguments: .*speed"):
        train(config(model={"metrics": {"f1": {**metrics["f1"], "speed": 1}}}), tmp_path / "other")


def test_metrics_of_many_classes_are_not_in_the_table(tmp_path, capsys):
    counts = {"few": 20, "many": 21}
    metrics = {"val_loss": 1.0} | {f"val_{name}/{number}": 0.5 for name in counts for number in range(counts[name])}
    print_results({"mode": "fit", "status": "completed", "metrics": metrics, "samples_per_second": None}, tmp_path)
    printed = capsys.readouterr().out
    assert "val_loss" in printed and "val_few/19" in printed and "val_many" not in printed


@pytest.mark.parametrize(
    ("step", "error"), [("write_report", RunInterrupted(signal.SIGUSR1)), ("print_results", BrokenPipeError())]
)
def test_what_goes_wrong_when_a_run_is_complete_changes_nothing_of_it(
    train, result, tmp_path, monkeypatch, step, error
):
    at_completion, requeued = [], []

    def fail(*arguments):
        if not at_completion:
            at_completion.append(result(tmp_path))
            raise error

    monkeypatch.setattr(run, step, fail)
    monkeypatch.setattr(run, "requeue", lambda *arguments: requeued.append(arguments))
    with pytest.raises((SystemExit, BrokenPipeError)):
        train(config(), tmp_path)
    assert result(tmp_path) == at_completion[0] and at_completion[0]["status"] == "completed"
    assert not requeued


def test_running_is_written_before_anything_else(train, result, tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr("ffcv_hydra.training.run.build_model", lambda config: seen.append(result(tmp_path)) or 1 / 0)
    with pytest.raises(ZeroDivisionError):
        train(config(), tmp_path)
    assert seen[0]["status"] == "running"


@pytest.mark.parametrize("trainer", [{}, {"max_steps": 5}, {"max_steps": 17}, {"limit_val_batches": 0}], ids=str)
def test_F21_the_last_checkpoint_is_the_last_though_it_is_not_the_best(train, tmp_path, trainer):
    worse = {"model": {"optimizer": {"_target_": "torch.optim.SGD", "lr": 0.1, "maximize": True}}}
    trainer = {**config()["trainer"], **trainer}
    train(config(trainer=trainer, callbacks={"best": checkpoints(tmp_path)}, **worse), tmp_path)
    last = torch.load(tmp_path / "checkpoints/last.ckpt", weights_only=True)
    assert last["global_step"] == (24 if trainer.get("max_steps", -1) == -1 else trainer["max_steps"])


def test_test_uses_the_best_checkpoint_not_the_last(train, result, tmp_path):
    worse = {"model": {"optimizer": {"_target_": "torch.optim.SGD", "lr": 0.1, "maximize": True}}}
    train(config(test_after_fit=True, callbacks={"best": checkpoints(tmp_path)}, **worse), tmp_path)
    metrics = result(tmp_path)["metrics"]
    assert metrics["test_loss"] < metrics["val_loss"]


def test_result_log_and_report_of_a_run_have_no_secrets(train, tmp_path, monkeypatch):
    def fail(config):
        logging.getLogger("somebody").warning("asking with password=hunter2")
        raise OSError("no answer from https://ana:hunter2@host/x?sig=hunter2, api_key=hunter2")

    monkeypatch.setattr(run, "build_datamodule", fail)
    monkeypatch.setattr(run, "_overrides", lambda: ["+w={api_key: hunter2}"])
    monkeypatch.setattr(sys, "orig_argv", ["run.py", "w.api_key=a hunter2"])
    with pytest.raises(OSError, match="hunter2"):
        train(config(), tmp_path)
    for name in ("result.json", "run.log", "report.html"):
        text = (tmp_path / name).read_text()
        assert "hunter2" not in text and "(hidden)" in text and "host/x" in text, name


def test_same_seed_same_result(train, tmp_path):
    losses = [train(config(seed=seed), tmp_path / str(run))["metrics"] for run, seed in enumerate([1, 1, 2])]
    assert losses[0] == losses[1] != losses[2]


def test_prints_a_table_and_the_folder(train, tmp_path, capsys):
    train(config(), tmp_path)
    printed = capsys.readouterr().out
    assert "val_accuracy" in printed
    assert f"run folder: {tmp_path}" in printed


def test_a_loss_that_is_not_a_number_is_reported_and_leaves_valid_json(train, result, tmp_path, capsys):
    optimizer = {"_target_": "torch.optim.SGD", "lr": float("inf")}
    train(config(model={"optimizer": optimizer}), tmp_path)
    assert result(tmp_path)["metrics"]["val_loss"] is None
    assert "nan" in capsys.readouterr().out


def test_a_failure_is_recorded_and_its_traceback_is_in_the_log(train, result, tmp_path):
    failing = {"_target_": "standin_run.FailingClassifier", "failing_rank": 0}
    with pytest.raises(ValueError, match="bad luck"):
        train(config(model=failing), tmp_path)
    assert result(tmp_path)["status"] == "failed"
    assert result(tmp_path)["error"].startswith("ValueError: a batch of bad luck (")
    assert "ValueError: a batch of bad luck (" in (tmp_path / "report.html").read_text()
    assert "training_step" in (tmp_path / "run.log").read_text()


def test_the_log_file_is_closed_and_let_go(train, tmp_path):
    before = list(logging.getLogger().handlers)
    train(config(), tmp_path)
    assert logging.getLogger().handlers == before


def test_validate_and_test_take_a_checkpoint(train, tmp_path):
    fitted = train(config(callbacks={"best": checkpoints(tmp_path / "fit")}), tmp_path / "fit")
    for mode, stage in [("validate", "val"), ("test", "test")]:
        metrics = train(config(mode=mode, ckpt_path=fitted["best_checkpoint"]), tmp_path / mode)["metrics"]
        assert metrics[f"{stage}_loss"] == pytest.approx(fitted["metrics"]["val_loss"])


def test_only_a_fit_names_a_best_checkpoint(train, tmp_path):
    callbacks = {"best": checkpoints(tmp_path / "fit")}
    fitted = train(config(callbacks=callbacks), tmp_path / "fit")
    options = config(mode="validate", ckpt_path=fitted["best_checkpoint"], callbacks=callbacks)
    assert train(options, tmp_path / "validate")["best_checkpoint"] is None


def test_predictions_end_in_one_file(train, tmp_path, capsys):
    train(config(mode="predict"), tmp_path)
    assert "value" not in capsys.readouterr().out, "a table without rows"
    written = torch.load(tmp_path / "predictions.pt", weights_only=True)
    assert written["sample_ids"].tolist() == list(range(SAMPLES))
    assert written["predictions"].shape == (SAMPLES, 4)


def test_fit_goes_on_from_a_checkpoint(train, tmp_path):
    first = train(config(callbacks={"best": checkpoints(tmp_path / "1")}), tmp_path / "1")
    longer = {"max_epochs": 3}
    train(config(ckpt_path=first["best_checkpoint"], trainer={**config()["trainer"], **longer}), tmp_path / "2")
    assert "Restored all states" in (tmp_path / "2" / "run.log").read_text()


def test_missing_checkpoint_is_named(train, result, tmp_path):
    with pytest.raises(ConfigError, match=r"ckpt_path=nowhere\.ckpt: no such file"):
        train(config(ckpt_path="nowhere.ckpt"), tmp_path)
    assert result(tmp_path)["status"] == "failed"


def test_checkpoint_of_another_model_is_one_line(train, tmp_path):
    fitted = train(config(callbacks={"best": checkpoints(tmp_path / "fit")}), tmp_path / "fit")
    other = {"_target_": "ffcv_hydra.models.AutoEncoder"}
    with pytest.raises(ConfigError) as caught:
        train({**config(mode="test", ckpt_path=fitted["best_checkpoint"]), "model": other}, tmp_path / "other")
    assert "another model than AutoEncoder" in str(caught.value)
    assert "missing decoder.0.bias and decoder.0.weight (6 more)" in str(caught.value)
    assert "unexpected backbone.linear.bias and backbone.linear.weight" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_checkpoint_of_a_model_of_another_size_is_noticed(train, tmp_path):
    fitted = train(config(callbacks={"best": checkpoints(tmp_path / "fit")}), tmp_path / "fit")
    model = {"backbone": {"_target_": "standin_run.LinearNet", "num_classes": 9}, "num_classes": 9}
    with pytest.raises(ConfigError, match=r"of another shape backbone\.linear\.bias"):
        train(config(mode="test", ckpt_path=fitted["best_checkpoint"], model=model), tmp_path / "other")


def test_a_file_that_is_no_checkpoint_is_refused(train, tmp_path):
    (tmp_path / "text.ckpt").write_text("hello")
    with pytest.raises(ConfigError, match="text.ckpt"):
        train(config(mode="test", ckpt_path=str(tmp_path / "text.ckpt")), tmp_path / "run")


@pytest.mark.parametrize("epochs", [1, 100])
def test_F44_an_optimized_metric_that_is_not_logged_is_named_after_an_epoch(train, result, tmp_path, epochs):
    trainer = {**config()["trainer"], "max_epochs": epochs}
    record = {"record": {"_target_": "standin_run.Record", "path": str(tmp_path / "batches")}}
    with pytest.raises(ConfigError, match="optimized_metric=val_f1 was not logged; the run logged .*val_loss"):
        train(config(optimized_metric="val_f1", trainer=trainer, callbacks=record), tmp_path)
    assert result(tmp_path)["status"] == "failed"
    assert (tmp_path / "batches.0").read_text().count("train") == 12


@pytest.mark.parametrize(
    "trainer", [{"max_steps": 5}, {"limit_val_batches": 0}, {"check_val_every_n_epoch": 3}], ids=str
)
def test_F44_a_run_without_an_evaluation_is_completed(train, result, tmp_path, trainer):
    options = {**config()["trainer"], "num_sanity_val_steps": 1, **trainer}
    callbacks = {"best": checkpoints(tmp_path)}
    if "limit_val_batches" not in trainer:
        callbacks["stop"] = {"_target_": "ffcv_hydra.callbacks.EarlyStopping", "monitor": "val_loss"}
    train(config(optimized_metric="val_loss", trainer=options, callbacks=callbacks), tmp_path)
    assert result(tmp_path)["status"] == "completed"
    assert result(tmp_path)["optimized_metric"] is None
    assert "optimized_metric=val_loss has no value: the run ended without" in (tmp_path / "run.log").read_text()
    assert (tmp_path / "checkpoints/last.ckpt").exists()


def test_F44_early_stopping_by_a_metric_that_never_comes_is_one_line(train, tmp_path):
    stop = {"_target_": "ffcv_hydra.callbacks.EarlyStopping", "monitor": "val_los"}
    with pytest.raises(MisconfigurationException, match="Early stopping conditioned on metric `val_los` .*`val_loss`"):
        train(config(callbacks={"stop": stop}), tmp_path)


def test_a_run_folder_that_cannot_be_made_is_named(train, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="run's folder"):
        train(config(), tmp_path / "file" / "run")


def test_F43_that_models_look_at_labels_is_no_warning(train, tmp_path, recwarn):
    train(config(), tmp_path)
    assert not [warning for warning in recwarn if "on_before_batch_transfer" in str(warning.message)]


def test_a_moved_checkpoint_of_a_finished_run_is_tested_itself(train, result, tmp_path):
    options = {"callbacks": {"best": checkpoints(tmp_path / "1")}, "test_after_fit": True}
    before = train(config(**options), tmp_path / "1")
    (tmp_path / "1/checkpoints/last.ckpt").rename(tmp_path / "moved.ckpt")
    shutil.rmtree(tmp_path / "1")
    options["callbacks"] = {"best": checkpoints(tmp_path / "2")}
    after = train(config(ckpt_path=str(tmp_path / "moved.ckpt"), **options), tmp_path / "2")
    assert after["metrics"]["test_loss"] == pytest.approx(before["metrics"]["test_loss"], rel=0.5)
    assert "moved.ckpt left nothing to train: raise trainer.max_epochs" in (tmp_path / "2/run.log").read_text()
