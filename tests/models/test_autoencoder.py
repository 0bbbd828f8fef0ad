"""The autoencoder."""

import pytest
import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader, TensorDataset

from ffcv_hydra.models import AutoEncoder


def quiet_trainer(**options):
    return pl.Trainer(accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
                      enable_model_summary=False, **options)  # fmt: skip


def test_has_the_layers_it_is_known_for():
    sizes = [tuple(parameter.shape) for parameter in AutoEncoder().parameters() if parameter.ndim == 2]
    assert sizes == [(64, 3072), (3, 64), (64, 3), (3072, 64)]


def test_uint8_images_are_scaled():
    model = AutoEncoder([3, 4, 4])
    images = torch.randint(0, 256, (5, 3, 4, 4), dtype=torch.uint8)
    assert torch.equal(model(images), model(images.float() / 255))


def test_learns_and_logs():
    torch.manual_seed(0)
    images = torch.rand(32, 1, 1, 1).expand(-1, 3, 4, 4).contiguous()
    loader = DataLoader(TensorDataset(images, torch.zeros(32, 1)), batch_size=8)
    model, trainer = AutoEncoder([3, 4, 4]), quiet_trainer(max_epochs=60)
    trainer.fit(model, loader, loader)
    assert {"train_loss", "val_loss"} <= set(trainer.callback_metrics)
    assert trainer.callback_metrics["val_loss"] < images.var() / 5


def test_evaluation_loss_weighs_samples_not_batches():
    images = torch.rand(5, 1, 2, 2)
    model = AutoEncoder([1, 2, 2]).eval()
    loader = DataLoader(TensorDataset(images), batch_size=4)
    logged = quiet_trainer().test(model, loader, verbose=False)[0]["test_loss"]
    with torch.no_grad():
        flat = images.flatten(1)
        expected = torch.nn.functional.mse_loss(model.decoder(model.encoder(flat)), flat)
    assert logged == pytest.approx(float(expected), rel=1e-5)


def test_predicts_codes():
    predictions = quiet_trainer().predict(
        AutoEncoder([1, 2, 2], code_size=2), DataLoader(TensorDataset(torch.rand(5, 1, 2, 2)), batch_size=4)
    )
    assert [tuple(codes.shape) for codes in predictions] == [(4, 2), (1, 2)]
