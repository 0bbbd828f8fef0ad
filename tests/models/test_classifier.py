"""The classifier, its accuracy and its checkpoints."""

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

from ffcv_hydra.errors import ConfigError
from ffcv_hydra.models import Classifier, SmallConvNet

ADAMW = {"_target_": "torch.optim.AdamW", "lr": 1e-2}


class Identity(torch.nn.Module):
    """Takes the first row of the first channel for logits."""

    def __init__(self):
        super().__init__()
        self.scale = torch.nn.Parameter(torch.ones(()))

    def forward(self, images):
        return self.scale * images[:, 0, 0]


def quiet_trainer(**options):
    return pl.Trainer(accelerator="cpu", logger=False, enable_progress_bar=False, enable_model_summary=False, **options)


def logits_loader(classes, batch_size=4, num_classes=3):
    """Images whose first row is a logit vector with the given class in front."""
    images = torch.zeros(len(classes), 1, 2, num_classes)
    images[torch.arange(len(classes)), 0, 0, torch.tensor(classes)] = 5.0
    labels = torch.tensor([0] * len(classes)).view(-1, 1)
    return DataLoader(TensorDataset(images, labels), batch_size=batch_size)


def test_accuracy_counts_every_sample_once():
    trainer = quiet_trainer(enable_checkpointing=False)
    metrics = trainer.test(Classifier(Identity(), 3, ADAMW), logits_loader([0, 0, 1, 2, 0]), verbose=False)[0]
    assert metrics["test_accuracy"] == pytest.approx(3 / 5)


def test_evaluation_loss_weighs_samples_not_batches():
    trainer = quiet_trainer(enable_checkpointing=False)
    loader = logits_loader([0, 0, 1, 2, 0])
    logged = trainer.validate(Classifier(Identity(), 3, ADAMW), loader, verbose=False)[0]["val_loss"]
    images, labels = loader.dataset.tensors
    expected = functional.cross_entropy(images[:, 0, 0], labels.flatten())
    assert logged == pytest.approx(float(expected), rel=1e-5)


def test_F54_class_weights_weigh_the_loss_and_not_the_accuracy():
    weights = [1.0, 3.0, 0.5]
    model = Classifier(Identity(), 3, ADAMW, class_weights=weights)
    images, labels = torch.rand(5, 1, 2, 3), torch.tensor([0, 2, 1, 1, 0])
    expected = functional.cross_entropy(images[:, 0, 0], labels, torch.tensor(weights))
    assert torch.isclose(model.training_step((images, labels), 0), expected)
    loader = DataLoader(TensorDataset(images, labels), batch_size=2)
    logged = quiet_trainer(enable_checkpointing=False).validate(model, loader, verbose=False)[0]
    assert logged["val_loss"] == pytest.approx(float(expected), rel=1e-5)
    assert logged["val_accuracy"] == pytest.approx(float((images[:, 0, 0].argmax(1) == labels).float().mean()))
    with pytest.raises(ConfigError, match="class_weights has 2 weights for 3 classes"):
        Classifier(Identity(), 3, ADAMW, class_weights=[1, 2])


def test_targets_may_be_shares_of_classes():
    model = Classifier(Identity(), 3, ADAMW)
    images, labels = torch.rand(4, 1, 2, 3), torch.tensor([0, 2, 1, 1])
    hard = model.training_step((images, labels), 0)
    assert torch.isclose(model.training_step((images, functional.one_hot(labels, 3).float()), 0), hard)
    mixed = torch.full((4, 3), 1 / 3)
    expected = -functional.log_softmax(images[:, 0, 0], 1).mean()
    assert torch.isclose(model.training_step((images, mixed), 0), expected)


@pytest.mark.parametrize("shape", [(4,), (4, 1)])
def test_labels_may_have_one_or_two_axes(shape):
    model = Classifier(Identity(), 3, ADAMW)
    loss = model.training_step((torch.rand(4, 1, 2, 3), torch.zeros(shape, dtype=torch.int64)), 0)
    assert loss.isfinite()


def test_label_smoothing_is_for_training_only():
    batch = next(iter(logits_loader([0, 0, 0])))
    plain, smooth = (Classifier(Identity(), 3, ADAMW, label_smoothing=value) for value in (0.0, 0.2))
    assert smooth.training_step(batch, 0) > plain.training_step(batch, 0) + 0.1
    losses = [quiet_trainer(enable_checkpointing=False).validate(model, logits_loader([0, 0, 0]), verbose=False)
              for model in (plain, smooth)]  # fmt: skip
    assert losses[0] == losses[1]


def test_uint8_images_are_scaled_and_normalised_per_channel():
    images = torch.randint(0, 256, (2, 3, 4, 4), dtype=torch.uint8)
    mean, std = [0.5, 0.4, 0.3], [0.1, 0.2, 0.3]
    backbone = SmallConvNet(3, width=4).eval()
    got = Classifier(backbone, 3, ADAMW, mean=mean, std=std)(images)
    scaled = (images / 255 - torch.tensor(mean).view(3, 1, 1)) / torch.tensor(std).view(3, 1, 1)
    assert torch.allclose(got, backbone(scaled), atol=1e-6)


def test_mean_without_std_is_refused():
    with pytest.raises(ConfigError, match=r"model\.mean"):
        Classifier(Identity(), 3, ADAMW, mean=[0.5])


def test_images_without_a_channel_axis_are_refused():
    with pytest.raises(ConfigError, match="ToTorchImage"):
        Classifier(Identity(), 3, ADAMW)(torch.rand(2, 4, 4))


def test_predicts_probabilities():
    trainer = quiet_trainer(enable_checkpointing=False)
    predictions = trainer.predict(Classifier(Identity(), 3, ADAMW), logits_loader([1]))
    assert predictions[0].sum() == pytest.approx(1.0)
    assert predictions[0].argmax() == 1


@pytest.mark.parametrize(
    "scheduler",
    [
        {"_target_": "torch.optim.lr_scheduler.OneCycleLR", "max_lr": 0.1, "total_steps": "total", "interval": "step"},
        {"_target_": "torch.optim.lr_scheduler.CosineAnnealingLR", "T_max": "total", "interval": "step", "warmup": 1},
    ],
)
def test_checkpoints_hold_plain_containers_only(tmp_path, scheduler):
    model = Classifier(Identity(), 3, ADAMW, scheduler, mean=[0.5], std=[0.5])
    loader = logits_loader([0, 1, 2, 0, 1, 2])
    trainer = quiet_trainer(max_epochs=2, default_root_dir=tmp_path)
    trainer.fit(model, loader, loader)
    path = trainer.checkpoint_callback.best_model_path
    checkpoint = torch.load(path, weights_only=True)
    assert checkpoint["hyper_parameters"]["optimizer"] == ADAMW
    again = quiet_trainer(max_epochs=3, default_root_dir=tmp_path)
    if scheduler["_target_"].endswith("CosineAnnealingLR"):  # a one-cycle schedule cannot be longer than planned
        again.fit(model, loader, ckpt_path=path, weights_only=True)
        assert again.global_step == 6
    loaded = Classifier.load_from_checkpoint(path, backbone=Identity(), weights_only=True)
    assert loaded.hparams.num_classes == 3


@pytest.mark.timeout(300)
def test_learns_handwritten_digits():
    pl.seed_everything(0)
    digits = load_digits()
    images = torch.from_numpy(digits.images.astype(np.float32) / 16)[:, None].expand(-1, 3, -1, -1)
    images = functional.interpolate(images, scale_factor=2, mode="bilinear")
    train, test = train_test_split(np.arange(len(images)), test_size=0.2, stratify=digits.target, random_state=0)
    labels = torch.from_numpy(digits.target)
    model = Classifier(
        SmallConvNet(10, width=16), 10, ADAMW,
        {"_target_": "torch.optim.lr_scheduler.OneCycleLR", "max_lr": 1e-2, "total_steps": "total", "interval": "step"},
        label_smoothing=0.1,
    )  # fmt: skip
    trainer = quiet_trainer(max_epochs=8, enable_checkpointing=False)
    trainer.fit(model, DataLoader(TensorDataset(images[train], labels[train]), batch_size=64, shuffle=True))
    loader = DataLoader(TensorDataset(images[test], labels[test]), batch_size=128)
    assert trainer.test(model, loader, verbose=False)[0]["test_accuracy"] >= 0.985
