"""Labels and masks that a model cannot take are named, on the CPU, in every batch."""

import pytest
import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader, TensorDataset

from ffcv_hydra.errors import ConfigError
from ffcv_hydra.models import Classifier, Segmenter, SimCLR, SmallConvNet, UNet

SGD = {"_target_": "torch.optim.SGD", "lr": 0.1}
IMAGES = torch.rand(6, 3, 16, 16)


def classifier(num_classes=3, of_backbone=3):
    return Classifier(SmallConvNet(of_backbone, width=2), num_classes, SGD)


def trained(model, *outputs, stage="fit"):
    trainer = pl.Trainer(
        accelerator="cpu", max_epochs=1, logger=False, enable_progress_bar=False, enable_model_summary=False,
        enable_checkpointing=False, num_sanity_val_steps=0,
    )  # fmt: skip
    getattr(trainer, stage)(model, DataLoader(TensorDataset(*outputs), batch_size=2))


@pytest.mark.parametrize(("label", "named"), [(3, 3), (-1, -1), (-100, -100)])
@pytest.mark.parametrize("stage", ["fit", "validate"])
def test_F43_a_label_out_of_range_is_named_in_whichever_batch(label, named, stage):
    labels = torch.tensor([[0], [1], [2], [0], [label], [1]])
    with pytest.raises(ConfigError, match=rf"a label of {named} with model.num_classes=3: labels .*\[0, 2\]"):
        trained(classifier(), IMAGES, labels, stage=stage)
    if stage == "validate":
        with pytest.raises(ConfigError, match=f"a label of {named}"):
            trained(SimCLR(SmallConvNet(3, width=2), 3, SGD), IMAGES, labels, stage=stage)


def test_F43_what_a_prediction_has_for_labels_is_not_looked_at():
    trained(classifier(), IMAGES, torch.full((6, 1), -1), stage="predict")


def test_F43_masks_out_of_range_are_named_and_void_is_not():
    masks = torch.full((6, 16, 16), 255, dtype=torch.uint8)
    masks[4, 0, 0] = 2
    trained(Segmenter(UNet(3, width=2, depth=1), 3, SGD), IMAGES, masks)
    masks[4, 0, 0] = 3
    with pytest.raises(ConfigError, match="a label of 3 with model.num_classes=3"):
        trained(Segmenter(UNet(3, width=2, depth=1), 3, SGD), IMAGES, masks)


@pytest.mark.parametrize(
    ("labels", "named"),
    [
        (torch.zeros(6, 2, 3), r"float32 \(6, 2, 3\)"),
        (torch.zeros(6, 2), r"float32 \(6, 2\)"),
        (torch.zeros(6, 1), r"float32 \(6, 1\)"),
        (torch.zeros(6, 3, dtype=torch.int64), r"int64 \(6, 3\)"),
        ([torch.zeros(6)] * 2, "list"),
    ],
    ids=str,
)
def test_F43_what_is_no_label_is_named(labels, named):
    with pytest.raises(ConfigError, match=rf"labels: whole numbers, \(N,\) or \(N, 1\); it is .*{named}"):
        classifier().training_step((IMAGES, labels), 0)
    with pytest.raises(ConfigError, match="second output .* it is NoneType"):
        classifier().training_step((IMAGES,), 0)


def test_F43_a_backbone_of_other_classes_is_named():
    with pytest.raises(ConfigError, match=r"model.backbone gives \(6, 5\) .* has to be \(6, 3\)"):
        classifier(of_backbone=5).training_step((IMAGES, torch.zeros(6, dtype=torch.int64)), 0)


def test_F43_masks_of_fractions_are_refused():
    with pytest.raises(ConfigError, match=r"masks \(N, H, W\) of whole numbers, not .*float32 \(6, 16, 16\)"):
        Segmenter(UNet(3, width=2, depth=1), 3, SGD).training_step((IMAGES, torch.zeros(6, 16, 16)), 0)
