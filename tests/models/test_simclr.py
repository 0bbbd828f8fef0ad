"""SimCLR: its loss, how its features are measured, and that it learns."""

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from sklearn.neighbors import KNeighborsClassifier
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset
from torchvision.models import resnet18

from ffcv_hydra.errors import ConfigError
from ffcv_hydra.models import SimCLR, SmallConvNet
from ffcv_hydra.models.nearest_neighbours import NearestNeighbourAccuracy
from ffcv_hydra.models.nt_xent import nt_xent

ADAM = {"_target_": "torch.optim.Adam", "lr": 3e-3}


def quiet_trainer(**options):
    return pl.Trainer(accelerator="cpu", logger=False, enable_progress_bar=False, enable_model_summary=False, **options)


def test_nt_xent_is_that_of_the_paper():
    first, second = torch.randn(2, 5, 7, generator=torch.Generator().manual_seed(0)).unbind()
    vectors = [*first, *second]
    losses = []
    for i, vector in enumerate(vectors):  # equation 1
        exponentials = [(functional.cosine_similarity(vector, other, dim=0) / 0.5).exp() for other in vectors]
        losses.append(-(exponentials[(i + 5) % 10] / (sum(exponentials) - exponentials[i])).log())
    assert nt_xent(first, second, 0.5) == pytest.approx(float(sum(losses) / 10), rel=1e-5)


def test_nt_xent_is_lowest_for_equal_views_of_different_images():
    vectors = torch.eye(6)
    assert nt_xent(vectors, vectors, 0.1) < nt_xent(vectors, vectors.roll(1, 0), 0.1) - 5


def votes(distances):
    return np.exp((1 - distances) / 0.07)


def test_neighbours_vote_without_the_sample_itself():
    random = np.random.default_rng(0)
    labels = random.integers(0, 3, 60)
    features = (random.standard_normal((60, 5)) + labels[:, None]).astype(np.float32)
    metric = NearestNeighbourAccuracy(3, neighbours=4)
    for part in np.array_split(np.arange(60), 7):
        metric.update(torch.from_numpy(features[part]), torch.from_numpy(labels[part]))
    hits = []
    for index in range(60):
        others = np.delete(np.arange(60), index)
        knn = KNeighborsClassifier(4, weights=votes, metric="cosine").fit(features[others], labels[others])
        hits.append(knn.predict(features[index : index + 1])[0] == labels[index])
    assert metric.compute() == pytest.approx(np.mean(hits))
    assert 0.3 < metric.compute() < 1


def test_F40_neighbours_are_looked_for_in_blocks(monkeypatch):
    random = torch.Generator().manual_seed(0)
    features, labels = torch.randn(100, 4, generator=random), torch.randint(0, 3, (100,), generator=random)
    metric = NearestNeighbourAccuracy(3)
    metric.update(features, labels)
    whole = metric.compute()
    largest = []
    topk = torch.Tensor.topk
    monkeypatch.setattr(torch.Tensor, "topk", lambda tensor, *args, **options: (
        largest.append(tensor.numel()) or topk(tensor, *args, **options)
    ))  # fmt: skip
    for similarities in (1, 700, 100 * 99):
        monkeypatch.setattr("ffcv_hydra.models.nearest_neighbours.SIMILARITIES", similarities)
        metric._computed = None
        assert metric.compute() == whole
        assert max(largest) <= max(similarities, 100)
    assert len(largest) == 100 + 15 + 2


def test_fewer_samples_than_neighbours_are_enough():
    metric = NearestNeighbourAccuracy(2, neighbours=10)
    metric.update(torch.eye(4)[[0, 0, 1, 1]], torch.tensor([0, 0, 1, 1]))
    assert metric.compute() == 1
    metric.reset()
    metric.update(torch.ones(1, 3), torch.tensor([0]))
    assert metric.compute() == 0


@pytest.mark.parametrize(("network", "size"), [(SmallConvNet(3, width=4), 16), (resnet18(num_classes=3), 512)])
def test_features_are_what_goes_into_the_last_layer(network, size):
    model = SimCLR(network, 10, ADAM).eval()
    assert model(torch.rand(2, 3, 32, 32)).shape == (2, size)
    assert model.projection[0].in_features == size


def test_a_backbone_without_a_linear_layer_is_refused():
    with pytest.raises(ConfigError, match=r"model\.backbone: Conv2d"):
        SimCLR(torch.nn.Conv2d(3, 3, 1), 10, ADAM)


@pytest.mark.parametrize("batch", [(torch.rand(2, 3, 8, 8), torch.zeros(2)), ([torch.rand(2, 3, 8, 8)],)])
def test_a_batch_without_two_views_is_refused(batch):
    with pytest.raises(ConfigError, match="two views"):
        SimCLR(SmallConvNet(3, width=4), 10, ADAM).training_step(batch, 0)


def test_labels_in_a_training_batch_are_ignored():
    model = SimCLR(SmallConvNet(3, width=4, dropout=0.0), 10, ADAM)
    views = [torch.rand(4, 3, 8, 8), torch.rand(4, 3, 8, 8)]
    losses = [model.training_step(batch, 0) for batch in ((views,), (torch.zeros(4, 1), views), (views, torch.ones(4)))]
    assert losses[0] == losses[1] == losses[2]


class TwoViews(torch.utils.data.Dataset):
    """Stripes of eight widths, each view shifted and noisy."""

    def __len__(self):
        return 128

    def view(self, index, seed):
        random = torch.Generator().manual_seed(seed)
        shift = torch.rand((), generator=random) * 6.28
        wave = torch.sin(torch.arange(16) * (0.3 + 0.3 * (index % 8)) + shift)
        return (0.5 + 0.4 * wave + 0.1 * torch.randn(3, 16, 16, generator=random)).clamp(0, 1)

    def __getitem__(self, index):
        return [self.view(index, index), self.view(index, 1000 + index)], index % 8


@pytest.mark.timeout(120)
def test_features_become_better_than_those_of_an_untrained_network(tmp_path):
    pl.seed_everything(0)
    data = TwoViews()
    images = torch.stack([data.view(index, 5000 + index) for index in range(128)])
    evaluation = DataLoader(TensorDataset(images, torch.arange(128).view(-1, 1) % 8), batch_size=50)
    model = SimCLR(SmallConvNet(8, width=8, dropout=0.0), 8, ADAM)
    trainer = quiet_trainer(max_epochs=8, default_root_dir=tmp_path)
    before = trainer.validate(model, evaluation, verbose=False)[0]["val_knn_accuracy"]
    trainer.fit(model, DataLoader(data, batch_size=32, shuffle=True, drop_last=True))
    after = trainer.test(model, evaluation, verbose=False)[0]["test_knn_accuracy"]
    assert after > before + 0.1
    checkpoint = torch.load(trainer.checkpoint_callback.best_model_path, weights_only=True)
    assert checkpoint["hyper_parameters"]["optimizer"] == ADAM
    assert trainer.predict(model, evaluation)[0].shape == (50, 32)
