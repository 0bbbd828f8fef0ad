"""The estimate of how long a training will still take."""

from types import SimpleNamespace

import pytest

from ffcv_hydra.callbacks.time_left import TimeLeft


def trainer(epoch=0, batch=0, max_epochs=10, max_steps=-1, step=0, batches=4.0):
    fit_loop = SimpleNamespace(
        epoch_loop=SimpleNamespace(batch_progress=SimpleNamespace(current=SimpleNamespace(ready=batch)))
    )
    return SimpleNamespace(
        state=SimpleNamespace(fn="fit"), fit_loop=fit_loop, current_epoch=epoch, max_epochs=max_epochs,
        max_steps=max_steps, global_step=step, num_training_batches=batches,
        validate_loop=None, test_loop=None, predict_loop=None,
    )  # fmt: skip


@pytest.fixture
def at(monkeypatch):
    def set_clock(seconds):
        monkeypatch.setattr("ffcv_hydra.callbacks.time_left.time.monotonic", lambda: seconds)

    monkeypatch.setattr(
        "ffcv_hydra.callbacks.time_left.begun_batches",
        lambda trainer, stage: trainer.fit_loop.epoch_loop.batch_progress.current.ready,
    )
    return set_clock


@pytest.mark.parametrize(
    ("first", "now", "left"),
    [
        ({}, {"epoch": 1}, 900.0),
        ({}, {"epoch": 0, "batch": 2}, 1900.0),  # half an epoch of ten
        ({"epoch": 5}, {"epoch": 6}, 400.0),  # resumed
        ({"max_steps": 40}, {"max_steps": 40, "step": 10}, 300.0),  # its end by steps comes before that by epochs
        ({"max_epochs": -1}, {"max_epochs": -1, "epoch": 3}, None),
        ({"batches": float("inf")}, {"batches": float("inf"), "epoch": 3}, None),
        ({}, {}, None),
    ],
)
def test_the_rest_takes_as_long_as_what_was_done(at, first, now, left):
    time_left = TimeLeft()
    assert time_left.seconds(trainer(**first)) is None
    at(1000.0)
    time_left.begin_batch(trainer(**first))
    at(1050.0)
    time_left.begin_batch(trainer(**first))
    at(1100.0)
    found = time_left.seconds(trainer(**now))
    assert found == (None if left is None else pytest.approx(left))
