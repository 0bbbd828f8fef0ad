"""The finder of key points: what it learns and measures, and what it refuses."""

import pytest
import torch
from torch import nn

from ffcv_hydra.errors import ConfigError
from ffcv_hydra.models import KeypointFinder, UNet
from ffcv_hydra.operations.padded import PaddedArray

ADAM = {"_target_": "torch.optim.Adam", "lr": 1e-2}


class Peaks(nn.Module):
    """A map with a peak at a pixel for each point, at half the resolution."""

    def __init__(self, pixels):
        super().__init__()
        self.pixels = pixels

    def forward(self, images):
        maps = torch.zeros(len(images), len(self.pixels), images.shape[2] // 2, images.shape[3] // 2)
        for point, (x, y) in enumerate(self.pixels):
            maps[:, point, y, x] = 50
        return maps


def batch_of(points, lengths=None):
    """Black images 16 x 24 with points (N, K, 3)."""
    points = torch.tensor(points, dtype=torch.float32)
    lengths = torch.ones(len(points), dtype=torch.int64) if lengths is None else torch.tensor(lengths)
    return torch.zeros(len(points), 3, 16, 24), PaddedArray(points[:, None], lengths)


def test_points_are_where_their_maps_peak():
    model = KeypointFinder(Peaks([(0, 0), (11, 5)]), 2, ADAM)
    assert model.predict_step(batch_of([[[0, 0, 2]] * 2]), 0).tolist() == [[[1, 1], [23, 11]]]


def test_only_points_that_are_labelled_count():
    model = KeypointFinder(Peaks([(0, 0), (11, 5)]), 2, ADAM, near=3.0)
    first = batch_of([[[1, 4, 2], [23, 6, 1]], [[0, 0, 0], [23, 11, 2]]])  # 3 and 5 pixels off, none, and exact
    second = batch_of([[[0, 0, 0]] * 2, [[0, 0, 0], [1, 1, 0]]], lengths=[0, 1])  # nothing to be counted
    for batch in (first, second):
        model.validation_step(batch, 0)
    values = model.evaluations["val"].end()
    assert values["distance"] == pytest.approx(8 / 3)
    assert values["pck"] == pytest.approx(2 / 3)
    assert values["loss"] == pytest.approx(8 / 3 / 24)


def test_the_loss_falls_on_bright_pixels():
    torch.manual_seed(0)
    places = torch.randint(2, 14, (16, 2))
    images = 0.1 * torch.rand(16, 3, 16, 16)
    images[torch.arange(16), :, places[:, 1], places[:, 0]] = 1
    points = torch.cat([places + 0.5, torch.full((16, 1), 2.0)], dim=1)[:, None, None]
    batch = images, PaddedArray(points, torch.ones(16, dtype=torch.int64))
    model = KeypointFinder(UNet(1, width=4, depth=1), 1, ADAM)
    model.log = lambda *arguments, **options: None
    optimizer = torch.optim.Adam(model.parameters(), 1e-2)
    losses = []
    for _ in range(40):
        optimizer.zero_grad()
        losses.append(model.training_step(batch, 0))
        losses[-1].backward()
        optimizer.step()
    assert losses[-1] < 0.2 * losses[0]


def test_an_unlabelled_training_batch_leaves_the_weights_alone():
    model = KeypointFinder(UNet(1, width=2, depth=1), 1, ADAM)
    model.log = lambda *arguments, **options: None
    model.training_step(batch_of([[[0, 0, 0]]]), 0).backward()
    assert all(not weight.grad.any() for weight in model.parameters())


def test_batches_of_another_kind_are_refused():
    model = KeypointFinder(UNet(2, width=2, depth=1), 2, ADAM)
    images, points = batch_of([[[0, 0, 2]] * 2])
    model.check_batch((images, points))
    for batch in ((images, points.data), batch_of([[[0, 0, 2]] * 3])):
        with pytest.raises(ConfigError, match=r"points \(N, 1, 2, 3\) with lengths: store them as KeypointsField"):
            model.check_batch(batch)
    with pytest.raises(ConfigError, match="the points of 2 objects"):
        model.check_batch((images, PaddedArray(points.data.repeat(1, 2, 1, 1), torch.tensor([2]))))
    with pytest.raises(ConfigError, match="model.backbone gives"):
        KeypointFinder(UNet(3, width=2, depth=1), 2, ADAM)(images)
