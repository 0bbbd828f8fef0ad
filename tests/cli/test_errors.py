"""Bad input to the commands is one line on stderr and exit status 1."""

import re

import pytest
from hydra.errors import InstantiationException
from omegaconf import OmegaConf

from ffcv_hydra.building.instantiation import instantiate_at
from ffcv_hydra.cli import task_errors

pytestmark = pytest.mark.timeout(300)

COMPOSITION = {
    "trainer.max_epoch=3": "unknown key 'trainer.max_epoch': did you mean 'trainer.max_epochs'?",
    "loader.val_batch_size=8": "'loader.val_batch_size' is not set yet: +loader.val_batch_size=VALUE does it",
    "model.optimizer.amsgrad=true": "'model.optimizer.amsgrad' is not set yet: +model.optimizer.amsgrad=VALUE does it",
    "trainr.max_epochs=3": "unknown key 'trainr': did you mean 'trainer'?",
    "batch_size=3": "unknown key 'batch_size': did you mean 'loader.batch_size'?",
    "experimen=digits": "unknown key 'experimen': did you mean 'experiment'?",
    "pipelines/x=y": "unknown group 'pipelines/x': did you mean 'pipeline'?",
    "pipeline=randcop": "pipeline=randcop: there is no such option; did you mean 'randcrop'?",
    "trainer.max_epochs.x=3": "'trainer.max_epochs' has no keys of its own",
    "max_epochs": "cannot read 'max_epochs'",
    "callbacks=[default,early_stoping]": "callbacks=early_stoping: there is no such option; did you mean",
    "hydra.run.dir=/proc/run": "cannot write /proc/run: ",
    "pipeline=image,randcrop": "pipeline=[image,randcrop] is a list, and text with commas is quoted",
    "dataset=3": "a group's option is chosen by its name, as in dataset=toy",
}
VALUES = {
    "mode=fitt": "mode='fitt': did you mean 'fit'?",
    "loader.batch_size=0": "loader.batch_size=0: must be a whole number of at least 1",
    "loader.num_workers=abc": "loader.num_workers='abc': should be a valid integer",
    "cache.limit=much": "cache.limit='much': use a number of bytes from 1 on, or a text such as 500MB or 1GB",
    "seed=-1": "seed=-1: should be greater than or equal to 0",
    "pipeline.to_tensor.3.dtype=float16": "pipeline.to_tensor[3]: the list has ",
    "+loader.val_bach_size=3": "unknown key 'loader.val_bach_size': did you mean 'loader.val_batch_size'?",
    "conversion.if_exists=kep": "conversion.if_exists='kep': did you mean 'keep'?",
    "dataset=image_folder": "dataset.root has no value; add dataset.root=VALUE",
}


FOLLOWED = {  # advice, with the values that a user puts into it
    "model.optimizer.amsgrad=true": "+model.optimizer.amsgrad=true",
    "model.code_dim=3": None,
    "model.class_weights=[1,2]": None,
    "dataset.source.width=3": None,
    "callbacks.mine=null": "+callbacks.mine=null",
    "pipeline.train.label=null": "+pipeline.train.label=null",
    "note=x": "+note=x",
    "ckpt_pat=x": None,
    "dataset.splits.extra=null": None,
    "loader.workers=2": None,
    "trainer.foo=2": None,
    "trainer.max_epochs.x=3": None,
    "pipeline.devices=null": None,
}


def lines(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.strip()]


@pytest.mark.parametrize("override", [*COMPOSITION, *VALUES])
def test_bad_override_is_one_line_that_names_the_nearest_right_one(command, override, tmp_path):
    done = command("run.py", override)
    assert done.returncode == 1
    assert len(lines(done.stderr)) == 1
    assert (COMPOSITION | VALUES)[override] in done.stderr
    assert not list(tmp_path.iterdir()), "a run that did not start leaves nothing behind"


@pytest.mark.parametrize("override", FOLLOWED)
def test_F54_what_a_message_says_to_write_is_accepted(override):
    from ffcv_hydra.cli.commands import checked_run_config
    from ffcv_hydra.cli.entry import execute

    def said(*overrides: str) -> str:
        try:
            execute(checked_run_config, "run", ["hydra.run.dir=.", "hydra.output_subdir=null", *overrides])
        except SystemExit as ended:
            return str(ended.code)
        return ""

    first = said(override)
    assert len(lines(first)) == 1 and override.partition("=")[0] in first
    advice = re.search(r"\+(\S+)=VALUE", first)
    assert (advice is None) == (FOLLOWED[override] is None), first
    if advice is not None:
        assert f"+{advice[1]}={override.partition('=')[2]}" == FOLLOWED[override]
        assert said(FOLLOWED[override]) == ""


def test_options_that_exclude_each_other_are_named_in_one_line(command):
    done = command("run.py", "-m", "--cfg", "job")
    assert done.returncode == 1
    assert lines(done.stderr) == [
        "Only one of --run, --multirun, --cfg, --info and --shell_completion can be specified"
    ]


def test_full_error_shows_the_traceback(command):
    done = command("run.py", "trainer.max_epoch=3", HYDRA_FULL_ERROR="1")
    assert done.returncode == 1
    assert "Traceback" in done.stderr


def test_convert_reports_in_the_same_way(command):
    done = command("convert.py", "conversion.num_worker=2")
    assert done.returncode == 1
    assert len(lines(done.stderr)) == 1
    assert "did you mean 'conversion.num_workers'?" in done.stderr


@pytest.mark.parametrize("override", ["loader.batch_size=3", "experiment=digits"])
def test_convert_says_that_a_group_belongs_to_run(command, override):
    done = command("convert.py", override)
    assert (done.returncode, lines(done.stderr)) == (
        1,
        [f"this command has no group '{override.split('=')[0].split('.')[0]}'; --help lists those it has"],
    )


def test_error_while_building_the_dataset_names_its_key(command, tmp_path):
    (tmp_path / "broken.py").write_text(
        "class Broken:\n    def __init__(self):\n        raise OSError('disk is gone')\n"
    )
    done = command("convert.py", "dataset=custom", "dataset.source._target_=broken.Broken")
    assert done.returncode == 1
    [line] = [line for line in lines(done.stderr) if "disk is gone" in line]
    assert "dataset.source (broken.Broken)" in line
    assert "Traceback" not in done.stderr


def test_failing_job_of_a_sweep_does_not_stop_the_others(command, tmp_path):
    (tmp_path / "mine.py").write_text(
        "class Mine:\n"
        "    def __init__(self, n):\n        self.n = n\n"
        "    def __len__(self):\n        return self.n\n"
        "    def __getitem__(self, index):\n        return (int(index),)\n"
    )
    done = command(
        "convert.py",
        "-m",
        "dataset=custom",
        "dataset.source._target_=mine.Mine",
        "+dataset.source.n=8",
        "dataset.name=a,b",
        "conversion.num_workers=-2,0",
    )
    assert done.returncode == 1
    assert "job 0: conversion.num_workers=-2: should be greater than or equal to -1" in done.stderr
    assert "Traceback" not in done.stderr
    assert {path.name for path in (tmp_path / "data").iterdir()} == {"a.beton", "b.beton"}


OWN = """
import pytorch_lightning as pl
import torch

class Data(torch.utils.data.Dataset):
    def __init__(self, fail=False):
        if fail:
            raise OSError("disk is gone")  # line 8
    def __len__(self):
        return 8
    def __getitem__(self, index):
        return (float([0.0, 1.0][index]),)  # line 12

class Callback(pl.Callback):
    def setup(self, trainer, module, stage):
        raise KeyError("label")  # line 16
"""
OWN_DATA = ["dataset=custom", "dataset.source._target_=mine.Data"]


@pytest.mark.parametrize(
    ("script", "arguments", "said"),
    [
        ("convert.py", ["+dataset.source.fail=true"], "dataset.source (mine.Data): OSError: disk is gone (mine.py:8)"),
        ("convert.py", ["conversion.num_workers=0"], "raised IndexError: list index out of range (mine.py:12)"),
        ("convert.py", ["conversion.num_workers=2"], "raised IndexError: list index out of range (mine.py:12)"),
        ("run.py", ["dataset=toy", "+callbacks.own._target_=mine.Callback"], "KeyError: 'label' (mine.py:16)"),
    ],
)
def test_F47_an_error_in_the_users_own_code_names_its_file_and_line(command, script, arguments, said, tmp_path):
    (tmp_path / "mine.py").write_text(OWN)
    done = command(script, *([] if script == "run.py" else OWN_DATA), *arguments)
    assert done.returncode == 1
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    if script == "run.py":
        [log] = tmp_path.glob("outputs/*/*/run.log")
        assert "Traceback" in log.read_text()


def test_of_sources_of_one_class_the_one_that_failed_is_named():
    source = {"_target_": "builtins.int", "_args_": ["x"]}
    splits = {"train": {"source": source}, "val": {"source": "${dataset.source}"}, "predict": {"source": source}}
    config = OmegaConf.create({"dataset": {"source": source, "splits": splits}})
    for stage, key in (("predict", "dataset.splits.predict.source"), ("val", "dataset.source")):
        with pytest.raises(InstantiationException) as raised:
            instantiate_at(f"dataset.splits.{stage}.source", source)
        assert str(task_errors.explain(raised.value, config)).startswith(f"{key} (builtins.int): ValueError: ")
