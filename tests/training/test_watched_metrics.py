"""What a config watches is logged, or told before the training."""

import pytest
from standin_run import config

from ffcv_hydra.errors import ConfigError

pytestmark = pytest.mark.timeout(120)


def checkpoint(run_dir, **options):
    place = str(run_dir / "checkpoints")
    return {"_target_": "ffcv_hydra.callbacks.ModelCheckpoint", "dirpath": place, "monitor": "val_loss", **options}


def sanity(**trainer):
    return {**config()["trainer"], "num_sanity_val_steps": 1, **trainer}


def test_a_watched_metric_that_the_validation_does_not_log_is_told_before_the_training(train, tmp_path):
    stop = {"_target_": "ffcv_hydra.callbacks.EarlyStopping", "monitor": "val_los"}
    record = {"_target_": "standin_run.Record", "path": str(tmp_path / "batches")}
    callbacks = {"best": checkpoint(tmp_path, monitor="val_f1"), "stop": stop, "record": record}
    with pytest.raises(ConfigError) as found:
        train(config(optimized_metric="val_f1", callbacks=callbacks, trainer=sanity()), tmp_path)
    assert str(found.value).startswith(
        "optimized_metric=val_f1, callbacks.best.monitor=val_f1, callbacks.stop.monitor=val_los: Classifier does not "
        "log it, its first validation batch logged val_accuracy, val_loss; "
    )
    assert "train" not in (tmp_path / "batches.0").read_text()


def test_a_metric_of_the_training_may_be_watched(train, tmp_path):
    callbacks = {"best": checkpoint(tmp_path, monitor="train_loss", save_on_train_epoch_end=True)}
    written = train(config(optimized_metric="train_loss", callbacks=callbacks, trainer=sanity()), tmp_path)
    assert written["best_checkpoint"]


def test_a_checkpoints_metric_that_never_comes_is_named_after_an_epoch(train, tmp_path):
    with pytest.raises(ConfigError, match="monitor=f1 .* was not logged; the run logged .*val_loss"):
        train(config(callbacks={"best": checkpoint(tmp_path, monitor="f1")}), tmp_path)
