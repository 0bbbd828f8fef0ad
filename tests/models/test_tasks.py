"""Targets of several classes at once, and values."""

import pytest
import torch
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

from ffcv_hydra.errors import ConfigError
from ffcv_hydra.models import Classifier
from tests.models.test_classifier import ADAMW, Identity, quiet_trainer

OUTPUTS = torch.tensor([[2.0, -1, 3], [-2, 2, 1], [0.5, 1, 2]])
SEVERAL = torch.tensor([[1, 0, 1], [1, 1, 0], [0, 0, 1]])


def measured(model, targets):
    outputs = OUTPUTS[:, : model.num_classes]
    loader = DataLoader(TensorDataset(outputs[:, None, None], targets), batch_size=2)
    return quiet_trainer(enable_checkpointing=False).test(model, loader, verbose=False)[0]


@pytest.mark.parametrize("dtype", [torch.int64, torch.float32, torch.uint8])
def test_a_sample_may_be_of_several_classes(dtype):
    f1 = {"f1": {"_target_": "torchmetrics.F1Score", "average": "none"}}
    weights = [2.0, 1.0, 0.5]
    model = Classifier(Identity(), 3, ADAMW, task="multilabel", metrics=f1, class_weights=weights)
    logged = measured(model, SEVERAL.to(dtype))
    expected = functional.binary_cross_entropy_with_logits(OUTPUTS, SEVERAL.float(), pos_weight=torch.tensor(weights))
    assert logged["test_loss"] == pytest.approx(float(expected), rel=1e-5)
    assert logged["test_accuracy"] == pytest.approx(5 / 9)
    assert [logged[f"test_f1/{number}"] for number in range(3)] == pytest.approx([1 / 2, 2 / 3, 4 / 5])
    model.check_batch((OUTPUTS[:, None, None], SEVERAL.to(dtype)))
    assert torch.equal(model.predict_step((OUTPUTS[:, None, None],), 0), OUTPUTS.sigmoid())
    smooth = Classifier(Identity(), 3, ADAMW, task="multilabel", label_smoothing=0.2)
    batch = (OUTPUTS[:, None, None], SEVERAL.to(dtype))
    expected = functional.binary_cross_entropy_with_logits(OUTPUTS, 0.8 * SEVERAL + 0.1)
    assert torch.isclose(smooth.training_step(batch, 0), expected)


@pytest.mark.parametrize("shape", [(3,), (3, 1)])
@pytest.mark.parametrize("dtype", [torch.float64, torch.int64])
def test_a_value_is_told(shape, dtype):
    r2 = {"r2": {"_target_": "torchmetrics.R2Score"}}
    model = Classifier(Identity(), 1, ADAMW, task="regression", metrics=r2)
    values = torch.tensor([1, -2, 4], dtype=dtype)
    logged = measured(model, values.view(shape))
    errors = OUTPUTS[:, 0] - values
    assert logged["test_loss"] == pytest.approx(float(errors.square().mean()), rel=1e-5)
    assert logged["test_mae"] == pytest.approx(float(errors.abs().mean()), rel=1e-5)
    assert logged["test_r2"] == pytest.approx(float(1 - errors.square().sum() / 18))
    model.check_batch((OUTPUTS[:, None, None, :1], values.view(shape)))
    assert torch.equal(model.predict_step((OUTPUTS[:, None, None, :1],), 0), OUTPUTS[:, 0])


def test_several_values_are_told_one_by_one():
    mae = {"mae_of_each": {"_target_": "torchmetrics.MeanAbsoluteError"}}
    loss = {"_target_": "torch.nn.L1Loss"}
    model = Classifier(Identity(), 3, ADAMW, task="regression", metrics=mae, loss=loss)
    logged = measured(model, OUTPUTS + torch.tensor([0.0, 1.0, 2.0]))
    assert [logged[f"test_mae_of_each/{number}"] for number in range(3)] == pytest.approx([0, 1, 2])
    assert logged["test_loss"] == pytest.approx(1) == logged["test_mae"]


@pytest.mark.parametrize(
    ("task", "targets", "message"),
    [
        ("multilabel", torch.tensor([0, 1, 2]), r"needs targets \(N, 3\) .*they are int64 \(3,\): store an array"),
        ("multilabel", 3 * SEVERAL, "a target of 3; targets have to be zeros and ones"),
        ("multilabel", SEVERAL - 0.5, "a target of -0.5;"),
        ("multilabel", SEVERAL / 0, "a target of nan;"),
        ("regression", torch.rand(3, 2), r"as many values .* model.num_classes=3; they are float32 \(3, 2\)"),
        ("regression", torch.rand(3), r"they are float32 \(3,\)"),
        ("regression", torch.tensor([[1, 2, float("inf")]] * 3), "a target is NaN or infinite"),
        ("regression", ["a", "b", "c"], "they are list"),
        ("multiclass", torch.rand(3), r"whole numbers, .* it is torch.float32 \(3,\)"),
        ("multiclass", SEVERAL.float(), "are shares, and have to sum to 1; model.task=multilabel is for several"),
        ("multiclass", torch.tensor([[-1.0, 1, 1]] * 3), "are shares, and have to sum to 1"),
        ("multiclass", torch.tensor([0, 1, 3]), "a label of 3 with model.num_classes=3"),
    ],
)
def test_targets_of_another_task_are_refused(task, targets, message):
    model = Classifier(Identity(), 3, ADAMW, task=task)
    with pytest.raises(ConfigError, match=message):
        model.check_batch((OUTPUTS[:, None, None], targets))


@pytest.mark.parametrize("task", ["multiclass", "multilabel"])
def test_one_class_is_refused(task):
    with pytest.raises(ConfigError, match="model.num_classes=1: a classifier has 2 classes at least; .*regression"):
        Classifier(Identity(), 1, ADAMW, task=task)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"task": "multilable"}, "model.task=multilable: did you mean 'multilabel'?"),
        ({"task": "regression", "label_smoothing": 0.1}, "label_smoothing=0.1 is for our own losses of classes"),
        ({"loss": {"_target_": "torch.nn.CrossEntropyLoss"}, "label_smoothing": 0.1}, "label_smoothing=0.1 is for"),
        ({"loss": {"_target_": "torch.nn.CrossEntropyLoss"}, "class_weights": [1, 1, 1]}, "give model.loss its w"),
        ({"loss": {"_target_": "torch.tensor", "data": 1}}, "model.loss: torch.tensor is no torch.nn.Module"),
    ],
)
def test_arguments_that_do_not_fit_together_are_refused(options, message):
    with pytest.raises(ConfigError, match=message):
        Classifier(Identity(), 3, ADAMW, **options)
