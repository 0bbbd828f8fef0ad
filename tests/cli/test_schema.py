"""The shape of composed configs."""

from typing import Any

import pytest
from hydra import compose, initialize_config_module
from omegaconf import OmegaConf

import ffcv_hydra.cli  # noqa: F401  (registers the resolvers)
from ffcv_hydra.cli.commands import resolve
from ffcv_hydra.cli.schema import ConvertConfig, RunConfig, check, check_trainer
from ffcv_hydra.errors import ConfigError


@pytest.fixture
def config() -> dict[str, Any]:
    with initialize_config_module("ffcv_hydra.conf", version_base="1.3"):
        composed = compose("run", ["logger=none", "callbacks=none", "trainer.default_root_dir=."])
    return resolve(composed)


def changed(config: dict[str, Any], key: str, value: Any) -> dict[str, Any]:
    OmegaConf.update(tree := OmegaConf.create(config), key, value, merge=False, force_add=True)
    container = OmegaConf.to_container(tree)
    assert isinstance(container, dict)
    return container


def test_composed_config_is_accepted(config):
    check(RunConfig, config)
    check(ConvertConfig, {key: config[key] for key in ("data_dir", "dataset", "conversion", "pipeline")})


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("loader.batch_sise", 3, r"unknown key 'loader.batch_sise': did you mean 'loader.batch_size'\?"),
        ("loader.batch_size", True, r"loader.batch_size=True"),
        ("loader.os_cache", "yes", r"loader.os_cache='yes'"),
        ("loader.num_workers", 0, r"loader.num_workers=0: must be a whole number of threads from 1 to 1024, or -1"),
        ("loader.test_batches_ahead", 0, r"loader.test_batches_ahead=0: must be a whole number of at least 1"),
        ("loader.val_on_error", "skp", r"loader.val_on_error='skp': did you mean 'skip'"),
        ("trainr", {}, r"unknown key 'trainr': did you mean 'trainer'\?"),
        ("dataset.feilds", {}, r"unknown key 'dataset.feilds': did you mean 'dataset.fields'\?"),
        ("dataset.splits.valid", None, r"unknown key 'dataset.splits.valid': did you mean 'dataset.splits.val'\?"),
        ("dataset.splits.train.betn", "x", r"unknown key 'dataset.splits.train.betn'"),
        ("dataset.splits.val.indices", "all", r"dataset.splits.val.indices='all'"),
        ("pipeline.trian", {}, r"unknown key 'pipeline.trian': did you mean 'pipeline.train'\?"),
        ("pipeline.training", {}, r"unknown key 'pipeline.training': did you mean 'pipeline.train'\?"),
        ("pipeline.tset", {}, r"unknown key 'pipeline.tset': did you mean 'pipeline.test'\?"),
        ("pipeline.predcit", {}, r"unknown key 'pipeline.predcit': did you mean 'pipeline.predict'\?"),
        ("pipeline.train.image", "disabld", r"pipeline.train.image='disabld': did you mean 'disabled'\?"),
        ("pipeline.train.image", [{"p": 1}], r"pipeline.train.image\[0\]._target_ is missing"),
        (
            "pipeline.train.mask",
            {"joint_wiht": "image"},
            r"'pipeline.train.mask.joint_wiht': did you mean .*joint_with'",
        ),
        ("pipeline.train.views", {"views": 0}, r"pipeline.train.views.views=0: should be greater than 0"),
        ("pipeline.train.image", 3, r"pipeline.train.image=3: choose from disabled"),
        ("pipeline.device", {"trian": []}, r"'pipeline.device.trian': did you mean 'pipeline.device.train'\?"),
        ("pipeline.device", {"train": [3]}, r"pipeline.device.train\[0\]=3"),
        ("ordering.train", {}, r"ordering.train._target_ is missing"),
        ("callbacks.early", {"patience": 3}, r"callbacks.early._target_ is missing"),
        ("optimized_mode", "maximum", r"optimized_mode='maximum': did you mean 'max'\?"),
        ("conversion.shard_size", "1XB", r"conversion.shard_size='1XB': use a number of bytes from 1 on, or a text"),
        ("conversion.shard_size", 0, r"conversion.shard_size=0: use a number of bytes"),
        ("conversion.page_size", 0, r"conversion.page_size=0: should be greater than 0"),
        ("conversion.num_workers", 1.5, r"conversion.num_workers=1.5"),
    ],
)
def test_wrong_key_or_value_is_named(config, key, value, message):
    with pytest.raises(ConfigError, match=message):
        check(RunConfig, changed(config, key, value))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("loader.val_batch_size", 64),
        ("dataset.splits.train.indices", [0, 1, 2]),
        ("dataset.splits.test", None),
        ("pipeline.train.label", "disabled"),
        ("pipeline.train.label", None),
        ("callbacks.early", None),
        ("my_image_size", 64),
        ("pipeline.ratio", [0.75, 1.33]),
        ("pipeline.aspect", 1.5),
        ("pipeline.sets", 2),
        ("pipeline.train_size", 224),
        ("dataset.root", "x"),
        ("conversion.shard_size", "1.5 GiB"),
    ],
)
def test_what_is_allowed_is_accepted(config, key, value):
    check(RunConfig, changed(config, key, value))


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("max_epochs", "abc", r"trainer.max_epochs='abc': expected"),
        ("devices", -5, r"trainer.devices=-5: give how many, or -1"),
        ("max_epochs", 1.5, r"trainer.max_epochs=1.5: expected"),
        ("precision", "16-mixd", r"trainer.precision=16-mixd: did you mean '16-mixed'\?"),
        ("enable_checkpointing", "off", r"trainer.enable_checkpointing='off'"),
    ],
)
def test_trainer_values_have_the_types_of_its_signature(config, key, value, message):
    with pytest.raises(ConfigError, match=message):
        check_trainer({**config["trainer"], key: value})


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("max_epochs", -1),
        ("devices", [0, 1]),
        ("limit_train_batches", 0.5),
        ("max_time", "00:01:00:00"),
        ("strategy", {"_target_": "pytorch_lightning.strategies.DDPStrategy"}),
        ("plugins", [{"_target_": "pytorch_lightning.plugins.environments.SLURMEnvironment"}]),
    ],
)
def test_right_trainer_values_are_accepted(config, key, value):
    check_trainer({**config["trainer"], key: value})
