"""Further shards of a beton: what was there stays what it was, and what cannot be appended is named."""

import os
import re

import numpy as np
import pytest
from PIL import Image

from ffcv_hydra.beton.fields.base import Field as Base
from ffcv_hydra.beton.inspection.source_comparison import compare_with_source
from ffcv_hydra.beton.manifest import Manifest
from ffcv_hydra.beton.writing import partial, placing
from ffcv_hydra.building.preparation import convert_betons
from ffcv_hydra.collection import appending, shard_writer, unfinished
from ffcv_hydra.collection.facts import read_manifest
from ffcv_hydra.collection.index import read_index
from ffcv_hydra.collection.shards import opened
from ffcv_hydra.collection.verification import verify
from ffcv_hydra.conversion import convert
from ffcv_hydra.datasets import ImageFolder, SplitFraction
from ffcv_hydra.errors import BetonError, ConversionError

pytestmark = pytest.mark.timeout(120)
DESCRIPTION = {"source": {"_target_": "items"}}


class Items:
    """Samples of a name, a size and a class each: the value of a sample is the number in its name."""

    def __init__(self, *items, broken=""):
        self.items = [re.fullmatch(r"([a-z]+)(\d+)(?::(\d+))?", item).groups() for item in items]
        self.classes = sorted({kind for kind, *_ in self.items})
        self.broken = broken

    def keep_classes(self, names):
        self.classes = list(dict.fromkeys([*names, *self.classes]))

    def __len__(self):
        return len(self.items)

    def __getitem__(self, index):
        kind, number, _ = self.items[index]
        if kind + number == self.broken:
            raise ValueError("broken")
        return np.full(1000, int(number), dtype=np.uint8), int(number), self.classes.index(kind)

    def manifest(self):
        return Manifest(
            [kind + number for kind, number, _ in self.items],
            [int(size or 1) for *_, size in self.items],
            [self.classes.index(kind) for kind, *_ in self.items],
            self.classes,
        )


FIRST = ["dog1", "dog2", "cow3", "cow4", "dog5"]
MORE = ["dog1", "cat10", "dog2", "dog11", "cow3", "cow4", "ant12", "dog5"]


@pytest.fixture(autouse=True)
def _commit_always(monkeypatch):
    monkeypatch.setattr(partial, "COMMIT_SECONDS", 0)
    monkeypatch.setattr(partial, "COMMIT_SHARE", 0)


def run(path, items, broken="", dataset=Items, **options):
    fields = {"data": None, "number": None, "label": None}
    defaults = {"num_workers": 0, "description": DESCRIPTION, "if_exists": "append", "chunksize": 2}
    return convert(dataset(*items, broken=broken), path, fields, **(defaults | options))


def column(path, name):
    return opened(path).field_metadata(name).tolist()


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_what_is_new_comes_after_what_is_there(tmp_path):
    path = tmp_path / "a.beton"
    assert run(path, FIRST, shards=2).num_shards == 2
    before = contents(path)
    summary = run(path, MORE)
    assert (summary.path, summary.num_samples, summary.num_added, summary.num_shards) == (path, 8, 3, 3)
    assert column(path, "number") == [1, 2, 3, 4, 5, 10, 11, 12]
    assert column(path, "label") == [1, 1, 0, 0, 1, 3, 1, 2]
    manifest = read_manifest(path)
    assert manifest.classes == ["cow", "dog", "ant", "cat"]
    assert manifest.sample_names(8) == [*FIRST, "cat10", "dog11", "ant12"]
    assert all(contents(path)[name] == before[name] for name in before if name != "index.json")
    assert [shard.file for shard in read_index(path).shards] == ["00000.beton", "00001.beton", "00002.beton"]
    assert verify(path).findings == []
    assert os.listdir(tmp_path) == ["a.beton"]
    assert run(path, [*MORE, "bee13"], shards=1).num_added == 1
    assert read_manifest(path).classes == ["cow", "dog", "ant", "cat", "bee"]
    assert column(path, "label")[-1] == 4


@pytest.mark.parametrize(
    ("cut", "sizes"), [({}, [20]), ({"shards": 3}, [7, 7, 6]), ({"shards": 30}, [1] * 20), ({"shard_size": 8000}, None)]
)
def test_the_new_items_are_cut_as_is_said(tmp_path, cut, sizes):
    path = tmp_path / "a.beton"
    run(path, FIRST, shards=2)
    run(path, [*FIRST, *(f"dog{number}" for number in range(100, 120))], **cut)
    found = [shard.num_samples for shard in read_index(path).shards[2:]]
    assert found == sizes if sizes else len(found) > 1 and sum(found) == 20
    assert column(path, "number") == [*range(1, 6), *range(100, 120)]


def test_where_nothing_is_new_nothing_changes(tmp_path):
    path = tmp_path / "a.beton"
    run(path, FIRST, shards=1)
    before = contents(path)
    assert run(path, reversed(FIRST)) is None
    assert contents(path) == before
    assert read_index(path).num_samples == 5


def test_a_run_that_reads_meanwhile_keeps_what_it_began_with(tmp_path):
    path = tmp_path / "a.beton"
    run(path, FIRST, shards=2)
    reader = opened(path)
    run(path, MORE)
    assert reader.num_samples == 5
    assert reader.manifest.sample_names(5) == FIRST
    assert reader.checksums is not None
    assert opened(path).num_samples == 8


class Killed(BaseException):
    pass


@pytest.mark.parametrize("dies_at", ["second shard", "before the index", "after it"])
def test_a_killed_append_leaves_the_old_or_the_new_and_is_gone_on_with(tmp_path, monkeypatch, dies_at, caplog):
    path, other = tmp_path / "a.beton", tmp_path / "b.beton"
    for beton in (path, other):
        run(beton, FIRST, shards=2)
    run(other, MORE, shards=3)

    def die(*arguments):
        raise Killed

    with monkeypatch.context() as patch, pytest.raises(Killed):
        if dies_at == "second shard":
            entry = shard_writer.ShardWriter.entry
            patch.setattr(
                shard_writer.ShardWriter, "entry", lambda self, number: die() if number == 1 else entry(self, number)
            )
        else:
            write = appending.write_index
            first = write if dies_at == "after it" else die
            patch.setattr(appending, "write_index", lambda *arguments: die(first(*arguments)))
        patch.setattr(unfinished.UnfinishedShards, "leave", lambda self: None)  # as after SIGKILL
        run(path, MORE, shards=3)
    is_new = dies_at == "after it"
    assert opened(path).num_samples == (8 if is_new else 5)
    assert verify(path).findings == []
    read = []
    monkeypatch.setattr(Items, "__getitem__", _noted(Items.__getitem__, read))
    assert (run(path, MORE, shards=3) is None) == is_new
    assert contents(path) == contents(other)
    assert sorted(os.listdir(tmp_path)) == ["a.beton", "b.beton"]
    assert caplog.messages == []


def _noted(getitem, read):
    def get(self, index):
        read.append(index)
        return getitem(self, index)

    return get


def test_what_failed_is_gone_on_with_and_another_append_begins_anew(tmp_path, caplog):
    path, other = tmp_path / "a.beton", tmp_path / "b.beton"
    for beton in (path, other):
        run(beton, FIRST, shards=2)
    with pytest.raises(ConversionError, match="sample 6.*broken"):
        run(path, MORE, broken="ant12", shards=3)
    assert opened(path).num_samples == 5
    with pytest.raises(ConversionError, match="sample 6.*broken"):
        run(path, MORE, broken="ant12", shards=3)
    assert caplog.messages == []
    for beton in (path, other):
        run(beton, [*MORE, "dog20"], shards=2)
    assert "is of another conversion: seen from there, the source has changed: items added: 1 (dog20)" in caplog.text
    assert contents(path) == contents(other)


def test_what_an_interrupted_conversion_of_all_has_left_is_removed(tmp_path, caplog):
    path = tmp_path / "a.beton"
    run(path, FIRST, shards=2)
    with pytest.raises(ConversionError, match="broken"):
        run(path, MORE, broken="dog5", shards=3, if_exists="overwrite")
    assert {"a.beton.partial.shards", "a.beton.partial.facts"} <= set(os.listdir(tmp_path))
    assert run(path, MORE).num_added == 3
    assert "a.beton.partial.shards is of another conversion; it is removed" in caplog.text
    assert os.listdir(tmp_path) == ["a.beton"]


@pytest.mark.parametrize(
    ("items", "told"),
    [
        (["dog1", "dog2", "cow3", "dog5"], r"only what is new can be appended; items removed: 1 \(cow4\); "),
        ([*MORE[:-1], "dog5:77"], r"items changed: 1 \(dog5\)"),
        (["cow1", "cat7"], r"items removed: 5 \(dog1, dog2, cow3, ...\)"),
    ],
)
def test_what_was_removed_or_changed_is_named(tmp_path, items, told):
    path = tmp_path / "a.beton"
    run(path, FIRST, shards=1)
    before = contents(path)
    with pytest.raises(ConversionError, match=told + ".*conversion.if_exists=overwrite"):
        run(path, items)
    assert contents(path) == before


class Sorted(Items):
    """Numbers its classes in the order of the alphabet, whatever they were."""

    keep_classes = None


def test_classes_that_would_get_other_numbers_are_named(tmp_path):
    run(tmp_path / "a.beton", FIRST, dataset=Sorted)
    with pytest.raises(ConversionError, match=r"classes renumbered: 2 \(cow from 0 to 2, dog from 1 to 3\)"):
        run(tmp_path / "a.beton", MORE, dataset=Sorted)


@pytest.mark.parametrize("shuffle_indices", [False, True])
def test_samples_that_are_chosen_by_name_keep_their_split(tmp_path, shuffle_indices):
    path, half = tmp_path / "a.beton", SplitFraction(0, 0.5, seed=1)
    items = [f"dog{number}" for number in range(40)]
    more = [f"cat{number}" for number in range(40)]
    options = {"indices": half, "shuffle_indices": shuffle_indices}
    run(path, items, **options)
    before, split = column(path, "number"), SplitFraction(0, 0.3, seed=2)
    chosen = [before[index] for index in split.of_beton(opened(path))]
    run(path, more + items, **options)
    assert column(path, "number")[: len(before)] == before
    now = split.of_beton(opened(path))
    assert [column(path, "number")[index] for index in now if index < len(before)] == chosen
    assert any(index >= len(before) for index in now)
    names = read_manifest(path).sample_names(opened(path).num_samples)
    assert set(names) == {(more + items)[index] for index in half.of_names(more + items)}
    assert run(path, more + items, **options) is None


def test_items_that_are_not_chosen_are_known_from_then_on(tmp_path):
    path = tmp_path / "a.beton"
    run(path, FIRST, indices=SplitFraction(0, 0.5, seed=1), shards=1)
    new = next(f"cat{n}" for n in range(99) if not len(SplitFraction(0, 0.5, seed=1).of_names([f"cat{n}"])))
    before = read_index(path)
    assert run(path, [*FIRST, new], indices=SplitFraction(0, 0.5, seed=1)) is None
    assert read_manifest(path).names == [*FIRST, new]
    assert read_index(path).shards == before.shards
    assert verify(path).findings == []


def test_a_choice_that_differs_for_what_was_there_is_refused(tmp_path):
    path = tmp_path / "a.beton"
    run(path, FIRST, indices=[0, 1, 2])
    told = r"conversion.indices chooses others .*: items not chosen any more: 2 \(cow3, dog2\); choose by names"
    with pytest.raises(ConversionError, match=told):
        run(path, MORE, indices=[0, 1, 3])
    with pytest.raises(ConversionError, match=r"items of before that were not chosen then: 2 \(cow4, dog5\)"):
        run(path, MORE)


def test_a_single_file_becomes_the_first_shard(tmp_path):
    path = tmp_path / "a.beton"
    run(path, FIRST)
    content = path.read_bytes()
    assert run(path, FIRST) is None
    assert path.read_bytes() == content
    summary = run(path, MORE)
    assert (summary.num_samples, summary.num_added, summary.num_shards) == (8, 3, 2)
    assert (path / "00000.beton").read_bytes() == content
    assert column(path, "number") == [1, 2, 3, 4, 5, 10, 11, 12]
    assert verify(path).findings == []
    assert read_index(path).kinds == {"data": "bytes", "number": "int", "label": "int"}
    assert os.listdir(tmp_path) == ["a.beton"]
    run(tmp_path / "b.beton", FIRST, shards=1)
    run(tmp_path / "b.beton", MORE)
    assert column(tmp_path / "b.beton", "label") == column(path, "label")
    assert read_index(tmp_path / "b.beton").data == read_index(path).data


@pytest.mark.parametrize("dies_at", ["second shard", "first rename", "second rename"])
def test_killed_while_a_file_becomes_a_shard_nothing_is_lost(tmp_path, monkeypatch, dies_at):
    path = tmp_path / "a.beton"
    run(path, FIRST)
    renamed, rename, entry = [], os.rename, shard_writer.ShardWriter.entry

    def die(*arguments):
        renamed.append(arguments)
        if len(renamed) == (2 if dies_at == "second rename" else 1):
            raise Killed
        rename(*arguments)

    with monkeypatch.context() as patch, pytest.raises(Killed):
        if dies_at == "second shard":
            patch.setattr(shard_writer.ShardWriter, "entry", lambda self, n: die() if n else entry(self, n))
        patch.setattr(placing.os, "rename", die)
        patch.setattr(unfinished.UnfinishedShards, "leave", lambda self: None)  # as after SIGKILL
        run(path, MORE, shards=3)
    assert path.is_file() == (dies_at != "second rename")
    assert run(path, MORE, shards=3).num_samples == 8
    assert column(path, "number") == [1, 2, 3, 4, 5, 10, 11, 12]
    assert os.listdir(tmp_path) == ["a.beton"]


def test_where_an_append_is_refused_or_fails_a_file_stays_what_it_is(tmp_path, monkeypatch, caplog):
    path = tmp_path / "a.beton"
    run(path, FIRST)
    content = path.read_bytes()
    with pytest.raises(ConversionError, match="the new items have other fields"):
        convert(Items(*MORE), path, {"data": None, "other": None, "label": None}, num_workers=0, if_exists="append")
    with pytest.raises(ConversionError, match="broken"):
        run(path, MORE, broken="ant12", shards=3)
    assert path.read_bytes() == content
    run(path, MORE, shards=3)
    assert column(path, "number") == [1, 2, 3, 4, 5, 10, 11, 12]
    assert caplog.messages == []


def test_without_hard_links_a_file_stays_what_it_is(tmp_path, monkeypatch):
    path = tmp_path / "a.beton"
    run(path, FIRST)

    def refuse(*arguments):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(appending.os, "link", refuse)
    with pytest.raises(ConversionError, match=r"cannot become a shard, which takes a hard link \(Operation"):
        run(path, MORE)
    assert path.is_file() and os.listdir(tmp_path) == ["a.beton"]


class Pair(Base):
    """A class that only its user knows."""

    metadata_type = np.dtype([("first", "<i8"), ("second", "<i8")])

    def encode(self, destination, value, malloc):
        destination["first"], destination["second"] = value


class Pairs(Items):
    def __getitem__(self, index):
        return ((index, index + 1),)


def test_a_file_with_a_users_own_fields_grows(tmp_path):
    path, options = tmp_path / "a.beton", {"num_workers": 0, "if_exists": "append"}
    convert(Pairs(*FIRST), path, {"pair": Pair()}, **options)
    assert convert(Pairs(*MORE), path, {"pair": Pair()}, **options).num_samples == 8
    assert opened(path, {"pair": Pair}).num_samples == 8


def test_what_append_cannot_do_is_refused(tmp_path):
    path, options = tmp_path / "a.beton", {"num_workers": 0, "if_exists": "append"}
    convert([(1,), (2,)], path, **options)
    with pytest.raises(ConversionError, match="which items are new cannot be told, as those of list have no names"):
        convert([(1,), (2,), (3,)], path, **options)
    run(tmp_path / "b.beton", FIRST)
    with pytest.raises(BetonError, match="was made from another configuration"):
        run(tmp_path / "b.beton", MORE, description={"source": {"_target_": "others"}})
    with pytest.raises(ConversionError, match="the new items have other fields"):
        convert(Items(*MORE), tmp_path / "b.beton", {"data": None, "other": None, "label": None}, **options)
    with pytest.raises(ConversionError, match="conversion.workers: only one process appends"):
        run(path, MORE, shards=2, worker=0, workers=2)


def picture(path, number):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(number).integers(0, 256, (16, 16, 3), dtype=np.uint8)).save(path)


def test_a_folder_of_images_keeps_its_class_numbers_in_all_splits_and_for_later_looks(tmp_path, caplog):
    root, data = tmp_path / "images", tmp_path / "data"
    for kind in ("cow", "dog"):
        for number in range(12):
            picture(root / kind / f"{number}.png", number)

    def converted(**conversion):
        splits = {
            stage: {
                "source": {"_target_": "ffcv_hydra.datasets.ImageFolder", "root": str(root), "split": stage},
                "beton": str(data / f"{stage}.beton"),
            }
            for stage in ("train", "val")
        }
        config = {
            "data_dir": str(data),
            "dataset": {"fields": {"image": None, "label": None}, "splits": splits},
            "conversion": {"num_workers": 0, "indices": None, "progress": False, **conversion},
        }
        return [summary for _, summary in convert_betons(config)]

    converted(if_exists="append", shards=2)
    sizes = {stage: opened(data / f"{stage}.beton").num_samples for stage in ("train", "val")}
    names = {stage: read_manifest(data / f"{stage}.beton").names for stage in sizes}
    for number in range(12):
        picture(root / "ant" / f"{number}.png", 50 + number)
    with pytest.raises(
        BetonError, match=r"the source has changed .*; use conversion.if_exists=append to add what is new"
    ):
        converted(if_exists="keep")
    converted(if_exists="append")
    for stage, size in sizes.items():
        manifest = read_manifest(data / f"{stage}.beton")
        assert manifest.classes == ["cow", "dog", "ant"]
        assert manifest.names[:size] == names[stage]
        labels = column(data / f"{stage}.beton", "label")
        assert [manifest.classes[label] for label in labels] == [name.split("/")[0] for name in manifest.names]
        assert 2 in labels[size:]
        source = ImageFolder(root, stage)
        source.keep_classes(manifest.classes)
        fields = {"image": None, "label": None}
        assert list(compare_with_source(opened(data / f"{stage}.beton"), source, fields, num_workers=1)) == []
    assert converted(if_exists="keep") == converted(if_exists="append") == [None, None]
    import shutil

    shutil.rmtree(data / "val.beton")  # made again beside the other one, it has the same numbers
    converted(if_exists="keep", shards=2)
    assert read_manifest(data / "val.beton").classes == ["cow", "dog", "ant"]
    assert not [line for line in caplog.messages if "changed" in line]
