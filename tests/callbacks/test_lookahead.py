import pytest
import pytorch_lightning as pl
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from ffcv_hydra.callbacks import Lookahead


class Descent(pl.LightningModule):
    """Its weight falls by one with each step."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(()))
        self.before = []

    def training_step(self, batch):
        self.before.append(self.weight.item())
        return self.weight

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), 1.0)


def fit(callback, epochs=2, **options):
    module = Descent()
    trainer = pl.Trainer(
        max_epochs=epochs, accelerator="cpu", logger=False, enable_checkpointing=False, callbacks=[callback],
        enable_progress_bar=False, enable_model_summary=False, **options,
    )  # fmt: skip
    trainer.fit(module, DataLoader(TensorDataset(torch.zeros(4, 1)), batch_size=1))
    return module


def test_weights_go_on_from_their_average_which_ends_each_epoch():
    module = fit(Lookahead(start_epoch=0, every_n_steps=2, decay=0.5**0.5, power=0.0))
    # at -2 the average begins; at -4 it is in the middle, -3, from where two steps lead to -5, and so on
    assert module.before == [0, -1, -2, -3, -3, -4, -4, -5]
    assert module.weight.item() == -5


def test_it_begins_with_an_epoch_and_keeps_more_later():
    module = fit(Lookahead(start_epoch=1, every_n_steps=1, decay=0.5, power=1.0))
    assert module.before[:6] == [0, -1, -2, -3, -4, -5]
    keep = 0.5 * 6 / 8
    assert module.before[6] == pytest.approx(-5 * keep - 6 * (1 - keep))


def test_its_average_is_saved():
    first, second = Lookahead(start_epoch=0, every_n_steps=1), Lookahead()
    fit(first)
    second.load_state_dict(first.state_dict())
    assert second.state_dict() == first.state_dict() and second.state_dict()["averages"]
