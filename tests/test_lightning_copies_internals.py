"""Lightning's two packages, and loaders that a trainer of either is given without a data module."""

import logging
import subprocess
import sys
import warnings
from importlib.util import find_spec
from types import ModuleType

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities import CombinedLoader
from torch.utils.data import DataLoader

from ffcv_hydra import FFCVDataModule, FFCVPipelineManager, Loader, callbacks
from ffcv_hydra.cores import usable_cores
from ffcv_hydra.errors import LoaderError
from ffcv_hydra.lightning_copies_internals import OfEveryLightning, in_every
from ffcv_hydra.looks import is_only_looked_at
from ffcv_hydra.operations import CenterCrop, ToTensor
from ffcv_hydra.ordering import Random
from tests import processes
from tests.records import Records, SaveAt

pytestmark = pytest.mark.timeout(240)
PIPELINES = {"image": "disabled", "array": "disabled"}


# -- both packages


class Cooperative:
    def __init__(self) -> None:
        super().__init__()
        self.is_initialised = True


@pytest.fixture
def standin(monkeypatch) -> type:
    """What `lightning.pytorch` would have for `pytorch_lightning`'s data module, as if it had been loaded just now."""
    module = ModuleType("lightning.pytorch.core.datamodule")

    class LightningDataModule:
        __module__ = module.__name__

        def __init__(self, *args) -> None:
            raise AssertionError("the other package's class is no more than a name")

    module.LightningDataModule = LightningDataModule  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, module.__name__, module)
    return LightningDataModule


@pytest.mark.parametrize("made", ["of a class of before", "of a subclass", "of one with both"])
def test_an_object_is_of_the_classes_of_both_packages(monkeypatch, standin, made):
    other = sys.modules.pop(standin.__module__)

    class Data(pl.LightningDataModule, OfEveryLightning):
        pass

    assert isinstance(Data(), pl.LightningDataModule) and not isinstance(Data(), standin)
    sys.modules[standin.__module__] = other
    Of = Data
    if made != "of a class of before":

        class Of(Data, *([standin] if made == "of one with both" else []), Cooperative):  # type: ignore[no-redef]
            pass

        assert issubclass(Of, standin)  # before there is an object, as LightningCLI asks
        assert Of().is_initialised
    data = Of()
    assert isinstance(data, standin) and isinstance(data, pl.LightningDataModule)
    assert data.prepare_data_per_node and data.trainer is None
    assert in_every(pl.LightningDataModule) == (pl.LightningDataModule, standin)


def test_the_data_module_and_all_callbacks_are_of_both_packages():
    public = [kind for kind in vars(callbacks).values() if isinstance(kind, type) and issubclass(kind, pl.Callback)]
    assert len(public) > 10
    assert [kind for kind in [FFCVDataModule, *public] if not issubclass(kind, OfEveryLightning)] == []
    assert in_every(pl.LightningDataModule)[0] is pl.LightningDataModule and in_every(int) == (int,)


WITH_LIGHTNING = """
import sys
from ffcv_hydra import FFCVDataModule, FFCVPipelineManager
assert "lightning" not in sys.modules
import lightning.pytorch as pl
from lightning.pytorch.demos.boring_classes import BoringModel
from ffcv_hydra.callbacks import EMA, EarlyStopping, ModelCheckpoint, ParameterSummary, ProgressBar, Throughput
from ffcv_hydra.operations import ToTensor

class Model(BoringModel):
    def training_step(self, batch, batch_idx):
        return super().training_step(batch[0].flatten(1)[:, :1].expand(-1, 32).float(), batch_idx)

    def validation_step(self, batch, batch_idx):
        self.log("loss", float(batch_idx))

manager = FFCVPipelineManager(sys.argv[1], {"array": None, "image": "disabled", "label": "disabled"}, "random")
data = FFCVDataModule(8, train_manager=manager, val_manager=manager, seed=1)
ours = [EMA(), EarlyStopping("loss"), ModelCheckpoint(sys.argv[2], "saved"), ParameterSummary(), ProgressBar(),
        Throughput()]
trainer = pl.Trainer(accelerator="cpu", max_epochs=1, logger=False, callbacks=ours)
trainer.fit(Model(), data)
assert len(trainer.callbacks) == len(ours) and trainer.checkpoint_callback in ours
assert trainer.progress_bar_callback in ours and trainer.datamodule is data
"""


@pytest.mark.skipif(find_spec("lightning") is None, reason="lightning is not installed")
def test_a_trainer_of_lightning_takes_them(beton, tmp_path):
    command = [sys.executable, "-c", WITH_LIGHTNING, str(beton), str(tmp_path)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "saved.ckpt").exists()


# -- bare loaders


def loader_of(beton, **options) -> Loader:
    return Loader(beton, 8, **{"pipelines": PIPELINES, "ordering": Random(), "seed": 3, "num_workers": 1, **options})


def trainer(**options) -> pl.Trainer:
    quiet = {"enable_progress_bar": False, "enable_model_summary": False, "enable_checkpointing": False}
    return pl.Trainer(**{**quiet, "accelerator": "cpu", "logger": False, "num_sanity_val_steps": 0, **options})


def test_overfitting_reads_the_same_few_batches_in_order(beton):
    model, several = Records(), CombinedLoader({"a": loader_of(beton), "b": [loader_of(beton, seed=4)]})
    fit = trainer(max_epochs=2, overfit_batches=2)
    fit.fit(model, several, loader_of(beton))
    first, second = [*range(8)], [*range(8, 16)]
    assert model.trained == [first * 2, second * 2] * 2
    assert model.evaluated == [first, second] * 2
    trainer(overfit_batches=2).validate(model, loader_of(beton), verbose=False)  # is not to overfit
    assert model.evaluated[4:] == [labels.flatten().tolist() for (labels,) in loader_of(beton)][:2]


def test_a_position_that_was_loaded_is_not_lost_on_the_way_to_a_trainer(beton):
    given = loader_of(beton, drop_last=True)
    next(iter(given))
    state = given.state_dict()
    for options in ({}, {"overfit_batches": 2}):
        given.load_state_dict(state)
        model = Records()
        if options:
            with pytest.raises(LoaderError, match=r"another loader than .* load_state_dict .* ckpt_path=PATH"):
                trainer(max_epochs=1, **options).fit(model, given)
        else:
            trainer(max_epochs=1).fit(model, given)
            assert model.trained == [labels.flatten().tolist() for (labels,) in loader_of(beton, drop_last=True)][1:]


class Foreign:
    """Reads a loader of ours, and has a method of the same name."""

    __hash__ = None  # type: ignore[assignment]

    def __init__(self, loader: Loader) -> None:
        self.loader = loader

    def __iter__(self):
        return iter(self.loader)

    def with_options(self) -> None:
        raise AssertionError("is somebody else's")


def test_a_trainer_leaves_alone_what_needs_no_change(beton):
    manager = FFCVPipelineManager(beton, PIPELINES, ordering=Random())
    data = FFCVDataModule(8, train_manager=manager, seed=3, num_workers=1)
    for given in (loader_of(beton), data, DataLoader([torch.zeros(1)] * 4), Foreign(loader_of(beton))):
        few = {"overfit_batches": 2} if given is data or isinstance(given, Foreign) else {}
        fit = trainer(max_epochs=1, **few)
        fit.fit(Records(), given)
        expected = data.train_dataloader() if given is data else given
        assert fit.train_dataloader is expected
    assert not is_only_looked_at(given)


def test_sizes_that_are_set_at_a_loader_reach_what_the_trainer_reads_of_it(beton):
    sizes: list[int] = []

    class Grows(Records):
        def training_step(self, batch, batch_idx):
            sizes.append(batch[0].shape[1])
            return self.weight.sum()

        def on_train_epoch_end(self):
            given.set_output_size("image", lambda epoch: 12)

    given = loader_of(beton, pipelines={"image": [CenterCrop(8), ToTensor()], "array": "disabled"})
    fit = trainer(max_epochs=2, overfit_batches=1)
    fit.fit(Grows(), given)
    assert fit.train_dataloader is not given and sizes == [8, 12]


def _on_two_ranks(rank: int, beton: str, checkpoint: str):
    told: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: told.append(record.getMessage())  # type: ignore[method-assign]
    logging.getLogger("pytorch_lightning").addHandler(handler)
    two = {"devices": 2, "strategy": "ddp"}
    model, resumed, whole, few = Records(), Records(), Records(), Records()
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        fit = trainer(max_epochs=2, limit_train_batches=4, callbacks=[SaveAt(checkpoint, 2)], **two)
        fit.fit(model, loader_of(beton, drop_last=True), loader_of(beton, ordering="sequential"))
        threads = [fit.train_dataloader.num_workers]
        trainer(max_epochs=2, limit_train_batches=4, **two).fit(
            resumed, CombinedLoader([loader_of(beton, drop_last=True)]), ckpt_path=checkpoint
        )
        fit.test(model, loader_of(beton, num_workers=-1), verbose=False)
        threads.append(fit.test_dataloaders.num_workers)
        trainer(max_epochs=2, overfit_batches=0.2, **two).fit(few, loader_of(beton))
        before = [str(warning.message) for warning in warned]
        trainer(max_epochs=1, use_distributed_sampler=False, **two).fit(whole, loader_of(beton, indices=range(16)))
    after = [str(warning.message) for warning in warned][len(before) :]
    reads = [sum("reads all samples" in text for text in texts) for texts in (before, after)]
    splits = sum("Loaders that were given no rank are split" in text for text in told)
    trained = [one.trained for one in (model, resumed, few, whole)]
    return *trained, model.evaluated, reads, splits, threads


@pytest.mark.slow
def test_two_ranks_share_bare_loaders(beton, tmp_path):
    found = processes.on_two_ranks(_on_two_ranks, str(beton), str(tmp_path / "saved.ckpt"))
    for rank, (trained, resumed, few, whole, evaluated, reads, splits, threads) in enumerate(found):
        mine = loader_of(beton, drop_last=True, rank=rank, world_size=2)
        epochs = [[labels.flatten().tolist() for (labels,) in mine] for _ in range(2)]
        assert trained == epochs[0][:4] + epochs[1][:4]
        assert resumed == trained[2:]
        assert len(evaluated) == 3 * 6  # validation of two epochs, and the test: as many batches on each rank
        assert few == [[*range(8 * rank, 8 * rank + 8)]] * 2  # a fifth of six batches, again and again
        assert [sorted(labels) for labels in whole] and sorted(sum(whole, [])) == list(range(16))
        assert (reads, splits) == (([0, 1], 1) if rank == 0 else ([0, 0], 0))
        assert threads == [1, max(1, usable_cores() // 2)]
    for stage in range(3):
        read = sum((sum(rest[4][6 * stage : 6 * stage + 6], []) for rest in found), [])
        assert sorted(read) == list(range(90))
