"""Training the head first."""

import pytest
import pytorch_lightning as pl
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from ffcv_hydra.callbacks import Finetuning
from ffcv_hydra.errors import ConfigError
from ffcv_hydra.models import Classifier, EvaluationViews, SmallConvNet

OPTIMIZER = {"_target_": "torch.optim.AdamW", "lr": 0.01, "weight_decay": 0.1}
SCHEDULER = {
    "_target_": "torch.optim.lr_scheduler.CosineAnnealingLR",
    "T_max": "total",
    "interval": "step",
    "warmup": 2,
}
EPOCHS = 3


class Watched(pl.Callback):
    """The backbone's first weights, its statistics, and the head's weights at the end of each epoch."""

    def __init__(self):
        self.seen = []

    def on_train_epoch_end(self, trainer, pl_module):
        features, head = pl_module.backbone.features[0], pl_module.backbone.head[1]
        values = features[0].weight, features[1].running_mean, head.weight
        self.seen.append([value.detach().clone() for value in values])


def model():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Classifier(SmallConvNet(3, width=4, dropout=0.0), 3, OPTIMIZER, SCHEDULER)


def run(tmp_path, *callbacks, ckpt_path=None, epochs=EPOCHS, **options):
    fitted, watched = model(), Watched()
    trainer = pl.Trainer(
        accelerator="cpu", logger=False, enable_progress_bar=False, enable_model_summary=False, max_epochs=epochs,
        callbacks=[*callbacks, watched], default_root_dir=tmp_path, num_sanity_val_steps=1, **options,
    )  # fmt: skip
    images = torch.rand(12, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    data = DataLoader(TensorDataset(images, torch.arange(12) % 3), batch_size=4)
    trainer.fit(fitted, data, data, ckpt_path=ckpt_path)
    trainer.save_checkpoint(tmp_path / f"{epochs}.ckpt")
    return watched.seen, fitted


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return run(tmp_path_factory.mktemp("finetuning"), Finetuning(unfreeze_at_epoch=2))


def test_only_the_head_is_trained_until_the_epoch(whole):
    seen, fitted = whole
    before = model().backbone
    weight, mean, head = before.features[0][0].weight, before.features[0][1].running_mean, before.head[1].weight
    for epoch in range(2):
        assert torch.equal(seen[epoch][0], weight)
        assert torch.equal(seen[epoch][1], mean)
        assert not torch.equal(seen[epoch][2], head)
    assert not torch.equal(seen[2][0], weight)
    assert not torch.equal(seen[2][1], mean)
    assert fitted.backbone.training


def test_a_resumed_run_ends_as_if_never_interrupted(whole, tmp_path):
    run(tmp_path, Finetuning(unfreeze_at_epoch=2), epochs=1)  # its three steps have the same rates
    resumed, _ = run(tmp_path, Finetuning(unfreeze_at_epoch=2), ckpt_path=tmp_path / "1.ckpt")
    for seen, expected in zip(resumed, whole[0][1:], strict=True):
        assert all(torch.equal(one, other) for one, other in zip(seen, expected, strict=True))


def test_what_is_kept_can_be_named_and_nothing_need_be_unfrozen(tmp_path):
    seen, fitted = run(tmp_path, Finetuning(None, "backbone.features", keep=["0"]), epochs=1)
    assert fitted.backbone.head[1].weight.requires_grad
    assert not fitted.backbone.features[2][0].weight.requires_grad
    assert not torch.equal(seen[0][0], model().backbone.features[0][0].weight)


class Modes(pl.Callback):
    """In each step, which of the backbone's modules are in training, and which parameters are trained."""

    def __init__(self):
        self.seen = []

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        backbone = pl_module.backbone
        modules = {name for name, module in backbone.named_modules() if module.training}
        self.seen.append((modules, {name for name, value in backbone.named_parameters() if value.requires_grad}))


def test_a_wrapper_is_looked_through_and_stays_in_training(tmp_path):
    network = nn.Sequential(
        nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3)
    )
    network[0][1].weight.requires_grad = False  # as the recipe has it
    fitted, modes = Classifier(nn.Sequential(EvaluationViews(network)), 3, OPTIMIZER, SCHEDULER), Modes()
    callbacks = [Finetuning(unfreeze_at_epoch=1), modes]
    trainer = pl.Trainer(
        accelerator="cpu", logger=False, enable_progress_bar=False, enable_model_summary=False, max_epochs=2,
        callbacks=callbacks, default_root_dir=tmp_path, enable_checkpointing=False,
    )  # fmt: skip
    data = DataLoader(TensorDataset(torch.rand(6, 3, 8, 8), torch.arange(6) % 3), batch_size=3)
    trainer.fit(fitted, data, data)
    inner = "0.backbone"
    for modules, trained in modes.seen[:2]:
        assert modules == {"", "0", f"{inner}.3"}
        assert trained == {f"{inner}.3.weight", f"{inner}.3.bias"}
    for modules, trained in modes.seen[2:]:
        assert modules == {name for name, _ in fitted.backbone.named_modules()}
        assert trained == {name for name, _ in fitted.backbone.named_parameters()} - {f"{inner}.0.1.weight"}


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        ({"network": "body"}, "network=body: Classifier has no such part"),
        ({"keep": ["haed"]}, "keep=haed: SmallConvNet has no such part; did you mean 'head'"),
        ({"network": "backbone.head.1"}, "network=backbone.head.1: it has no parts"),
        ({"keep": ["features", "head"]}, "network=backbone: features, head is all of it that is trained"),
    ],
)
def test_parts_that_are_not_there_are_refused(tmp_path, options, fault):
    with pytest.raises(ConfigError, match=fault):
        run(tmp_path, Finetuning(**options))
