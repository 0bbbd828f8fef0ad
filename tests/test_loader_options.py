"""The options of a loader, wherever they are named."""

import inspect
import re
from dataclasses import MISSING, fields
from pathlib import Path

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
    arguments = inspect.signature(FFCVDataModule).parameters
    assert {name: arguments[name].default for name in ("num_workers", "os_cache")} == {
        "num_workers": -1,
        "os_cache": True,
    }


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
