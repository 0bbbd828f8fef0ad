"""What evaluations measure, by any metrics of torchmetrics."""

from types import SimpleNamespace

import pytest
import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader, TensorDataset

from ffcv_hydra.errors import ConfigError
from ffcv_hydra.models import Classifier, Segmenter
from tests.models.test_classifier import ADAMW, Identity, quiet_trainer
from tests.models.test_segmenter import Identity as PixelIdentity

METRICS = "torchmetrics.classification"
ACCURACY, F1 = f"{METRICS}.MulticlassAccuracy", f"{METRICS}.MulticlassF1Score"
ALL = {
    "accuracy_of_each": {"_target_": ACCURACY, "average": None},
    "top2": {"_target_": ACCURACY, "average": "micro", "top_k": 2},
    "f1": {"_target_": "torchmetrics.F1Score", "average": "macro"},
    "auroc": {"_target_": f"{METRICS}.MulticlassAUROC"},
    "confusion": {"_target_": f"{METRICS}.MulticlassConfusionMatrix"},
}
LOGITS = torch.tensor([[2.0, 1, 0], [0, 2, 1], [0, 1, 2], [2, 1, 0], [1, 2, 0]])
LABELS = torch.tensor([0, 1, 2, 1, 2])  # the first three are right, the fourth is in the top 2, the last is not


class Named(pl.LightningDataModule):
    class_names = ("ant", "bee\x1b[2J", "cat")

    def val_dataloader(self):
        return DataLoader(TensorDataset(LOGITS[:, None, None], LABELS), batch_size=3)  # what is right comes first


def measured(data=None, metrics=ALL, **options):
    model = Classifier(Identity(), 3, ADAMW, metrics=metrics, **options)
    trainer = quiet_trainer(enable_checkpointing=False)
    data = data or Named()
    return model, trainer.validate(model, datamodule=data, verbose=False)[0]


def test_metrics_are_logged_once_for_all_samples_and_by_class():
    model, logged = measured()
    assert logged["val_accuracy"] == pytest.approx(3 / 5)
    assert logged["val_top2"] == pytest.approx(4 / 5)  # though it agreed with the top 1 at first
    assert logged["val_f1"] == pytest.approx((2 / 3 + 1 / 2 + 2 / 3) / 3)
    assert [logged[f"val_accuracy_of_each/{name}"] for name in ("ant", r"bee\x1b[2J", "cat")] == [1, 0.5, 0.5]
    assert 0.5 < logged["val_auroc"] < 1
    assert not any("confusion" in name for name in logged)
    values = model.evaluation_metrics("val")
    assert values["confusion"].tolist() == [[1, 0, 0], [1, 1, 0], [0, 1, 1]]
    assert list(values) == ["loss", "accuracy", *ALL]
    assert model.evaluation_metrics("test") == {}


def test_the_next_evaluation_begins_anew():
    model, first = measured()
    assert quiet_trainer(enable_checkpointing=False).validate(model, datamodule=Named(), verbose=False)[0] == first


@pytest.mark.parametrize("names", [None, ("a", "b"), ("a", "a", "b")])
def test_classes_without_names_of_their_own_have_numbers(names):
    data = Named()
    data.class_names = names
    _, logged = measured(data)
    assert [name for name in logged if "/" in name] == [f"val_accuracy_of_each/{number}" for number in range(3)]


def test_a_step_of_an_evaluation_gives_logits_and_labels():
    model = Classifier(Identity(), 3, ADAMW)
    found = model.test_step((LOGITS[:, None, None], LABELS.view(-1, 1)), 0)
    assert torch.equal(found["logits"], LOGITS) and not found["logits"].requires_grad
    assert torch.equal(found["labels"], LABELS)


@pytest.mark.parametrize(
    ("metrics", "message"),
    [
        ({"_target_": F1}, "model.metrics: give each metric a name"),
        ({"f1": {"average": None}}, "model.metrics.f1: no _target_"),
        ({"f1": {"_target_": f"{METRICS}.NoSuch"}}, "f1._target_='torchmetrics.classification.NoSuch': no"),
        ({"f1": {"_target_": F1, "num_classes": 5}}, "f1.num_classes=5, and of the model it"),
        ({"f1": {"_target_": F1, "average": "x"}}, "f1: MulticlassF1Score refuses its arg"),
        ({"top5": {"_target_": ACCURACY, "top_k": 5}}, "top5: MulticlassAccuracy refuses its arg"),
        ({"layer": {"_target_": "torch.nn.Identity"}}, "layer: torch.nn.Identity is no torchmetrics.Metric"),
        ({"top-2": {"_target_": F1}}, "model.metrics.top-2: use letters, digits"),
        ({"loss": {"_target_": "torchmetrics.MeanMetric"}}, "another one than loss"),
    ],
)
def test_metrics_that_cannot_be_are_refused(metrics, message):
    with pytest.raises(ConfigError, match=message):
        Classifier(Identity(), 3, ADAMW, metrics=metrics)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"metrics": {"mse": {"_target_": "torchmetrics.MeanSquaredError"}}}, "mse: MeanSquaredError does not take"),
        ({"metrics": {"roc": {"_target_": f"{METRICS}.MulticlassROC"}}}, "roc: MulticlassROC gives a tuple"),
        ({"loss": {"_target_": "torch.nn.MSELoss"}}, r"MSELoss does not take outputs float32 \(5, 3\) with"),
        ({"loss": {"_target_": "torch.nn.CrossEntropyLoss", "reduction": "none"}}, r"loss: .* gives float32 \(5,\)"),
    ],
)
def test_what_does_not_take_the_data_is_found_on_a_batch(options, message):
    model = Classifier(Identity(), 3, ADAMW, **options)
    with pytest.raises(ConfigError, match=f"model.*{message}"):
        model.check_batch((LOGITS[:, None, None], LABELS))


def test_a_check_leaves_no_trace():
    model = Classifier(Identity(), 3, ADAMW, metrics=ALL)
    model.check_batch((LOGITS[:, None, None], LABELS))
    assert model.evaluations["val"].end() == {}


def test_a_segmenter_measures_pixels():
    iou = {"_target_": f"{METRICS}.MulticlassJaccardIndex", "average": None}
    model = Segmenter(PixelIdentity(), 3, ADAMW, metrics={"iou": iou}, class_weights=[1.0, 2.0, 0.5])
    images, masks = LOGITS.view(5, 3, 1, 1), torch.where(LABELS == 0, 255, LABELS).view(5, 1, 1)
    model.check_batch((images, masks))
    loader = DataLoader(TensorDataset(images, masks), batch_size=2)
    logged = quiet_trainer(enable_checkpointing=False).test(model, loader, verbose=False)[0]
    assert [logged[f"test_iou/{number}"] for number in range(3)] == [0, pytest.approx(1 / 3), 0.5]
    weights = torch.tensor([1.0, 2.0, 0.5])
    expected = torch.nn.functional.cross_entropy(images, masks, weights, ignore_index=255)
    assert logged["test_loss"] == pytest.approx(float(expected), rel=1e-5)
    own = Segmenter(PixelIdentity(), 3, ADAMW, loss={"_target_": "torch.nn.CrossEntropyLoss", "ignore_index": 255})
    plain = Segmenter(PixelIdentity(), 3, ADAMW)
    assert torch.isclose(*(one.training_step((images, masks), 0) for one in (own, plain)))
    void = DataLoader(TensorDataset(images, torch.where(torch.arange(5) < 2, 255, LABELS).view(5, 1, 1)), batch_size=2)
    logged = quiet_trainer(enable_checkpointing=False).validate(own, void, verbose=False)[0]
    known = torch.nn.functional.cross_entropy(images[2:, :, 0, 0], LABELS[2:])
    assert logged["val_loss"] == pytest.approx(float(known))
    with pytest.raises(ConfigError, match="balanced would have to count pixels"):
        Segmenter(PixelIdentity(), 3, ADAMW, class_weights="balanced")
    with pytest.raises(ConfigError, match="a label of 7 with model.num_classes=3"):
        model.check_batch((images, masks * 0 + 7))


def _evaluate_on_ranks(rank, folder):
    torch.set_num_threads(1)  # a fork has none of its parent's
    torch.distributed.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2)
    model = Classifier(Identity(), 3, ADAMW, metrics=ALL)
    model.trainer = SimpleNamespace(predicting=False)
    mine = slice(0, 3) if rank == 0 else slice(3, 5)  # unlike numbers of samples
    model.validation_step((LOGITS[mine][:, None, None], LABELS[mine]), 0)
    torch.save(model.evaluations["val"].end(), f"{folder}/{rank}.pt")
    torch.distributed.destroy_process_group()


@pytest.mark.timeout(120)
def test_ranks_have_the_values_of_all_samples(tmp_path):
    torch.multiprocessing.start_processes(_evaluate_on_ranks, (str(tmp_path),), nprocs=2, start_method="fork")
    model, _ = measured()
    expected = model.evaluation_metrics("val")
    for rank in range(2):
        found = torch.load(tmp_path / f"{rank}.pt", weights_only=True)
        assert list(found) == list(expected)
        assert all(torch.allclose(found[name], expected[name]) for name in expected)
