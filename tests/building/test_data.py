"""The data module from a config."""

import numpy as np
import pytest
import torch

from ffcv_hydra.building.data import build_datamodule
from ffcv_hydra.datasets import SplitFraction
from ffcv_hydra.errors import BetonError, ConfigError, PipelineError

pytestmark = pytest.mark.timeout(120)
TOY = {"_target_": "ffcv_hydra.datasets.ToyImages", "num_samples": 16, "size": 8}


def composed(tmp_path, mode="fit", stages=("train", "val"), seed=0, **conversion):
    def split(stage):
        indices = {"_target_": "ffcv_hydra.datasets.SplitFraction", "start": 0.5, "stop": 1.0, "seed": 0}
        source = {**TOY, "seed": seed}
        return {"source": source, "beton": str(tmp_path / "toy.beton"), "indices": indices if stage == "val" else None}

    return {
        "mode": mode,
        "seed": 0,
        "data_dir": str(tmp_path),
        "dataset": {"fields": {"image": None, "label": None}, "splits": {stage: split(stage) for stage in stages}},
        "conversion": {"if_exists": "keep", "num_workers": 0, "indices": None, "progress": False, **conversion},
        "pipeline": {"train": {"image": None, "label": None}, "val": {"label": "disabled"}, "test": None},
        "ordering": {
            "train": {"_target_": "ffcv_hydra.ordering.Random"},
            "eval": {"_target_": "ffcv_hydra.ordering.Sequential"},
        },
        "loader": {"batch_size": 4, "num_workers": 1, "drop_last": None},
        "test_after_fit": True,
    }


def test_missing_betons_are_converted_once_and_read_as_the_config_says(tmp_path):
    data = build_datamodule(composed(tmp_path))
    assert not (tmp_path / "toy.beton").exists()
    data.prepare_data()
    written = (tmp_path / "toy.beton").stat().st_mtime_ns
    data.prepare_data()
    assert (tmp_path / "toy.beton").stat().st_mtime_ns == written
    labels = torch.cat([batch[1].flatten() for batch in data.train_dataloader()])
    assert labels.tolist() != sorted(labels.tolist()) == list(range(16))
    images = list(data.val_dataloader())
    assert {len(batch) for batch in images} == {1}
    assert sum(len(batch[0]) for batch in images) == len(SplitFraction(0.5, 1.0)(16))


def test_a_beton_of_another_configuration_is_refused(tmp_path):
    build_datamodule(composed(tmp_path)).prepare_data()
    with pytest.raises(BetonError, match="another configuration"):
        build_datamodule(composed(tmp_path, seed=1)).prepare_data()


def test_F42_a_test_of_which_nothing_is_said_follows_val(tmp_path):
    config = composed(tmp_path, stages=("train", "val", "test"))
    config["pipeline"]["device"] = {"val": [{"_target_": "torch.nn.Identity"}]}
    data = build_datamodule(config)
    data.prepare_data()
    assert data.test_dataloader().output_names == data.val_dataloader().output_names == ("image",)
    assert list(data.changed_on_device("test")) == ["image"]
    config["pipeline"] |= {"test": {}, "device": {"val": [{"_target_": "torch.nn.Identity"}], "test": []}}
    data = build_datamodule(config)
    assert data.test_dataloader().output_names == ("image", "label")
    assert not data.changed_on_device("test")


@pytest.mark.parametrize(
    ("mode", "missing"), [("fit", "train"), ("validate", "val"), ("test", "test"), ("predict", "predict")]
)
def test_a_mode_without_its_split_is_named(tmp_path, mode, missing):
    stages = {"train", "val", "test", "predict"} - {missing}
    with pytest.raises(ConfigError, match=rf"mode={mode} needs dataset\.splits\.{missing}; the dataset has "):
        build_datamodule(composed(tmp_path, mode, stages))


def test_a_run_is_no_worker_of_a_conversion(tmp_path):
    with pytest.raises(ConfigError, match=r"conversion.workers is for convert.py: a run needs all of its data"):
        build_datamodule(composed(tmp_path, workers=2, worker=0))


@pytest.mark.parametrize(
    ("mode", "stages"),
    [("fit", {"train", "val", "test"}), ("validate", {"val"}), ("test", {"test"}), ("predict", {"predict"})],
)
def test_only_what_a_mode_reads_is_built(tmp_path, mode, stages):
    data = build_datamodule(composed(tmp_path, mode, ("train", "val", "test", "predict")))
    assert {stage for stage, manager in data.managers.items() if manager is not None} == stages


def test_a_wrong_operation_is_named_with_its_key(tmp_path):
    config = composed(tmp_path)
    config["pipeline"]["train"]["image"] = [{"_target_": "ffcv_hydra.operations.RandomResizedCrop", "sice": 8}]
    with pytest.raises(ConfigError, match=r"pipeline\.train\.image.*sice"):
        build_datamodule(config)


def test_indices_reach_the_loader_as_they_are_listed(tmp_path):
    config = composed(tmp_path)
    config["dataset"]["splits"]["val"]["indices"] = [3, 5, 9, 11]
    data = build_datamodule(config)
    data.prepare_data()
    assert np.array_equal(data.val_dataloader().sample_ids(0), [3, 5, 9, 11])


EVERY_OTHER = """
import numpy as np
from ffcv.traversal_order.base import TraversalOrder

class EveryOther(TraversalOrder):
    def __init__(self, loader, start=0):
        super().__init__(loader)
        self.start = start

    def sample_order(self, epoch):
        order = np.concatenate([self.indices[::2], self.indices[1::2]])
        return np.roll(order, -self.start - epoch)
"""


def test_L12_a_traversal_order_of_the_users_is_named_by_its_target(tmp_path, monkeypatch):
    pytest.importorskip("ffcv")
    (tmp_path / "every_other.py").write_text(EVERY_OTHER)
    monkeypatch.syspath_prepend(tmp_path)
    config = composed(tmp_path)
    config["ordering"]["train"] = {"_target_": "every_other.EveryOther", "start": 3}
    data = build_datamodule(config)
    data.prepare_data()
    loader = data.train_dataloader()
    assert loader.sample_ids(0).tolist() == [6, 8, 10, 12]
    loader.sampler.set_epoch(1)
    assert loader.sample_ids(0).tolist() == [8, 10, 12, 14]


def test_outputs_with_more_than_operations_reach_the_loader(tmp_path):
    config = composed(tmp_path)
    crop = [{"_target_": "ffcv_hydra.operations.CenterCrop", "size": 4}, {"_target_": "ffcv_hydra.operations.ToTensor"}]
    config["pipeline"]["train"] = {
        "image": crop,
        "label": "disabled",
        "same": {"source": "image", "joint_with": "image", "operations": crop},
        "views": {"source": "image", "views": 2, "operations": crop},
        "apart": {"source": "image", "joint_with": "disabled", "operations": crop},
    }
    data = build_datamodule(config)
    data.prepare_data()
    loader = data.train_dataloader()
    assert loader.pictures["same"].together == {"image"} and not loader.pictures["apart"].together
    image, same, views, apart = next(iter(loader))
    assert torch.equal(image, same) and torch.equal(apart, image) and len(views) == 2 and torch.equal(views[1], image)


def test_device_transforms_are_those_of_the_stages_that_are_built(tmp_path):
    config = composed(tmp_path)
    module = {"_target_": "torch.nn.Flatten"}
    config["pipeline"]["device"] = {"train": {"image": [module]}, "test": [module], "val": None}
    data = build_datamodule(config)
    assert list(data._device_modules) == ["train"]
    assert isinstance(data._device_modules["train"]["image"][0], torch.nn.Flatten)


def test_an_operation_that_is_refused_is_named_by_its_key(tmp_path):
    config = composed(tmp_path)
    flip = {"_target_": "ffcv_hydra.operations.RandomHorizontalFlip"}
    config["pipeline"]["train"]["image"] = [flip, {**flip, "p": 2}]
    with pytest.raises(PipelineError, match=r"pipeline\.train\.image\.1: RandomHorizontalFlip: p is a number"):
        build_datamodule(config)
    config["pipeline"]["train"]["image"] = {"operations": [{**flip, "p": 2}]}
    with pytest.raises(PipelineError, match=r"pipeline\.train\.image\.operations\.0: RandomHorizontalFlip: p is"):
        build_datamodule(config)


def test_a_mixture_is_read_by_shares_for_training_and_in_turn_for_evaluation(tmp_path):
    config = composed(tmp_path)
    parts = {}
    for name, seed in (("a", 0), ("b", 1)):
        source = {**TOY, "seed": seed}
        part = {"source": source, "beton": str(tmp_path / f"{name}.beton"), "indices": None, "fields": None}
        parts[name] = part | {"fields": {"image": None, "label": None}}
    half = {"_target_": "ffcv_hydra.datasets.SplitFraction", "start": 0.5, "stop": 1.0, "seed": 0}
    train = {"a": {**parts["a"], "share": 3}, "b": {**parts["b"], "share": 1, "indices": half}}
    config["dataset"] = {
        "fields": None,
        "epoch_size": 20,
        "fill_values": None,
        "splits": {"train": {"members": train}, "val": {"members": parts}},
    }
    data = build_datamodule(config)
    data.prepare_data()
    loader = data.train_dataloader()
    assert [sum(index >= 16 for index in loader.sample_ids(batch)) for batch in range(len(loader))] == [1] * 5
    assert set(loader.indices.tolist()) == {*range(16), *(16 + SplitFraction(0.5, 1.0)(16))}
    assert data.val_dataloader().num_samples == 32
    config["dataset"]["splits"]["train"]["members"]["b"]["beton"] = parts["a"]["beton"]
    with pytest.raises(ConfigError, match=r"members\.a\.splits\.train and .*members\.b.* are both "):
        build_datamodule(config)
