"""Members of `dataset=mixture` are composed as the datasets they name, when the command composes."""

import re

import pytest
import yaml
from hydra import compose, initialize_config_module

import ffcv_hydra.cli  # noqa: F401  (registers what completes configs)
from ffcv_hydra.cli.commands import resolve
from ffcv_hydra.errors import ConfigError

ISSUE = "dataset.members={a: {dataset: digits, share: 0.7}, b: {dataset: digit_scenes, share: 0.3, size: 24}}"


def composed(*overrides):
    with initialize_config_module("ffcv_hydra.conf", version_base="1.3"):
        return compose("convert", [f"data_dir={'/d'}", *overrides])


def test_a_member_is_what_its_dataset_is_but_for_what_it_says():
    plain = {name: resolve(composed(f"dataset={name}"))["dataset"] for name in ("digits", "digit_scenes")}
    mixed = resolve(composed("dataset=mixture", ISSUE))["dataset"]
    assert mixed["members"]["a"] == {"dataset": "digits", "share": 0.7, **plain["digits"]}
    b = mixed["members"]["b"]
    assert (b["size"], b["splits"]["val"]["source"]["size"], b["name"]) == (24, 24, "digit_scenes")
    assert b["fields"] == plain["digit_scenes"]["fields"]
    assert mixed["splits"]["train"]["members"]["b"]["beton"] == "/d/digit_scenes_train.beton"


def test_later_overrides_reach_a_member():
    config = composed("dataset=mixture", ISSUE, "dataset.members.a.share=[1,0]", "+dataset.members.a.name=mine")
    split = resolve(config)["dataset"]["splits"]["train"]["members"]["a"]
    assert (split["share"], split["beton"]) == ([1, 0], "/d/mine_train.beton")


def test_a_members_mapping_is_changed_and_not_replaced():
    config = composed("dataset=mixture", "dataset.members={a: {dataset: toy, share: 1, source: {size: 16}}}")
    source = resolve(config)["dataset"]["splits"]["train"]["members"]["a"]["source"]
    assert source == {"_target_": "ffcv_hydra.datasets.ToyImages", "num_samples": 256, "size": 16, "seed": 0}


def test_evaluation_reads_all_members_in_turn_or_those_that_are_named():
    splits = resolve(composed("dataset=mixture", ISSUE))["dataset"]["splits"]
    assert list(splits["val"]["members"]) == ["a", "b"] and "share" not in splits["val"]["members"]["a"]
    splits = resolve(composed("dataset=mixture", ISSUE, "dataset.evaluate_on=[b]"))["dataset"]["splits"]
    assert list(splits["test"]["members"]) == ["b"] and list(splits["train"]["members"]) == ["a", "b"]


def test_the_number_of_classes_is_that_of_all_members_or_none():
    assert resolve(composed("dataset=mixture", ISSUE))["dataset"]["num_classes"] is None
    alike = "dataset.members={a: {dataset: digits, share: 1}, b: {dataset: digits, share: 1, name: more}}"
    assert resolve(composed("dataset=mixture", alike))["dataset"]["num_classes"] == 10


@pytest.mark.parametrize(
    ("members", "told"),
    {
        "{a: {dataset: digit, share: 1}}": "dataset.members.a.dataset=digit: there is no such option; did you mean",
        "{a: {dataset: mixture, share: 1}}": "dataset.members.a.dataset=mixture: there is no such option",
        "{a: {dataset: digits}}": "dataset.members.a.share is missing",
        "{a: {share: 1}}": "dataset.members.a: write which dataset it is and its share",
        "{a: 1}": "dataset.members.a: write which dataset it is and its share",
        "{a: {dataset: digits, share: 1, nam: x}}": "dataset.members.a.nam': did you mean 'dataset.members.a.name'?",
        "{a-1: {dataset: digits, share: 1}}": "'a-1' is no name of a member",
    }.items(),
)
def test_a_member_that_is_wrong_is_named(members, told):
    with pytest.raises(ConfigError, match=re.escape(told)):
        composed("dataset=mixture", f"dataset.members={members}")


def test_members_that_cannot_be_read_together_are_named():
    with pytest.raises(ConfigError, match="evaluate_on: there is no member 'c'"):
        resolve(composed("dataset=mixture", ISSUE, "dataset.evaluate_on=[c]"))
    bare = "dataset.members={a: {dataset: toy, share: 1, splits: {train: null}}}"
    with pytest.raises(ConfigError, match="members.a: toy has no train split"):
        resolve(composed("dataset=mixture", bare))


@pytest.mark.timeout(200)
@pytest.mark.parametrize("value", ["share: -1", "share: x", "share: [1, x]", "share: 1, fields: {image: 3}"])
def test_a_member_is_checked_as_a_dataset_is(command, value):
    failed = command("convert.py", "dataset=mixture", f"dataset.members={{a: {{dataset: digits, {value}}}}}")
    assert failed.returncode == 1
    assert re.fullmatch(r"dataset\.members\.a\.(share|fields\.image)=.*\n", failed.stderr)


@pytest.mark.timeout(200)
def test_the_command_shows_whole_members_and_converts_each_as_on_its_own(command, tmp_path):
    members = "dataset.members={a: {dataset: toy, share: 2}, b: {dataset: array, share: 1}}"
    shown = command("run.py", "dataset=mixture", members, "--cfg", "job").stdout
    assert yaml.safe_load(shown)["dataset"]["members"]["b"]["source"]["_target_"] == "ffcv_hydra.datasets.ToyArrays"
    assert command("convert.py", "dataset=mixture", members).returncode == 0
    assert {path.name for path in (tmp_path / "data").iterdir()} == {"toy.beton", "array.beton"}
    assert "exists and was kept" in command("convert.py", "dataset=toy").stdout
