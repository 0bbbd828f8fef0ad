"""Several loaders at once under Lightning, stopped in the middle of an epoch and gone on with."""

import pytest
import pytorch_lightning as pl
from pytorch_lightning.utilities import CombinedLoader

from ffcv_hydra import FFCVDataModule, FFCVPipelineManager, Loader
from ffcv_hydra.loader.sampler import Sampler
from ffcv_hydra.ordering import Random
from tests.records import Records, SaveAt

pytestmark = pytest.mark.timeout(240)
PIPELINES = {"image": "disabled", "array": "disabled"}


def loaders(beton, form: str, mode: str):
    """A long loader (11 batches) and short ones (3 and 2 batches)."""
    long, short, shorter = (
        Loader(beton, 8, pipelines=PIPELINES, ordering=Random(), seed=seed, drop_last=True, indices=range(count))
        for seed, count in enumerate((90, 24, 16))
    )
    if form == "plain":
        return {"a": long, "b": short}
    return CombinedLoader({"a": [short, long], "b": {"c": shorter}}, mode)


class Several(FFCVDataModule):
    """A user's module, which gives more than one loader."""

    def __init__(self, beton, mode: str) -> None:
        super().__init__(8, train_manager=FFCVPipelineManager(beton, PIPELINES, ordering=Random()), seed=1)
        self.beton, self.mode = beton, mode

    def train_dataloader(self):
        return CombinedLoader(
            [loaders(self.beton, "nested", self.mode).iterables, super().train_dataloader()], self.mode
        )


def run(tmp_path, data, callbacks=(), **options) -> Records:
    model = Records()
    trainer = pl.Trainer(
        default_root_dir=tmp_path, max_epochs=3, accelerator="cpu", logger=False, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False, callbacks=list(callbacks),
    )  # fmt: skip
    trainer.fit(model, data, **options)
    return model


@pytest.mark.parametrize(
    ("form", "mode"),
    [
        ("plain", "max_size_cycle"),
        ("nested", "max_size_cycle"),
        ("nested", "min_size"),
        ("nested", "max_size"),
        ("module", "max_size_cycle"),
    ],
)
def test_F18_several_loaders_go_on_where_each_was(beton, tmp_path, form, mode):
    def data():
        return Several(beton, mode) if form == "module" else loaders(beton, form, mode)

    whole = run(tmp_path, data()).trained
    per_epoch = len(whole) // 3
    assert per_epoch == (2 if mode == "min_size" else 11)
    for stop in {1, min(3, per_epoch), per_epoch, per_epoch + min(5, per_epoch - 1), 2 * per_epoch}:
        checkpoint = tmp_path / f"{stop}.ckpt"
        run(tmp_path, data(), [SaveAt(checkpoint, stop)])
        resumed = run(tmp_path, data(), ckpt_path=checkpoint)
        assert resumed.trained == whole[stop:], f"stopped at {stop}"


def test_F18_a_loader_that_is_ahead_of_its_trainer_goes_on_there_and_nowhere_else(beton):
    def ahead() -> Loader:
        loader = Loader(beton, 30, pipelines=PIPELINES, ordering=Random())
        loader.sampler.set_epoch(4)
        list(loader), list(loader)  # epochs 4 and 5
        next(iter(loader))
        return loader

    loader = ahead()
    state = loader.state_dict()
    assert (state["epoch"], state["batches"], state["epoch_set"]) == (6, 1, 4)
    straight = Loader(beton, 30, pipelines=PIPELINES, ordering=Random())
    for epoch_set, epoch, batches in ((4, 6, 2), (5, 5, 3), (6, 6, 2)):
        loader.load_state_dict(state)
        loader.sampler.set_epoch(epoch_set)
        straight.sampler.set_epoch(epoch)
        expected = [labels[:, 0].tolist() for (labels,) in straight][3 - batches :]
        assert [labels[:, 0].tolist() for (labels,) in loader] == expected
    loader.sampler.set_epoch(4)
    assert loader.sampler.epoch == 4  # the state has been used


def test_F18_states_of_before_are_gone_on_with(beton):
    loader = Loader(beton, 30, pipelines=PIPELINES, ordering=Random())
    state = {**loader.state_dict(), "epoch": 2, "batches": 1}
    del state["epoch_set"]
    loader.load_state_dict(state)
    loader.sampler.set_epoch(2)
    assert len(list(loader)) == 2


def test_a_sampler_says_the_epoch_that_was_set():
    sampler = Sampler()
    sampler.set_epoch(3)
    assert sampler.begin() == (3, 3)
