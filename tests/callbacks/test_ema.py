"""The moving average of the weights."""

import pytest
import pytorch_lightning as pl
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from ffcv_hydra.callbacks import EMA, ModelCheckpoint
from ffcv_hydra.errors import ConfigError

BATCHES, EPOCHS = 4, 3  # that an interrupted run resumes exactly is in tests/training/test_interruption.py


class Net(pl.LightningModule):
    """Notes the weight that each evaluation uses."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.BatchNorm1d(2), nn.Linear(2, 1))
        nn.init.ones_(self.layers[1].weight)
        nn.init.zeros_(self.layers[1].bias)
        self.evaluated, self.trained = {}, []

    @property
    def weight(self):
        return self.layers[1].weight.detach().clone()

    def training_step(self, batch, batch_idx):
        return self.layers(batch[0]).square().mean()

    def on_train_batch_end(self, *arguments):
        self.trained.append(self.weight)

    def validation_step(self, batch, batch_idx):
        self.evaluated[self.trainer.state.fn, self.current_epoch] = self.weight
        self.log("val_loss", self.layers(batch[0]).square().mean())

    test_step = validation_step

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), 0.1, momentum=0.9)


def loader():
    images = torch.randn(4 * BATCHES, 2, generator=torch.Generator().manual_seed(0))
    return DataLoader(TensorDataset(images), batch_size=4)


def run(tmp_path, model, *callbacks, ckpt_path=None, epochs=EPOCHS):
    trainer = pl.Trainer(
        accelerator="cpu", logger=False, enable_progress_bar=False, enable_model_summary=False, max_epochs=epochs,
        callbacks=list(callbacks), default_root_dir=tmp_path, num_sanity_val_steps=0,
    )  # fmt: skip
    trainer.fit(model, loader(), loader(), ckpt_path=ckpt_path)
    return trainer


def checkpoint(tmp_path, **options):
    kept = {"dirpath": tmp_path, "monitor": "val_loss", "save_last": True, **options}
    return ModelCheckpoint(filename="best", enable_version_counter=False, **kept)


@pytest.fixture(scope="module")
def fitted(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ema")
    model = Net()
    ema, kept = EMA(decay=0.5), checkpoint(folder)
    trainer = run(folder, model, ema, kept)
    return folder, model, trainer


def average(weights, decay=0.5):
    """The average after each step."""
    averages = [weights[0]]
    for count, weight in enumerate(weights[1:], start=1):
        share = 1 - min(decay, (1 + count) / (10 + count))
        averages.append(averages[-1] + share * (weight - averages[-1]))
    return averages


def test_evaluations_use_the_average_and_the_training_goes_on_with_its_own_weights(fitted):
    _, model, _ = fitted
    averages = average(model.trained)
    for epoch in range(EPOCHS):
        used = model.evaluated["fit", epoch]
        assert torch.allclose(used, averages[(epoch + 1) * BATCHES - 1], atol=1e-6)
        assert not torch.allclose(used, model.trained[(epoch + 1) * BATCHES - 1], atol=1e-4)


def test_checkpoints_have_the_average_as_their_weights(fitted):
    folder, model, _ = fitted
    last = torch.load(folder / "last.ckpt", weights_only=True)
    assert torch.allclose(last["state_dict"]["layers.1.weight"], average(model.trained)[-1], atol=1e-6)
    assert torch.equal(last["current_model_state"]["layers.1.weight"], model.trained[-1])
    assert last["state_dict"]["layers.0.num_batches_tracked"] == EPOCHS * BATCHES


def test_a_test_after_the_fit_uses_the_average_of_its_checkpoint(fitted):
    folder, model, trainer = fitted
    trainer.test(model, loader(), ckpt_path=folder / "best.ckpt", verbose=False, weights_only=True)
    best = torch.load(folder / "best.ckpt", weights_only=True)
    assert torch.equal(model.evaluated["test", trainer.current_epoch], best["state_dict"]["layers.1.weight"])


def test_a_longer_run_goes_on_from_the_end_of_one(fitted, tmp_path):
    run(tmp_path, Net(), EMA(decay=0.5), checkpoint(tmp_path, monitor=None, every_n_epochs=9), epochs=2)
    resumed = Net()
    run(tmp_path, resumed, EMA(decay=0.5), ckpt_path=tmp_path / "last.ckpt")
    assert torch.equal(resumed.trained[-1], fitted[1].trained[-1])


@pytest.mark.parametrize("options", [{"decay": 1.0}, {"decay": 0.0}, {"every_n_steps": 0}])
def test_impossible_options_are_refused(options):
    with pytest.raises(ConfigError, match="decay is above 0 and below 1, every_n_steps at least 1"):
        EMA(**options)
