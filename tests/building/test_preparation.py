"""A run's betons are compared with their sources, once, before they are read."""

import os
import sys
import threading
from pathlib import Path

import pytest
from hydra.errors import InstantiationException
from PIL import Image

from ffcv_hydra.beton import Beton, Manifest, appendix
from ffcv_hydra.building import preparation, source_look
from ffcv_hydra.building.preparation import convert_betons
from ffcv_hydra.building.targets import check_targets
from ffcv_hydra.cli.commands import _made_sources
from ffcv_hydra.cli.inspection import main
from ffcv_hydra.cli.resolvers import count_classes
from ffcv_hydra.collection.facts import read_manifest
from ffcv_hydra.collection.shards import opened
from ffcv_hydra.datasets import progress
from ffcv_hydra.errors import BetonError, ConfigError, SourceMissingError

pytestmark = pytest.mark.timeout(120)


def fill(folder, names, number=12):
    for name in names:
        (folder / name).mkdir(parents=True, exist_ok=True)
        for n in range(number):
            Image.new("RGB", (4, 4), (10 * n, 0, 0)).save(folder / name / f"{n}.png")


def config(tmp_path, splits=("train", "val"), target="ffcv_hydra.datasets.ImageFolder", **conversion):
    def split(name):
        source = {"_target_": target, "root": str(tmp_path / "photos"), "split": name}
        return {"source": source, "beton": str(tmp_path / f"{name}.beton"), "indices": None}

    return {
        "data_dir": str(tmp_path),
        "dataset": {"fields": {"image": {"write_mode": "raw"}, "label": None}, "splits": {s: split(s) for s in splits}},
        "conversion": {"if_exists": "keep", "num_workers": 0, "indices": None, "progress": False, **conversion},
    }


def prepare(*arguments, **options):
    return [summary is not None for _, summary in convert_betons(config(*arguments, **options))]


def _pack_version_2(description, checksums, manifest=b""):
    text = appendix._canonical(
        {
            "version": 2, "package_version": "0", "description": appendix.normalise(description),
            "fingerprint": appendix.fingerprint(description), "num_checksums": len(checksums),
        }
    ).encode()  # fmt: skip
    head = bytes(appendix.DIGEST_BYTES) + checksums.astype("<u8").tobytes()
    return head + text + len(text).to_bytes(8, "little") + appendix.MAGIC


def prepare_as_before(monkeypatch, *arguments, **options):
    """Write betons as the version before manifests did."""
    with monkeypatch.context() as patch:
        patch.setattr(appendix, "pack", _pack_version_2)
        prepare(*arguments, **options)


@pytest.mark.parametrize("shards", [None, 2])
def test_F1_what_has_become_of_the_source_is_one_error(tmp_path, shards):
    fill(tmp_path / "photos", ["cat", "dog"])
    assert prepare(tmp_path, shards=shards) == [True, True]
    assert prepare(tmp_path) == [False, False]
    fill(tmp_path / "photos", ["ant"])
    (tmp_path / "photos" / "dog" / "3.png").unlink()
    with (tmp_path / "photos" / "cat" / "5.png").open("ab") as file:
        file.write(b"more")
    with pytest.raises(BetonError) as caught:
        prepare(tmp_path)
    message = str(caught.value)
    assert message.count("classes added: 1 (ant)") == 2 and "renumbered" not in message  # it would come last
    for part in ("images added: ", "(ant/", "images removed: 1 (dog/3.png)", "images changed: 1 (cat/5.png)"):
        assert part in message
    assert "use conversion.if_exists=overwrite" in message and "conversion.if_source_changed=warn" in message
    assert "\n" not in message


def test_F1_a_difference_can_be_accepted_or_left_unseen_and_ends_with_overwrite(tmp_path, caplog, monkeypatch):
    fill(tmp_path / "photos", ["cat"])
    prepare(tmp_path)
    (tmp_path / "photos" / "cat" / "new.png").write_bytes((tmp_path / "photos" / "cat" / "1.png").read_bytes())
    assert prepare(tmp_path, if_source_changed="warn") == [False, False]
    [message] = caplog.messages
    assert "images added: 1 (cat/new.png)" in message and "kept" in message
    with monkeypatch.context() as patch:
        patch.setattr(preparation, "look", lambda builders: pytest.fail("looked"))
        assert prepare(tmp_path, if_source_changed="ignore") == [False, False]
    assert prepare(tmp_path, if_exists="overwrite") == [True, True]
    assert prepare(tmp_path) == [False, False]


def test_F1_a_source_that_is_not_here_is_no_error(tmp_path, caplog):
    caplog.set_level("INFO")
    fill(tmp_path / "photos", ["cat", "dog"])
    prepare(tmp_path)
    caplog.clear()
    (tmp_path / "photos").rename(tmp_path / "gone")
    assert prepare(tmp_path) == [False, False]
    assert [record.levelname for record in caplog.records] == ["INFO", "INFO"]
    assert "taken as it is; its source cannot be looked at (dataset.root=" in caplog.messages[0]
    assert count_classes(str(tmp_path / "photos"), str(tmp_path / "train.beton")) == 2


def test_F1_a_dataset_whose_module_is_not_here_is_not_missed(tmp_path, monkeypatch, caplog):
    (tmp_path / "own_module.py").write_text("def pairs(root, split):\n    return [(n, 1.5) for n in range(9)]\n")
    with monkeypatch.context() as patch:
        patch.syspath_prepend(tmp_path)
        wanted = config(tmp_path, target="own_module.pairs")
        wanted["dataset"]["fields"] = None
        list(convert_betons(wanted))
        monkeypatch.delitem(sys.modules, "own_module")
    (tmp_path / "own_module.py").unlink()
    check_targets(wanted, may_be_absent=_made_sources(wanted))
    caplog.set_level("INFO")
    assert [summary for _, summary in convert_betons(wanted)] == [None, None]
    assert caplog.messages == [
        f"{tmp_path}/{name}.beton: taken as it is; its source cannot be looked at"
        " (ModuleNotFoundError: No module named 'own_module')"
        for name in ("train", "val")
    ]
    (tmp_path / "val.beton").unlink()
    with pytest.raises(ConfigError, match="no module 'own_module'"):
        check_targets(wanted, may_be_absent=_made_sources(wanted))


def test_F1_a_source_that_is_here_and_cannot_be_built_any_more_has_changed(tmp_path, caplog):
    photos = tmp_path / "photos"
    fill(photos, ["cat", "dog"])
    prepare(tmp_path)
    for picture in (photos / "dog").iterdir():
        picture.unlink()
    with pytest.raises(BetonError, match=r"train.beton: it cannot be looked at any more \(.*/dog: no images; add some"):
        prepare(tmp_path)
    (photos / "dog").rmdir()
    (photos / "cat").rename(tmp_path / "gone")
    with pytest.raises(BetonError, match=r"val.beton: it cannot be looked at any more \(.*photos: no folders in it"):
        prepare(tmp_path)
    assert prepare(tmp_path, if_source_changed="warn") == [False, False]
    assert "no folders in it" in caplog.text and "kept" in caplog.text


def listed(root, split):
    """A dataset whose items an index names."""
    return [(int(line), 1.5) for line in (Path(root) / "index" / "list").read_text().split()]


@pytest.mark.parametrize(
    ("lost", "is_here"), [("photos", False), ("photos/index", True), ("photos/index/list", True), (None, True)]
)
def test_F1_a_file_that_is_missing_below_a_source_that_is_here_is_a_change(tmp_path, lost, is_here, caplog):
    caplog.set_level("INFO")
    (tmp_path / "photos" / "index").mkdir(parents=True)
    (tmp_path / "photos" / "index" / "list").write_text("1 2 3")
    wanted = config(tmp_path, ["train"], f"{__name__}.listed")
    wanted["dataset"]["fields"] = None
    list(convert_betons(wanted))
    if lost is None:
        (tmp_path / "photos" / "index" / "list").write_text("1 2 x")
    else:
        (tmp_path / lost).rename(tmp_path / "gone")
    caplog.clear()
    if is_here:
        with pytest.raises(BetonError, match=r"it cannot be looked at any more \((FileNotFound|Value)Error: "):
            list(convert_betons(wanted))
    else:
        list(convert_betons(wanted))
        assert "taken as it is; its source cannot be looked at (FileNotFoundError: " in caplog.text


def test_F1_what_would_have_to_be_downloaded_or_lies_elsewhere_is_not_here(tmp_path):
    from ffcv_hydra.building.conversion_config import build_to_look

    (tmp_path / "data").mkdir()
    absent = {"_target_": f"{__name__}.listed", "root": str(tmp_path / "data"), "split": "train"}
    with pytest.raises(InstantiationException):
        build_to_look(absent)
    with pytest.raises(SourceMissingError):  # the folder is there for the beton
        build_to_look(absent, tmp_path / "data" / "x.beton")
    with pytest.raises(SourceMissingError):
        build_to_look({"_target_": f"{__name__}.downloaded", "root": str(tmp_path), "download": True})


def downloaded(root, download):
    raise RuntimeError("you can use download=True")


class Mute:
    """Says how it looks, until it cannot; with a length or without."""

    def __init__(self, root, split):
        self.path = Path(root)

    def manifest(self):
        return Manifest([path.name for path in self.path.iterdir()])

    def __getitem__(self, index):
        return (index, 1.5)


class MuteWithLength(Mute):
    def __len__(self):
        return 1


class MuteShards(Mute):
    shard_names = ("only",)

    def read_shard(self, number):
        yield (number, 1.5)


@pytest.mark.parametrize("target", ["MuteWithLength", "MuteShards"])
def test_F1_a_manifest_that_fails_in_the_look_is_told(tmp_path, target, caplog):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "one").touch()
    wanted = config(tmp_path, ["train"], f"{__name__}.{target}")
    wanted["dataset"]["fields"] = None
    list(convert_betons(wanted))
    (tmp_path / "photos").rename(tmp_path / "gone")
    list(convert_betons(wanted))
    [message] = caplog.messages
    assert f"{tmp_path}/train.beton: looking at its source: {target}.manifest() raised FileNotFoundError: " in message


def test_F1_a_source_that_ends_its_process_is_told(tmp_path, caplog, monkeypatch):
    fill(tmp_path / "photos", ["cat"])
    prepare(tmp_path)
    caplog.clear()
    monkeypatch.setattr(preparation, "build_to_look", lambda *arguments: os._exit(3))
    assert prepare(tmp_path) == [False, False]
    assert len(caplog.messages) == 2 and all("whether it has changed is not known" in line for line in caplog.messages)


class Endless:
    def __init__(self, root, split):
        if STUCK.is_set():
            progress.report(3000, "things")
            progress.report(3001, "things")
            threading.Event().wait()

    def __len__(self):
        return 3

    def __getitem__(self, index):
        return (index, 1.5)


STUCK = threading.Event()


def test_F1_a_look_that_takes_too_long_is_stopped_and_says_how_far_it_came(tmp_path, caplog, monkeypatch):
    wanted = config(tmp_path, ["train"], f"{__name__}.Endless")
    wanted["dataset"]["fields"] = None
    assert [summary is not None for _, summary in convert_betons(wanted)] == [True]
    monkeypatch.setattr(preparation, "look", lambda builders: source_look.look(builders, 0.5))
    monkeypatch.setattr(STUCK, "is_set", lambda: True)
    assert [summary for _, summary in convert_betons(wanted)] == [None]
    [message] = caplog.messages
    assert "was looked at for 10 s, as far as 3,000 things (it had 3 items)" in message
    assert f"verify --source {tmp_path}/train.beton" in message


def test_F1_betons_of_before_are_kept_with_one_notice(tmp_path, caplog, monkeypatch):
    fill(tmp_path / "photos", ["cat", "dog"])
    prepare_as_before(monkeypatch, tmp_path)
    fill(tmp_path / "photos", ["ant"])
    assert prepare(tmp_path) == [False, False]
    [message] = caplog.messages
    assert f"{tmp_path}/train.beton, {tmp_path}/val.beton: made by an earlier version" in message


def test_F1_a_split_is_not_drawn_beside_one_of_the_earlier_rule(tmp_path, monkeypatch):
    fill(tmp_path / "photos", ["cat", "dog"])
    prepare_as_before(monkeypatch, tmp_path, ["train"])
    with pytest.raises(ConfigError, match=r"train.beton was made by an earlier version.*\S*val.beton would hold some"):
        prepare(tmp_path)
    assert prepare(tmp_path, if_exists="overwrite") == [True, True]


def test_F1_nothing_is_looked_at_whose_items_follow_from_its_arguments(tmp_path, monkeypatch):
    wanted = config(tmp_path)
    for split in wanted["dataset"]["splits"].values():
        split["source"] = {"_target_": "ffcv_hydra.datasets.ToyImages", "num_samples": 3}
    list(convert_betons(wanted))
    monkeypatch.setattr(preparation, "look", lambda builders: pytest.fail("looked"))
    list(convert_betons(wanted))
    assert Beton(tmp_path / "train.beton").manifest.digests is None


def test_F1_nothing_is_downloaded_in_order_to_look():
    from ffcv_hydra.building.conversion_config import build_to_look

    assert build_to_look({"_target_": "builtins.dict", "download": True}) == {"download": False}


@pytest.mark.parametrize("shards", [None, 3])
def test_F1_verify_source_names_the_samples_that_differ(tmp_path, capsys, shards):
    fill(tmp_path / "photos", ["cat", "dog"])
    prepare(tmp_path, ["train"], shuffle_indices=True, shards=shards)
    path = tmp_path / "train.beton"
    assert main(["verify", str(path), "--source"]) == 0
    assert f"{path}: holds what its source gives" in capsys.readouterr().out
    names = read_manifest(path).sample_names(opened(path).num_samples)
    changed, removed = names[3], names[5]
    picture = tmp_path / "photos" / changed
    Image.new("RGB", (4, 4), (0, 255, 0)).save(picture)
    (tmp_path / "photos" / removed).unlink()
    assert main(["verify", str(path), "--source"]) == 1
    found = capsys.readouterr().out.splitlines()
    assert f"{path}: sample 3 ({changed}): the source gives something else now" in found
    assert f"{path}: sample 5 ({removed}): is not in the source any more" in found
    assert any(f"images removed: 1 ({removed})" in line for line in found)
    assert len([line for line in found if ": sample " in line]) == 2
    (tmp_path / "photos").rename(tmp_path / "gone")
    assert main(["verify", str(path), "--source"]) == 1
    assert "cannot be looked at: dataset.root=" in capsys.readouterr().err


def test_F1_info_shows_the_manifest(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "150")
    fill(tmp_path / "photos", ["cat", "dog"])
    prepare(tmp_path, ["train"])
    assert main(["info", str(tmp_path / "train.beton")]) == 0
    shown = capsys.readouterr().out
    number = Beton(tmp_path / "train.beton").num_samples
    assert f"{number} images; " in shown and "2 classes: 0 cat, 1 dog" in shown
