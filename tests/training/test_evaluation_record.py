"""`evaluation.json`: what a run read and what it found, as a report reads it."""

import json

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from PIL import Image
from standin_run import CLASSES, SAMPLES, LinearNet, config

from ffcv_hydra import FFCVDataModule, FFCVPipelineManager
from ffcv_hydra.beton import write_beton
from ffcv_hydra.beton.manifest import Manifest
from ffcv_hydra.models import Classifier
from ffcv_hydra.operations import ToTensor, ToTorchImage
from ffcv_hydra.report.evaluation import read_evaluation
from ffcv_hydra.training.evaluation_record import EvaluationRecord

pytestmark = pytest.mark.timeout(120)
NAMES = ["ant", "<b>bee", "cat", "dog"]


class Photos(torch.utils.data.Dataset):
    def __len__(self):
        return 24

    def __getitem__(self, index):
        pixels = np.full((4, 4, 3), 40, np.uint8)
        pixels[:, index % 4] = 255
        return Image.fromarray(pixels), index % 4 if index % 8 else 1

    def manifest(self):
        labels = [self[index][1] for index in range(24)]
        return Manifest([f"photos/{index}.png" for index in range(24)], classes=NAMES, labels=labels, kind="images")


class Shown:
    """What stands for W&B's logger of Lightning."""

    def __init__(self):
        self.images = {}

    def log_image(self, key, images, step=None, **options):
        self.images[key] = images[0].shape


class ShownLogger(Shown, pl.loggers.CSVLogger):
    def __init__(self, folder):
        Shown.__init__(self)
        pl.loggers.CSVLogger.__init__(self, folder)


class WithMore(Classifier):
    def evaluation_metrics(self, stage):
        return {"curve": torch.tensor([[0.5, float("nan")]]), "confusion_matrix": torch.eye(CLASSES, dtype=torch.int64),
                "confusion_shares": torch.eye(CLASSES)}  # fmt: skip


def trained(folder):
    path = folder / "photos.beton"
    write_beton(Photos(), path, {"image": {"write_mode": "raw"}, "label": None}, num_workers=0)
    pipelines = {"image": [ToTensor(), ToTorchImage()], "label": None}
    manager = FFCVPipelineManager(path, pipeline_transforms=pipelines)
    data = FFCVDataModule(batch_size=5, num_workers=1, train_manager=manager, val_manager=manager, test_manager=manager)
    model = WithMore(LinearNet(CLASSES), CLASSES, {"_target_": "torch.optim.SGD", "lr": 0.0})
    with torch.no_grad():
        model.backbone.linear.weight.copy_(10 * torch.eye(CLASSES))
        model.backbone.linear.bias.zero_()
    logger = ShownLogger(folder / "logs")
    board = pl.loggers.TensorBoardLogger(folder, name="tb", version="")
    trainer = pl.Trainer(
        max_epochs=1, accelerator="cpu", enable_progress_bar=False, enable_checkpointing=False, logger=[logger, board],
        enable_model_summary=False, callbacks=[EvaluationRecord(folder / "evaluation.json")], num_sanity_val_steps=1,
        log_every_n_steps=1,
    )  # fmt: skip
    trainer.fit(model, datamodule=data)
    trainer.test(model, datamodule=data, verbose=False)
    return folder, logger


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return trained(tmp_path_factory.mktemp("run"))


def test_it_says_what_was_read(run):
    folder, _ = run
    found = read_evaluation(folder)
    assert found["class_names"] == NAMES
    expected = {
        "samples": 24, "betons": [str(folder / "photos.beton")], "image": "image", "counts": [3, 9, 6, 6]
    }  # fmt: skip
    assert found["data"] == {"train": expected | {"samples": 24}, "val": expected, "test": expected}


def test_evaluations_have_their_confusions_and_mistakes_with_names(run):
    found = read_evaluation(run[0])["evaluations"]
    assert found["val"]["epoch"] == 1 and found["test"]["epoch"] is None
    for one in found.values():
        assert (one["counts"], one["correct"], one["confused"]) == ([3, 9, 6, 6], [3, 6, 6, 6], [(1, 0, 3)])
        assert {mistake["name"] for mistake in one["mistakes"]} == {f"photos/{n}.png" for n in (0, 8, 16)}
        assert {(mistake["label"], mistake["predicted"]) for mistake in one["mistakes"]} == {(1, 0)}


def test_metrics_of_all_dimensions_are_kept_and_the_matrix_is_there_once(run):
    assert read_evaluation(run[0])["evaluations"]["val"]["metrics"] == {
        "curve": [[0.5, None]], "confusion_shares": torch.eye(CLASSES).tolist()
    }  # fmt: skip


def test_loggers_that_show_pictures_get_them(run):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    folder, logger = run
    names = {f"{stage}/{name}" for stage in ("val", "test") for name in ("confusion", "worst_mistakes")}
    assert set(logger.images) == names
    assert all(shape[2] == 3 for shape in logger.images.values())
    events = EventAccumulator(str(folder / "tb"))
    events.Reload()
    assert set(events.Tags()["images"]) == names


def test_figures_that_fail_change_nothing(run, caplog, monkeypatch):
    from ffcv_hydra.training.logged_figures import log_figures

    folder, logger = run
    monkeypatch.setattr(logger, "log_image", lambda **options: 1 / 0, raising=False)
    log_figures([logger], read_evaluation(folder), "val", 0)
    assert "the figures of val could not be logged: ZeroDivisionError" in caplog.text


def test_any_loader_takes_part_and_the_last_evaluation_counts(train, tmp_path):
    train(config(), tmp_path)
    found = json.loads((tmp_path / "evaluation.json").read_text())
    assert found["data"] == {} and found["class_names"] is None
    assert sum(found["evaluations"]["val"]["counts"]) == SAMPLES and found["evaluations"]["val"]["epoch"] == 2
    assert (tmp_path / "report.html").read_text().count("<svg") >= 1


def test_what_cannot_be_written_is_told_once_and_changes_nothing(train, tmp_path, caplog):
    for name in ("evaluation.json", "report.html"):
        (tmp_path / name).mkdir()
    train(config(), tmp_path)
    assert caplog.text.count("evaluation.json cannot be written") == 1
    assert caplog.text.count("there is no report: ") == 1
    assert json.loads((tmp_path / "result.json").read_text())["status"] == "completed"
