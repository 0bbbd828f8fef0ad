"""`_target_` nodes are checked before anything is built."""

import sys

import pytest

from ffcv_hydra.building.targets import check_targets, locate, target_nodes
from ffcv_hydra.errors import ConfigError


@pytest.fixture
def module(tmp_path, monkeypatch):
    (tmp_path / "user_code.py").write_text(
        "class Data:\n    def __init__(self, root, size=3):\n        pass\n"
        "def anything(**options):\n    pass\n"
        "NUMBER = 3\n"
    )
    (tmp_path / "needs_more.py").write_text("import a_package_that_is_not_there\n")
    (tmp_path / "fails.py").write_text("1 / 0\n")
    monkeypatch.syspath_prepend(tmp_path)
    yield
    for name in ("user_code", "needs_more", "fails"):
        sys.modules.pop(name, None)


def test_nodes_are_found_at_any_depth():
    config = {"a": {"_target_": "x", "b": [{"_target_": "y"}, {"c": {"_target_": "z"}}]}}
    assert [(key, node["_target_"]) for key, node in target_nodes(config)] == [
        ("a", "x"),
        ("a.b[0]", "y"),
        ("a.b[1].c", "z"),
    ]


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("user_code.Dat", r"model._target_=user_code.Dat: no 'Dat' in user_code; did you mean 'Data'\?"),
        ("user_cod.Data", r"no module 'user_cod'"),
        ("needs_more.Data", r"needs a package that is missing .*a_package_that_is_not_there"),
        ("fails.Data", r"fails fails to import \(ZeroDivisionError"),
        ("user_code.NUMBER", r"this is a int; name a class or a function"),
        ("Data", r"write the full name"),
        (3, r"write the full name"),
    ],
)
def test_target_that_cannot_be_imported_is_explained(module, target, message):
    with pytest.raises(ConfigError, match=message):
        locate(target, "model")


def test_modules_of_the_current_folder_are_suggested(tmp_path, monkeypatch):
    (tmp_path / "my_module.py").touch()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=r"no module 'my_modul'; did you mean 'my_module'\?"):
        locate("my_modul.Data", "dataset.source")


def test_unknown_argument_names_the_nearest_right_one(module):
    with pytest.raises(ConfigError, match=r"unknown key 'dataset.source.rot': did you mean 'dataset.source.root'\?"):
        check_targets({"source": {"_target_": "user_code.Data", "rot": "x"}}, "dataset")


def test_hydras_own_keys_and_open_signatures_are_accepted(module):
    check_targets({"a": {"_target_": "user_code.Data", "_convert_": "all", "size": 3}})
    check_targets({"a": {"_target_": "user_code.anything", "whatever": 3}})


def test_schedule_may_hold_what_the_model_reads(module):
    schedule = {"_target_": "torch.optim.lr_scheduler.StepLR", "step_size": 1, "interval": "step", "warmup": 0.1}
    check_targets({"model": {"scheduler": schedule}})
    with pytest.raises(ConfigError, match=r"step_siz"):
        check_targets({"model": {"scheduler": {**schedule, "step_siz": 2}}})
