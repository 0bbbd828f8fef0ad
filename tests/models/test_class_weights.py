"""Weights of classes, given or counted."""

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from ffcv_hydra.errors import ConfigError
from ffcv_hydra.models import Classifier
from ffcv_hydra.models.class_weights import balanced_weights
from ffcv_hydra.training.checkpoints import check_checkpoint
from tests.models.test_classifier import ADAMW, Identity, quiet_trainer


class Counted(pl.LightningDataModule):
    class_names = ("ant", "bee", "cat")

    def __init__(self, counts):
        super().__init__()
        self.counts = counts

    def class_counts(self, stage, num_classes):
        return None if self.counts is None else np.array(self.counts)

    def train_dataloader(self):
        labels = torch.arange(3).repeat_interleave(torch.tensor(self.counts))
        return DataLoader(TensorDataset(torch.rand(len(labels), 1, 2, 3), labels), batch_size=4)

    val_dataloader = train_dataloader


def test_balanced_weights_are_those_of_scikit_learn():
    from sklearn.utils.class_weight import compute_class_weight

    labels = np.repeat(np.arange(3), [6, 3, 1])
    expected = compute_class_weight("balanced", classes=np.arange(3), y=labels)
    assert balanced_weights(Counted([6, 3, 1]), 3) == pytest.approx(expected.tolist())


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (Counted([1, 0, 0]), r"class 1 \(bee\) has no training sample and 1 others have none; add some"),
        (Counted(None), "cannot be counted, .*; give a list of weights"),
        (None, "cannot be counted"),
    ],
)
def test_what_cannot_be_balanced_is_refused(data, message):
    with pytest.raises(ConfigError, match=f"model.class_weights=balanced: .*{message}"):
        balanced_weights(data, 3)


@pytest.mark.parametrize(
    ("weights", "task", "message"),
    [
        ("inverse", "multiclass", "class_weights=inverse: give a number for each class, or 'balanced'"),
        ("balanced", "multilabel", "is for numbers of classes; give multilabel a list"),
        ([1, 2, 3], "regression", "a regression has no classes"),
        ([1, 2], "multilabel", "has 2 weights for 3 classes"),
        ([1, -2, 1], "multiclass", "give numbers from 0 on"),
        ([1, "a", 1], "multiclass", "give numbers from 0 on"),
        ([0, 0, 0], "multiclass", "no class counts; give one of them more than 0"),
    ],
)
def test_weights_that_do_not_fit_are_refused(weights, task, message):
    with pytest.raises(ConfigError, match=message):
        Classifier(Identity(), 3, ADAMW, class_weights=weights, task=task)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_a_batch_without_weight_counts_nothing(smoothing):
    model = Classifier(nn.Flatten(), 3, ADAMW, class_weights=[0, 1, 2], label_smoothing=smoothing)
    images = torch.rand(4, 3, 1, 1, generator=torch.Generator().manual_seed(0)).requires_grad_()
    loss = model.training_step((images, torch.zeros(4, dtype=torch.long)), 0)
    loss.backward()
    assert loss == 0
    assert not images.grad.any()
    labels = torch.tensor([0, 1, 2, 0])
    expected = nn.functional.cross_entropy(images.flatten(1), labels, model.class_weights, label_smoothing=smoothing)
    torch.testing.assert_close(model.training_step((images, labels), 0), expected)
    for one in (labels, torch.zeros(4, dtype=torch.long)):
        model.validation_step((images, one), 0)
    evaluated = nn.functional.cross_entropy(images.flatten(1), labels, model.class_weights)
    torch.testing.assert_close(model.evaluations["val"].end()["loss"], evaluated.detach())


def test_what_was_counted_is_kept_for_evaluations(tmp_path):
    model = Classifier(Identity(), 3, ADAMW, class_weights="balanced")
    trainer = quiet_trainer(max_epochs=1, default_root_dir=tmp_path)
    trainer.fit(model, datamodule=Counted([6, 3, 1]))
    assert model.class_weights.tolist() == pytest.approx([10 / 18, 10 / 9, 10 / 3])
    path = trainer.checkpoint_callback.best_model_path
    loaded = Classifier.load_from_checkpoint(path, backbone=Identity(), weights_only=True)
    assert torch.equal(loaded.class_weights, model.class_weights)
    assert loaded.hparams.class_weights == "balanced"


def test_an_evaluation_takes_what_was_counted_where_the_option_is_not_repeated(tmp_path):
    counted = Classifier(Identity(), 3, ADAMW, class_weights="balanced")
    counted.class_weights.copy_(torch.tensor([1.0, 2.0, 3.0]))
    torch.save({"state_dict": counted.state_dict()}, tmp_path / "a.ckpt")
    model = Classifier(Identity(), 3, ADAMW)
    with pytest.raises(ConfigError, match="unexpected class_weights"):  # a fit that goes on would not count them
        check_checkpoint(tmp_path / "a.ckpt", model)
    check_checkpoint(tmp_path / "a.ckpt", model, is_resumed=False)
    model.load_state_dict(counted.state_dict())
    assert model.class_weights.tolist() == [1, 2, 3]
