"""The picture of a detector's boxes: made of the last evaluation's first samples, and shown in the report."""

from types import SimpleNamespace

import pytest
import torch
from PIL import Image

from ffcv_hydra.report.report import boxes_file
from ffcv_hydra.training import box_samples
from ffcv_hydra.training.box_samples import BoxSamples

TRUTH = {"boxes": torch.tensor([[1.0, 2, 9, 12]]), "labels": torch.tensor([1])}
FOUND = {
    "boxes": torch.tensor([[1.0, 2, 9, 11], [0, 0, 4, 4]]), "labels": torch.tensor([1, 0]),
    "scores": torch.tensor([0.91, 0.1]),
}  # fmt: skip
OUTPUTS = {"found": [FOUND] * 8, "truth": [TRUTH] * 8}
IMAGES = torch.rand(8, 3, 16, 20) * 4 - 2  # as normalised ones
MODULE = SimpleNamespace(class_names=("cat", "dog"))


def trainer(fn: str = "fit", **more):
    return SimpleNamespace(**{"is_global_zero": True, "sanity_checking": False, "state": SimpleNamespace(fn=fn)} | more)


def test_the_first_samples_are_drawn_when_the_training_ends(tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr(box_samples, "draw", lambda columns, *_: drawn.append(columns))
    callback = BoxSamples(tmp_path)
    for _ in range(2):
        callback.on_validation_batch_end(trainer(), MODULE, OUTPUTS, (IMAGES,), 0)
        callback.on_validation_batch_end(trainer(), MODULE, {"found": [], "truth": []}, (IMAGES,), 1)
        callback.on_validation_end(trainer(), MODULE)
    assert drawn == []
    callback.on_train_end(trainer(), MODULE)
    [[true, found]] = drawn
    assert len(true.pictures) == len(found.marks) == 6
    assert 0 <= true.pictures[0].min() < 0.1 and 0.9 < true.pictures[0].max() <= 1
    assert [(mark.text, mark.xy[2].tolist()) for mark in true.marks[0]] == [("dog", [9, 12])]
    assert [(mark.text, mark.colour, mark.xy[2].tolist()) for mark in found.marks[0]] == [("dog 0.91", 1, [9, 11])]


@pytest.mark.parametrize("stage", ["val", "test"])
def test_evaluations_alone_leave_a_picture(tmp_path, stage):
    callback, here = BoxSamples(tmp_path), trainer("validate" if stage == "val" else "test")
    name = {"val": "validation", "test": "test"}[stage]
    getattr(callback, f"on_{name}_batch_end")(here, MODULE, OUTPUTS, (IMAGES,), 0)
    getattr(callback, f"on_{name}_end")(here, MODULE)
    with Image.open(boxes_file(tmp_path, stage)) as picture:
        assert picture.width > 300


@pytest.mark.parametrize(
    ("here", "outputs"),
    [(trainer(sanity_checking=True), OUTPUTS), (trainer(is_global_zero=False), OUTPUTS), (trainer(), None),
     (trainer(), {"logits": IMAGES})],
)  # fmt: skip
def test_what_is_no_evaluation_of_boxes_leaves_none(tmp_path, here, outputs):
    callback = BoxSamples(tmp_path)
    callback.on_validation_batch_end(here, MODULE, outputs, (IMAGES,), 0)
    callback.on_train_end(here, MODULE)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("batch", [([*IMAGES],), {"image": IMAGES}, IMAGES])
def test_batches_of_other_kinds_leave_none(tmp_path, batch):
    callback = BoxSamples(tmp_path)
    callback.on_validation_batch_end(trainer(), MODULE, OUTPUTS, batch, 0)
    callback.on_train_end(trainer(), MODULE)
    assert not list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_written_ends_no_training(tmp_path, caplog):
    callback = BoxSamples(tmp_path / "gone")
    callback.on_validation_batch_end(trainer(), MODULE, OUTPUTS, (IMAGES,), 0)
    callback.on_train_end(trainer(), MODULE)
    assert "boxes_val.png cannot be written" in caplog.text
