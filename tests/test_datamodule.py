"""The data module under Lightning, and without it."""

import atexit
import gc
import threading
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.tuner import Tuner

from ffcv_hydra import FFCVDataModule, FFCVPipelineManager, Loader
from ffcv_hydra.errors import LoaderError
from ffcv_hydra.operations import (
    CenterCrop,
    DivideImage255,
    Mosaic,
    RandomHorizontalFlip,
    RandomResizedCrop,
    ToTensor,
    ToTorchImage,
)
from ffcv_hydra.ordering.options import OrderOption
from ffcv_hydra.torch_internals import leave_ranks

pytestmark = pytest.mark.timeout(240)


def train_manager(beton: Path, **options) -> FFCVPipelineManager:
    image = [RandomResizedCrop(8), RandomHorizontalFlip(), ToTensor(), ToTorchImage(), DivideImage255()]
    return FFCVPipelineManager(beton, {"image": image, "array": "disabled"}, ordering=OrderOption.RANDOM, **options)


def val_manager(beton: Path) -> FFCVPipelineManager:
    image = [CenterCrop(8), ToTensor(), ToTorchImage(), DivideImage255()]
    return FFCVPipelineManager(beton, [image, None, "disabled"])


def data(beton: Path, **options) -> FFCVDataModule:
    options = {"batch_size": 8, "num_workers": 2, "train_manager": train_manager(beton), "seed": 1, **options}
    return FFCVDataModule(**options)


class Records(pl.LightningModule):
    """A linear model that keeps what it was given."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(3 * 8 * 8, 4)
        self.seen: list[tuple[int, tuple[int, ...], float]] = []
        self.validated: list[int] = []

    def training_step(self, batch, batch_idx):
        images, labels = batch
        self.seen.append((self.current_epoch, tuple(labels[:, 0].tolist()), float(images.sum())))
        return self.layer(images.flatten(1)).square().mean()

    def validation_step(self, batch, batch_idx):
        self.validated += batch[1][:, 0].tolist()

    def test_step(self, batch, batch_idx):
        self.validated += batch[1][:, 0].tolist()

    def predict_step(self, batch, batch_idx):
        return batch[1]

    def configure_optimizers(self):
        optimizer = torch.optim.SGD(self.parameters(), lr=0.01)
        steps = int(self.trainer.estimated_stepping_batches)  # builds the loaders before a state is restored
        return [optimizer], [torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)]


class FullAt(Records):
    """Has no memory for a batch of so many samples, and a `batch_size` of its own, as models for the search have."""

    def __init__(self, limit: int) -> None:
        super().__init__()
        self.limit = limit
        self.batch_size = self.train_batch_size = 1

    def on_train_start(self):
        self.seen.clear()

    def training_step(self, batch, batch_idx):
        if len(batch[1]) >= self.limit:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return super().training_step(batch, batch_idx)


def trainer(tmp_path: Path, **options) -> pl.Trainer:
    quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False, "accelerator": "cpu"}
    return pl.Trainer(default_root_dir=tmp_path, **{**quiet, "enable_checkpointing": False, "max_epochs": 2, **options})


def loader_threads() -> list[threading.Thread]:
    """Those that do not end, which they do a moment after their pass was collected."""
    threads = [thread for thread in threading.enumerate() if thread.name.startswith("ffcv_hydra")]
    for thread in threads:
        thread.join(30)
    return [thread for thread in threads if thread.is_alive()]


# -- options


@pytest.mark.parametrize(
    "options, message",
    [
        ({"batches_ahed": 2}, "no option 'batches_ahed'; did you mean 'batches_ahead'"),
        ({"train_drop_lst": True}, "did you mean 'train_drop_last'"),
        ({"val_batches_ahead": 0}, "val_batches_ahead must be a whole number of at least 1; got 0"),
        ({"global_batch_size": 1.5}, "global_batch_size must be a whole number"),
        ({"train_manager": None}, "no manager was given"),
        ({"train_manager": None, "train_managr": 1}, "no option 'train_managr'; did you mean 'train_manager'"),
    ],
)
def test_options_that_do_not_exist_or_cannot_be_are_refused(beton, options, message):
    with pytest.raises(LoaderError, match=message):
        data(beton, **options)


def test_every_option_can_be_set_for_one_stage(beton):
    module = data(
        beton, val_manager=val_manager(beton), test_manager=val_manager(beton), drop_last=False, train_drop_last=True,
        val_batch_size=20, test_num_workers=1, batches_ahead=2, test_batches_ahead=5, val_os_cache=False, train_seed=9,
    )  # fmt: skip
    train, val, test = module.train_dataloader(), module.val_dataloader(), module.test_dataloader()
    assert [loader.batch_size for loader in (train, val, test)] == [8, 20, 8]
    assert [loader.drop_last for loader in (train, val, test)] == [True, False, False]
    assert [loader.num_workers for loader in (train, val, test)] == [2, 2, 1]
    assert [loader.batches_ahead for loader in (train, val, test)] == [2, 2, 5]
    assert [loader.seed for loader in (train, val, test)] == [9, 1, 1]


@pytest.mark.parametrize("drop_last", [True, False])
def test_samples_that_become_parts_of_images_are_not_evaluated(beton, drop_last):
    image = [CenterCrop(8), Mosaic(), ToTensor()]
    manager = FFCVPipelineManager(beton, {"image": image, "label": {"joint_with": "disabled"}, "array": "disabled"})
    module = data(beton, train_manager=manager, val_manager=manager, val_drop_last=drop_last)
    assert len(module.train_dataloader()) > 0
    with pytest.raises(LoaderError, match="^pipeline of 'image'.*: Mosaic m.*; it is not for evaluation") as error:
        module.val_dataloader()
    assert "\n" not in str(error.value)


def test_none_leaves_an_option_of_one_stage_at_that_of_all(beton):
    loader = data(beton, train_on_error=None, drop_last=None, train_seed=None).train_dataloader()
    assert (loader.drop_last, loader.seed, loader.num_workers) == (True, 1, 2)


def test_training_drops_the_last_batch_and_evaluation_does_not(beton):
    module = data(beton, val_manager=val_manager(beton))
    assert len(module.train_dataloader()) == 11
    assert len(module.val_dataloader()) == 12


def test_it_works_without_a_trainer(beton):
    module = data(beton)
    images, labels = next(iter(module.train_dataloader()))
    assert images.shape == (8, 3, 8, 8) and images.dtype == torch.float32 and labels.shape == (8, 1)
    assert module.val_dataloader() == []
    with pytest.raises(LoaderError, match="there is nothing to test on: give the data module a test_manager"):
        module.test_dataloader()


def test_the_seed_of_seed_everything_is_taken(beton, monkeypatch):
    monkeypatch.setenv("PL_GLOBAL_SEED", "17")
    assert data(beton, seed=None).train_dataloader().seed == 17


def test_a_global_batch_size_is_divided_by_the_ranks(beton):
    assert data(beton, batch_size=None, global_batch_size=12).train_dataloader().batch_size == 12
    with pytest.raises(LoaderError, match="no batch size for train"):
        data(beton, batch_size=None).train_dataloader()


def test_F17_a_stages_own_batch_size_comes_before_a_global_one(beton):
    module = data(beton, batch_size=None, global_batch_size=12, val_manager=val_manager(beton), val_batch_size=20)
    assert module.train_dataloader().batch_size == 12
    assert module.val_dataloader().batch_size == 20


@pytest.mark.parametrize("name", ["batch_size", "train_batch_size", "global_batch_size", "train_global_batch_size"])
def test_F17_the_next_loader_follows_the_batch_size(beton, name):
    module = data(beton, **{"batch_size": None, name: 8})
    first = module.train_dataloader()
    assert module.train_dataloader() is first
    setattr(module, name, 10)
    assert module.train_dataloader().batch_size == 10
    assert first.batch_size == 8


@pytest.mark.parametrize("name", ["train_batch_size", "global_batch_size"])
def test_F17_a_batch_size_that_would_change_nothing_is_refused(beton, name):
    module = data(beton, **{name: 8})
    with pytest.raises(LoaderError, match=f"batch_size=16 would change nothing: {name}=8 decides for train"):
        module.batch_size = 16


@pytest.mark.parametrize("name", ["batch_size", "train_batch_size"])
@pytest.mark.parametrize("mode", ["power", "binsearch"])
def test_F17_lightnings_search_for_a_batch_size_scales_the_loader(beton, tmp_path, name, mode):
    module = data(beton, **{"batch_size": 8, name: 3}, val_manager=val_manager(beton))
    model, run = FullAt(24), trainer(tmp_path, max_epochs=1)
    found = Tuner(run).scale_batch_size(model, datamodule=module, batch_arg_name=name, mode=mode, margin=0)
    assert 16 <= found <= 23
    assert getattr(module, name) == found
    run.fit(model, datamodule=module)
    assert {len(labels) for _, labels, _ in model.seen} == {found}
    assert len(model.seen) == 90 // found


@pytest.mark.parametrize("has_module", [True, False])
def test_a_finder_scales_the_loader_of_a_module_or_of_the_model(beton, tmp_path, has_module):
    class OfItsOwn(FullAt):
        def train_dataloader(self):
            pipelines = train_manager(beton).pipeline_transforms
            return Loader(beton, self.batch_size, pipelines=pipelines, ordering="random", num_workers=2)

        val_dataloader = train_dataloader

    model = FullAt(24) if has_module else OfItsOwn(24)
    finder = pl.callbacks.BatchSizeFinder(init_val=4, steps_per_trial=1)
    trainer(tmp_path, max_epochs=1, callbacks=[finder]).fit(model, data(beton) if has_module else None)
    assert finder.optimal_batch_size == 16
    assert {len(labels) for _, labels, _ in model.seen[:5]} == {16}


def test_prepare_is_called_before_loaders_are_built(beton, tmp_path):
    path = tmp_path / "later.beton"
    calls = []

    def prepare():
        calls.append(path.write_bytes(beton.read_bytes()))

    module = data(beton, train_manager=train_manager(path), prepare=prepare)
    for _ in range(2):
        trainer(tmp_path, max_steps=1).fit(Records(), module)
    assert len(calls) == 1


# -- under Lightning


def test_training_sees_each_sample_at_most_once_and_validation_each_once(beton, tmp_path):
    model = Records()
    trainer(tmp_path, num_sanity_val_steps=2).fit(model, data(beton, val_manager=val_manager(beton)))
    for epoch in range(2):
        labels = [label for seen_in, labels, _ in model.seen if seen_in == epoch for label in labels]
        assert len(labels) == 88 == len(set(labels))
    assert [labels for _, labels, _ in model.seen[:11]] != [labels for _, labels, _ in model.seen[11:]]
    assert sorted(model.validated[16:]) == sorted(list(range(90)) * 2)  # after the sanity check's two batches


def test_every_stage_runs(beton, tmp_path):
    module = data(beton, test_manager=val_manager(beton), predict_manager=val_manager(beton))
    model, run = Records(), trainer(tmp_path)
    run.test(model, module, verbose=False)
    assert sorted(model.validated) == list(range(90))
    predicted = run.predict(model, module)
    assert torch.cat(predicted)[:, 0].tolist() == list(range(90))


@pytest.mark.parametrize("stop", [3, 11, 15])
@pytest.mark.parametrize("accumulate", [1, 2])
def test_a_checkpoint_in_the_middle_of_an_epoch_goes_on_at_the_next_batch(beton, tmp_path, stop, accumulate):
    straight = Records()
    trainer(tmp_path, accumulate_grad_batches=accumulate).fit(straight, data(beton))

    class SaveAt(pl.Callback):
        def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx):
            if len(module.seen) == stop:
                trainer.save_checkpoint(tmp_path / "middle.ckpt")

    trainer(tmp_path, accumulate_grad_batches=accumulate, callbacks=[SaveAt()]).fit(Records(), data(beton))
    resumed = Records()
    trainer(tmp_path, accumulate_grad_batches=accumulate).fit(resumed, data(beton), ckpt_path=tmp_path / "middle.ckpt")
    assert resumed.seen == straight.seen[stop:]
    assert torch.load(tmp_path / "middle.ckpt", weights_only=True)["FFCVDataModule"]["train"]["batches"] in (
        stop,
        stop - 11,
    )


class StopAt(pl.Callback):
    """Ends the run after so many batches, as `max_time` and `EarlyStopping` do."""

    def __init__(self, batches: int) -> None:
        self.batches = batches

    def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx):
        trainer.should_stop |= len(module.seen) == self.batches


@pytest.mark.parametrize("way", ["max_steps", "should_stop"])
@pytest.mark.parametrize("stop", [5, 11, 16])
@pytest.mark.parametrize("options", [{}, {"val_check_interval": 5}, {"accumulate_grad_batches": 2}], ids=str)
def test_F21_a_run_that_ended_within_an_epoch_goes_on_at_the_next_batch(beton, tmp_path, way, stop, options):
    accumulate = options.get("accumulate_grad_batches", 1)
    if way == "max_steps":  # an epoch of 11 batches has 6 steps of 2
        ended = {"max_steps": {1: stop, 2: {5: 3, 11: 6, 16: 9}[stop]}[accumulate]}
        stop = stop if accumulate == 1 else {5: 6, 11: 11, 16: 17}[stop]
    else:
        ended = {"callbacks": [StopAt(stop)]}
    straight, first, second = Records(), Records(), Records()
    module = {"val_manager": val_manager(beton), "val_batch_size": 45}
    trainer(tmp_path, **options).fit(straight, data(beton, **module))
    run = trainer(tmp_path, **options, **ended)
    run.fit(first, data(beton, **module))
    run.save_checkpoint(tmp_path / "ended.ckpt")
    assert first.seen == straight.seen[:stop]
    trainer(tmp_path, **options).fit(second, data(beton, **module), ckpt_path=tmp_path / "ended.ckpt")
    assert second.seen == straight.seen[stop:]


@pytest.mark.parametrize("steps", [(5, 8, 22), (3, 11, 14, 20)])
@pytest.mark.parametrize("validates", [True, False])
def test_F21_it_may_end_there_again_and_again(beton, tmp_path, steps, validates):
    straight, model, path = Records(), Records(), None
    module = {"val_manager": val_manager(beton), "val_batch_size": 45} if validates else {}
    trainer(tmp_path).fit(straight, data(beton, **module))
    for max_steps in steps:
        saving = pl.callbacks.ModelCheckpoint(tmp_path / str(max_steps), filename="saved")
        options = {"enable_checkpointing": True, "callbacks": [saving], "max_steps": max_steps}
        trainer(tmp_path, **options).fit(model, data(beton, **module), ckpt_path=path)
        path = tmp_path / str(max_steps) / "saved.ckpt"
        assert model.seen == straight.seen[:max_steps]


def test_a_checkpoint_at_the_end_of_an_epoch_goes_on_with_the_next(beton, tmp_path):
    straight = Records()
    saving = pl.callbacks.ModelCheckpoint(tmp_path, filename="{epoch}", save_top_k=-1)
    trainer(tmp_path, enable_checkpointing=True, callbacks=[saving]).fit(straight, data(beton))
    resumed = Records()
    trainer(tmp_path).fit(resumed, data(beton), ckpt_path=tmp_path / "epoch=0.ckpt")
    assert resumed.seen == straight.seen[11:]


def test_a_checkpoint_that_is_evaluated_does_not_move_training(beton, tmp_path):
    run = trainer(tmp_path, max_epochs=1, limit_train_batches=3)
    module = data(beton, test_manager=val_manager(beton))
    run.fit(Records(), module)
    run.save_checkpoint(tmp_path / "one.ckpt")
    run.test(Records(), module, ckpt_path=tmp_path / "one.ckpt", verbose=False)
    again = Records()
    trainer(tmp_path, max_epochs=1).fit(again, module)
    assert len(again.seen) == 11


def test_resuming_on_other_data_is_refused_by_name(beton, tmp_path):
    run = trainer(tmp_path, max_epochs=1)
    run.fit(Records(), data(beton))
    run.save_checkpoint(tmp_path / "one.ckpt")
    with pytest.raises(LoaderError, match="made with another global batch size"):
        trainer(tmp_path).fit(Records(), data(beton, batch_size=9), ckpt_path=tmp_path / "one.ckpt")


def test_resuming_under_other_limits_is_refused_by_name(beton, tmp_path):
    run = trainer(tmp_path, max_epochs=1, limit_train_batches=4)
    run.fit(Records(), data(beton))
    run.save_checkpoint(tmp_path / "one.ckpt")
    with pytest.raises(LoaderError, match=r"made with trainer.limit_train_batches=4, now it is 0.5: set it back"):
        trainer(tmp_path, limit_train_batches=0.5).fit(Records(), data(beton), ckpt_path=tmp_path / "one.ckpt")
    resumed = Records()
    trainer(tmp_path, limit_train_batches=4).fit(resumed, data(beton), ckpt_path=tmp_path / "one.ckpt")
    assert [epoch for epoch, _, _ in resumed.seen] == [1] * 4


@pytest.mark.parametrize(
    "options",
    [
        {"limit_train_batches": 3},
        {"max_steps": 4},
        {"val_check_interval": 3},
        {"overfit_batches": 2},
        {"fast_dev_run": True},
    ],
    ids=str,
)
def test_L2_lightnings_ways_of_stopping_leave_no_thread(beton, tmp_path, options):
    module = data(beton, val_manager=val_manager(beton))
    run = trainer(tmp_path, **options)
    run.fit(Records(), module)
    run.fit(Records(), module)
    assert loader_threads() == []


def test_early_stopping_leaves_no_thread(beton, tmp_path):
    class Worse(Records):
        def validation_step(self, batch, batch_idx):
            self.log("val_loss", float(self.current_epoch))

    stop = pl.callbacks.EarlyStopping("val_loss", patience=1)
    run = trainer(tmp_path, max_epochs=9, callbacks=[stop])
    run.fit(Worse(), data(beton, val_manager=val_manager(beton)))
    assert run.current_epoch == 2
    assert loader_threads() == []


def test_ctrl_c_leaves_no_thread(beton, tmp_path):
    class Interrupted(Records):
        def training_step(self, batch, batch_idx):
            if batch_idx == 2:
                raise KeyboardInterrupt
            return super().training_step(batch, batch_idx)

    with pytest.raises(SystemExit):
        trainer(tmp_path).fit(Interrupted(), data(beton, val_manager=val_manager(beton)))
    gc.collect()
    assert loader_threads() == []


@pytest.mark.parametrize(
    "option",
    [{"seed": 2**70}, {"num_workers": -5}, {"num_workers": 0}, {"num_workers": 10_000}, {"on_error": None}],
    ids=str,
)
def test_impossible_options_are_named(beton, option):
    with pytest.raises(LoaderError, match=f"{next(iter(option))} must be"):
        data(beton, **option)


def test_overfitting_gives_the_same_batches_in_every_epoch(beton, tmp_path):
    model = Records()
    trainer(tmp_path, overfit_batches=2).fit(model, data(beton))
    labels = [labels for _, labels, _ in model.seen]
    assert labels[:2] == labels[2:] == [tuple(range(8)), tuple(range(8, 16))]


def test_a_loader_that_is_there_follows_the_trainer_and_the_seed(beton, tmp_path, monkeypatch):
    module, model = data(beton, seed=None), Records()
    for seed, options in ((3, {}), (4, {}), (4, {"overfit_batches": 2})):
        monkeypatch.setenv("PL_GLOBAL_SEED", str(seed))
        trainer(tmp_path, max_epochs=1, **options).fit(model, module)
    labels = [labels for _, labels, _ in model.seen]
    assert labels[:11] != labels[11:22]
    assert labels[22:] == [tuple(range(8)), tuple(range(8, 16))]


def test_a_process_leaves_its_ranks_at_its_end_if_all_went_well(beton, tmp_path, monkeypatch):
    registered: list[Any] = []
    monkeypatch.setattr(atexit, "register", registered.append)
    monkeypatch.setattr(atexit, "unregister", lambda what: registered.remove(what) if what in registered else None)

    class Fails(Records):
        def training_step(self, batch, batch_idx):
            raise ZeroDivisionError

    module = data(beton)
    for _ in range(2):
        trainer(tmp_path, max_steps=1).fit(Records(), module)
        assert registered == [leave_ranks]
    with pytest.raises(ZeroDivisionError):
        trainer(tmp_path).fit(Fails(), module)
    assert registered == []


def test_an_error_in_a_step_leaves_no_thread(beton, tmp_path):
    class Fails(Records):
        def training_step(self, batch, batch_idx):
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        trainer(tmp_path).fit(Fails(), data(beton))
    gc.collect()
    assert loader_threads() == []
