"""Betons read as one where they are."""

import os

import numpy as np
import pytest

from ffcv_hydra.beton import Beton, GrayscaleImageField, Manifest, write_beton
from ffcv_hydra.beton.data_digest import data_digest
from ffcv_hydra.cli.inspection import main
from ffcv_hydra.collection.facts import read_manifest
from ffcv_hydra.collection.index import read_index
from ffcv_hydra.collection.merging import merge
from ffcv_hydra.collection.shards import opened
from ffcv_hydra.collection.verification import verify
from ffcv_hydra.collection.writing import write_sharded_beton
from ffcv_hydra.errors import BetonError

SAMPLES = [(np.full(n % 5, n, np.uint8), n) for n in range(30)]


@pytest.fixture
def parts(tmp_path):
    """A file, a folder of shards, and a file in another folder."""
    paths = [tmp_path / "data/a.beton", tmp_path / "data/b.beton", tmp_path / "far/c.beton"]
    write_beton(SAMPLES[:8], paths[0], num_workers=0, description={"name": "a"})
    write_sharded_beton(SAMPLES[8:20], paths[1], shards=2, num_workers=0, description={"name": "b"})
    write_beton(SAMPLES[20:], paths[2], num_workers=0)
    return paths


def labels(path):
    return opened(path).field_metadata("int").tolist()


def test_a_merge_holds_the_samples_of_all_in_their_order(tmp_path, parts):
    write_beton(SAMPLES, tmp_path / "one.beton", num_workers=0)
    index = merge(parts, tmp_path / "data/all.beton")
    assert read_index(tmp_path / "data/all.beton") == index
    assert index.data == data_digest(Beton(tmp_path / "one.beton"))
    assert labels(tmp_path / "data/all.beton") == list(range(30))
    assert index.description == {"merged": [{"name": "a"}, {"name": "b"}, None]}
    assert os.listdir(tmp_path / "data/all.beton") == ["index.json"]
    assert not verify(tmp_path / "data/all.beton").findings
    merge([tmp_path / "data/all.beton"], tmp_path / "again.beton")  # of a merge, too
    assert labels(tmp_path / "again.beton") == list(range(30))


def test_what_is_below_one_folder_may_be_moved_with_it(tmp_path, parts):
    index = merge(parts, tmp_path / "data/all.beton")
    near = ["../a.beton", "../b.beton/00000.beton", "../b.beton/00001.beton"]
    assert [shard.file for shard in index.shards] == [*near, str(parts[2])]
    (tmp_path / "data").rename(tmp_path / "moved")
    assert labels(tmp_path / "moved/all.beton") == list(range(30))


def test_other_fields_are_refused_by_name(tmp_path, parts):
    write_beton([(np.zeros(1, np.uint8), 1.5)], tmp_path / "d.beton", {"bytes": None, "int": None}, num_workers=0)
    with pytest.raises(BetonError, match=r"d.beton: field 'int' is float, and in .*a.beton int; only betons of"):
        merge([parts[0], tmp_path / "d.beton"], tmp_path / "all.beton")
    for name, quality in (("e", 80), ("f", 90)):
        fields = {"image": GrayscaleImageField(jpeg_quality=quality)}
        write_beton([(np.zeros((8, 8), np.uint8),)], tmp_path / name, fields, num_workers=0)
    with pytest.raises(BetonError, match="f: its fields were made with other arguments than those of .*e$"):
        merge([tmp_path / "e", tmp_path / "f"], tmp_path / "all.beton")
    assert not (tmp_path / "all.beton").exists()


def test_no_file_comes_twice_and_nothing_is_replaced(tmp_path, parts):
    for twice in ([parts[0], parts[0]], [parts[1], parts[1] / "00001.beton"]):
        with pytest.raises(BetonError, match=r"\.beton would be in it twice; leave one of them out"):
            merge(twice, tmp_path / "all.beton")
    with pytest.raises(BetonError, match="c.beton exists already; choose another output, or remove it"):
        merge(parts[:2], parts[2])
    with pytest.raises(BetonError, match="no such file"):
        merge([parts[0], tmp_path / "missing"], tmp_path / "all.beton")
    assert sorted(os.listdir(tmp_path)) == ["data", "far"]


class Classes(list):
    def __init__(self, classes):
        super().__init__([(n,) for n in range(3)])
        self.classes = classes

    def manifest(self):
        return Manifest(num_items=3, classes=self.classes)


def test_one_number_has_one_class(tmp_path):
    for name, classes in (("a", ["cat", "dog"]), ("b", ["cat", "dog", "eel"]), ("c", ["cat", "eel"])):
        write_beton(Classes(classes), tmp_path / name, num_workers=0)
    merge([tmp_path / "a", tmp_path / "b"], tmp_path / "all")
    assert read_manifest(tmp_path / "all").classes == ["cat", "dog", "eel"]
    with pytest.raises(BetonError, match="c: class 1 is 'eel', and in .*a 'dog'; convert one anew"):
        merge([tmp_path / "a", tmp_path / "c"], tmp_path / "other")


def test_a_beton_that_names_no_classes_among_others_is_told(tmp_path, parts, caplog):
    write_beton(Classes(["cat", "dog"]), tmp_path / "named", num_workers=0)
    write_beton([(n,) for n in range(3)], tmp_path / "silent", num_workers=0)
    merge([tmp_path / "named", tmp_path / "silent"], tmp_path / "all")
    assert f"{tmp_path / 'silent'}: names no classes: its numbers count as the others' do" in caplog.text
    assert read_manifest(tmp_path / "all") is None
    caplog.clear()
    merge(parts, tmp_path / "rest")
    assert not caplog.text


def test_the_command_says_what_was_merged(tmp_path, parts, capsys):
    output = tmp_path / "all.beton"
    assert main(["merge", *map(str, parts), "--output", str(output)]) == 0
    assert capsys.readouterr().out.startswith(f"{output}: 30 samples in 4 shards, ")
    assert main(["merge", *map(str, parts), "--output", str(output)]) == 1
    assert capsys.readouterr().err == f"{output} exists already; choose another output, or remove it\n"
