"""The segmenter: its loss, its mean IoU, and the network in it."""

import pytest
import pytorch_lightning as pl
import torch
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

from ffcv_hydra.errors import ConfigError
from ffcv_hydra.models import Segmenter, UNet

ADAM = {"_target_": "torch.optim.Adam", "lr": 1e-2}


class Identity(torch.nn.Module):
    """Takes channels for logits."""

    def __init__(self):
        super().__init__()
        self.scale = torch.nn.Parameter(torch.ones(()))

    def forward(self, images):
        return self.scale * images


def quiet_trainer(**options):
    return pl.Trainer(accelerator="cpu", logger=False, enable_progress_bar=False, enable_model_summary=False, **options)


def evaluated(predicted, masks, batch_size=2, num_classes=3):
    """Metrics of images whose channels are logits for the classes in `predicted` (N, H, W)."""
    images = 4.0 * functional.one_hot(predicted, num_classes).permute(0, 3, 1, 2)
    loader = DataLoader(TensorDataset(images, masks), batch_size=batch_size)
    trainer = quiet_trainer(enable_checkpointing=False)
    return trainer.test(Segmenter(Identity(), num_classes, ADAM), loader, verbose=False)[0], images


def test_mean_iou_is_over_all_pixels_of_all_batches():
    predicted = torch.tensor([[[0, 0], [1, 1]], [[2, 0], [1, 1]], [[0, 1], [2, 2]]])
    masks = torch.tensor([[[0, 1], [1, 1]], [[2, 2], [1, 1]], [[0, 1], [2, 2]]])
    metrics, _ = evaluated(predicted, masks)
    expected = [((predicted == c) & (masks == c)).sum() / ((predicted == c) | (masks == c)).sum() for c in range(3)]
    assert metrics["test_miou"] == pytest.approx(float(sum(expected) / 3))


def test_loss_is_the_mean_over_images_whatever_the_batches():
    masks = torch.randint(0, 3, (5, 4, 4), generator=torch.Generator().manual_seed(0))
    metrics, images = evaluated(masks.roll(1, 0), masks)
    assert metrics["test_loss"] == pytest.approx(float(functional.cross_entropy(images, masks)), rel=1e-5)


def test_void_pixels_are_neither_learnt_nor_counted():
    predicted = torch.tensor([[[0, 1], [1, 1]]])
    masks = torch.tensor([[[0, 255], [1, 1]]])
    metrics, images = evaluated(predicted, masks)
    assert metrics["test_miou"] == pytest.approx(1.0)
    model = Segmenter(Identity(), 3, ADAM)
    assert model.training_step((images, masks), 0).item() == pytest.approx(metrics["test_loss"], rel=1e-5)


def test_F16_the_loss_is_the_mean_over_the_pixels_that_count():
    random = torch.Generator().manual_seed(0)
    masks = torch.randint(0, 3, (6, 4, 4), generator=random)
    masks[0:2] = 255  # a batch without a pixel that counts
    masks[2, :3] = 255
    metrics, images = evaluated(torch.randint(0, 3, (6, 4, 4), generator=random), masks)
    expected = functional.cross_entropy(images, masks, ignore_index=255)
    assert metrics["test_loss"] == pytest.approx(float(expected), rel=1e-5)
    assert 0 < metrics["test_miou"] < 1


def test_F16_a_training_batch_of_void_leaves_the_weights_alone():
    model = Segmenter(Identity(), 3, ADAM)
    model.training_step((torch.rand(2, 3, 4, 4), torch.full((2, 4, 4), 255)), 0).backward()
    assert model.backbone.scale.grad == 0


@pytest.mark.parametrize("shape", [(2, 8, 8), (2, 8, 8, 1), (2, 1, 8, 8)])
@pytest.mark.parametrize("dtype", [torch.uint8, torch.int64])
def test_masks_may_have_an_axis_of_one_channel(shape, dtype):
    model = Segmenter(UNet(3, width=2, depth=2), 3, ADAM)
    batch = (torch.randint(0, 256, (2, 3, 8, 8), dtype=torch.uint8), torch.ones(shape, dtype=dtype))
    assert model.training_step(batch, 0).isfinite()
    assert model.predict_step(batch, 0).shape == (2, 8, 8)


def test_masks_of_another_size_are_refused():
    model = Segmenter(UNet(3, width=2, depth=1), 3, ADAM)
    with pytest.raises(ConfigError, match="give both one size"):
        model.training_step((torch.rand(2, 3, 8, 8), torch.zeros(2, 4, 4)), 0)


@pytest.mark.parametrize("depth", [0, 1, 3])
def test_unet_keeps_the_resolution(depth):
    images = torch.rand(2, 1, 16, 24)
    assert UNet(5, in_channels=1, width=4, depth=depth)(images).shape == (2, 5, 16, 24)


def test_unet_sees_far_and_near():
    torch.manual_seed(0)
    network = UNet(1, width=16, depth=3).eval()
    images = torch.rand(1, 3, 64, 64, requires_grad=True)
    network(images)[0, 0, 32, 32].backward()
    rows = images.grad.abs().sum(dim=(0, 1, 3)).nonzero()
    assert int(rows.max() - rows.min()) > 40
    assert images.grad[0, :, 32, 32].abs().sum() > 0


@pytest.mark.timeout(120)
def test_learns_bright_squares_and_leaves_a_plain_checkpoint(tmp_path):
    pl.seed_everything(0)
    masks = torch.zeros(24, 16, 16, dtype=torch.int64)
    for index, (top, left) in enumerate(torch.randint(0, 10, (24, 2)).tolist()):
        masks[index, top : top + 6, left : left + 6] = 1 + index % 2
    images = 0.3 * torch.rand(24, 3, 16, 16)
    images[:, 0] += masks == 1
    images[:, 1] += masks == 2
    loader = DataLoader(TensorDataset(images, masks), batch_size=4, shuffle=True)
    model = Segmenter(UNet(3, width=4, depth=2), 3, ADAM)
    trainer = quiet_trainer(max_epochs=12, default_root_dir=tmp_path)
    trainer.fit(model, loader)
    metrics = trainer.validate(model, DataLoader(TensorDataset(images, masks), batch_size=16), verbose=False)[0]
    assert metrics["val_miou"] > 0.9
    checkpoint = torch.load(trainer.checkpoint_callback.best_model_path, weights_only=True)
    assert checkpoint["hyper_parameters"]["optimizer"] == ADAM
