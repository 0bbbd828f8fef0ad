"""The options of a loader, wherever they are named."""

import inspect
import re
import subprocess
import sys
from dataclasses import MISSING, fields
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

import pytest
from omegaconf import OmegaConf

from ffcv_hydra import FFCVDataModule
from ffcv_hydra.cli.schema import Loader as LoaderSection
from ffcv_hydra.errors import LoaderError
from ffcv_hydra.loader import Loader
from ffcv_hydra.loader_options import OPTIONS, STAGE_OPTIONS, LoaderOptions

CONF = Path(__file__).parents[1] / "conf" / "loader" / "default.yaml"
DEFAULTS = {one.name: one.default for one in fields(LoaderOptions) if one.default is not MISSING}
OF_DATA = {"path", "pipelines", "ordering", "indices", "rank", "world_size", "custom_fields"}


def test_the_loader_takes_them_with_their_defaults_and_says_what_each_means():
    arguments = inspect.signature(Loader).parameters
    assert set(arguments) == OPTIONS.keys() | OF_DATA
    assert {name: arguments[name].default for name in DEFAULTS} == DEFAULTS
    documented = re.findall(
        r"^    (\w+(?:, \w+)*): ", (inspect.getdoc(Loader) or "").partition("Attributes:")[0], re.MULTILINE
    )
    assert {name for names in documented for name in names.split(", ")} == set(arguments)


def test_the_config_lists_them_with_their_defaults():
    by_stage_or_process = {"batch_size": 16, "drop_last": None, "global_batch_size": None}
    expected = {**DEFAULTS, **by_stage_or_process}
    del expected["seed"]  # the run's
    assert OmegaConf.load(CONF) == expected


def test_the_schema_and_the_data_module_take_each_for_one_stage_alone():
    assert set(LoaderSection.model_fields) == STAGE_OPTIONS.keys() - {"seed"}
    assert {f"{stage}_{name}" for stage in ("train", "val", "test", "predict") for name in OPTIONS} < set(STAGE_OPTIONS)


def test_the_signature_of_the_data_module_names_each_with_type_and_default():
    arguments = inspect.signature(FFCVDataModule).parameters
    assert set(arguments) > STAGE_OPTIONS.keys()
    open_for_all = {"seed": None, "drop_last": None}
    assert {name: arguments[name].default for name in DEFAULTS} == DEFAULTS | open_for_all
    assert [name for name in STAGE_OPTIONS if name.startswith("val_") and arguments[name].default is not None] == []
    types = [arguments[name].annotation for name in ("batches_ahead", "val_batches_ahead", "val_on_error")]
    assert types == [int, int | None, Literal["raise", "skip", "zero"] | None]


CLI = """
import sys
from pytorch_lightning.cli import LightningCLI
from pytorch_lightning.demos.boring_classes import BoringModel
from ffcv_hydra import FFCVDataModule

data = LightningCLI(BoringModel, FFCVDataModule, run=False, save_config_callback=None).datamodule
train, val = data.train_dataloader(), data.val_dataloader()
print(type(train.passes.order.ordering).__name__, train.batch_size, val.batch_size, train.drop_last, train.num_workers)
"""


@pytest.mark.skipif(find_spec("jsonargparse") is None, reason="jsonargparse is not installed")
def test_lightnings_command_line_takes_each_by_its_name(beton, tmp_path):
    crop = "{class_path: ffcv_hydra.operations.CenterCrop, init_args: {size: 8}}"
    of_managers = {"file_path": beton, "pipeline_transforms": f"{{image: [{crop}]}}"}
    options = [f"{stage}_manager.{key}={value}" for stage in ("train", "val") for key, value in of_managers.items()]
    options += ["train_manager.ordering=random", "batch_size=8", "val_batch_size=4", "train_drop_last=false"]
    command = [f"--data.{option}" for option in [*options, "num_workers=1"]]
    done = subprocess.run([sys.executable, "-c", CLI, *command], cwd=tmp_path, capture_output=True, text=True)
    assert done.stdout.splitlines()[-1:] == ["Random 8 4 False 1"], done.stderr


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("batch_size", 0, "batch_size must be a whole number of at least 1; got 0"),
        ("batch_size", True, "batch_size must be a whole number"),
        ("num_workers", 1025, "num_workers must be a whole number of threads from 1 to 1024, or -1"),
        ("os_cache", 1, "os_cache must be true or false; got 1"),
        ("on_error", ["raise"], r"on_error must be raise, skip or zero; got \['raise'\]"),
    ],
)
def test_what_they_may_not_be_is_named(name, value, message):
    with pytest.raises(LoaderError, match=message):
        LoaderOptions(**{"batch_size": 1, name: value})
