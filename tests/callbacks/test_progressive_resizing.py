"""Image sizes that grow over the epochs."""

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities.exceptions import MisconfigurationException

from ffcv_hydra import FFCVDataModule, FFCVPipelineManager
from ffcv_hydra.callbacks import ProgressiveResizing
from ffcv_hydra.operations import CenterCrop, DivideImage255, RandomResizedCrop, ToTensor, ToTorchImage

pytestmark = pytest.mark.timeout(120)


class Sizes(pl.LightningModule):
    """Takes note of the size of each image, and stops where it is told to."""

    def __init__(self, fail_at: int = -1) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.seen: list[tuple[int, int]] = []
        self.validated: set[int] = set()
        self.fail_at = fail_at

    def training_step(self, batch, batch_idx):
        if self.global_step == self.fail_at:
            raise KeyError("stopped")
        self.seen.append((self.current_epoch, batch[0].shape[-1]))
        return (batch[0].mean() * self.weight).sum()

    def validation_step(self, batch, batch_idx):
        self.validated.add(batch[0].shape[-1])

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


def data(beton):
    def manager(decoder):
        return FFCVPipelineManager(
            beton, {"image": [decoder, ToTensor(), ToTorchImage(), DivideImage255()], "array": "disabled"}
        )

    return FFCVDataModule(30, train_manager=manager(RandomResizedCrop(8)), val_manager=manager(CenterCrop(16)))


def fit(beton, tmp_path, model, ckpt_path=None, callback=None):
    saving = pl.callbacks.ModelCheckpoint(tmp_path, filename="{step}", every_n_train_steps=1, save_top_k=-1)
    trainer = pl.Trainer(
        max_epochs=5, accelerator="cpu", logger=False, enable_progress_bar=False, enable_model_summary=False,
        callbacks=[callback or ProgressiveResizing(8, 16, 1, 3, multiple_of=4), saving],
    )  # fmt: skip
    trainer.fit(model, data(beton), ckpt_path=ckpt_path)


def test_sizes_are_rounded_and_stay_within_their_bounds():
    callback = ProgressiveResizing(160, 200, 2, 6, multiple_of=32)
    assert [callback.size(epoch) for epoch in range(9)] == [160, 160, 160, 160, 192, 192, 200, 200, 200]
    shrinking = ProgressiveResizing(64, 32, 0, 2, multiple_of=16)
    assert [shrinking.size(epoch) for epoch in range(4)] == [64, 48, 32, 32]


def test_training_images_grow_from_the_first_batch_on_and_validation_keeps_its_size(beton, tmp_path):
    model = Sizes()
    fit(beton, tmp_path, model)
    assert model.seen == [(epoch, size) for epoch, size in enumerate((8, 8, 12, 16, 16)) for _ in range(3)]
    assert model.validated == {16}


def test_a_run_that_is_resumed_in_the_middle_of_an_epoch_has_the_sizes_of_one_that_was_not(beton, tmp_path):
    stopped = Sizes(fail_at=7)
    with pytest.raises(KeyError):
        fit(beton, tmp_path, stopped)
    resumed = Sizes()
    fit(beton, tmp_path, resumed, ckpt_path=tmp_path / "step=7.ckpt")
    assert stopped.seen + resumed.seen == [
        (epoch, size) for epoch, size in enumerate((8, 8, 12, 16, 16)) for _ in range(3)
    ]


def test_what_cannot_be_is_refused(beton, tmp_path):
    with pytest.raises(MisconfigurationException, match="start_epoch comes before end_epoch; got sizes 160 to 224"):
        ProgressiveResizing(160, 224, 5, 5)
    with pytest.raises(MisconfigurationException, match="the trainer reads from list"):
        pl.Trainer(
            max_epochs=1, accelerator="cpu", logger=False, enable_progress_bar=False, enable_model_summary=False,
            enable_checkpointing=False, callbacks=[ProgressiveResizing(8, 16, 0, 1)],
        ).fit(Sizes(), [(torch.zeros(2, 3, 8, 8), torch.zeros(2))])  # fmt: skip
