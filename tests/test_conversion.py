import os
import subprocess
import sys
import textwrap
import threading

import numpy as np
import pytest

from ffcv_hydra.beton import Beton
from ffcv_hydra.beton.fields.scalar_fields import IntField
from ffcv_hydra.collection.index import read_index
from ffcv_hydra.conversion import check_description, convert, create_beton_wrapper
from ffcv_hydra.errors import BetonError, ConversionError

pytestmark = pytest.mark.timeout(60)
DESCRIPTION = {"dataset": {"size": 32, "seed": 0}, "indices": None}
OTHER = {"dataset": {"size": 64, "seed": 0}, "indices": None}


def never_built():
    raise AssertionError("the dataset was built though the beton is there")


def values(path):
    return Beton(path).field_metadata("int").tolist()


def test_the_dataset_is_built_only_when_needed(tmp_path):
    path = tmp_path / "deep" / "a.beton"
    summary = convert(lambda: [(1,), (2,)], path, num_workers=0, description=DESCRIPTION)
    assert summary.num_samples == 2
    assert convert(never_built, path, description=DESCRIPTION) is None
    assert os.listdir(path.parent) == ["a.beton"]


def test_a_dataset_may_be_given_as_it_is(tmp_path):
    assert convert([(1,)], tmp_path / "a.beton", num_workers=0).num_samples == 1


def test_all_options_reach_the_writer(tmp_path):
    path = tmp_path / "a.beton"
    options = {"page_size": 1 << 22, "num_workers": 1, "chunksize": 1, "shuffle_indices": True, "seed": 5}
    convert([(n,) for n in range(20)], path, {"label": None}, indices=range(5, 15), progress=False, **options)
    beton = Beton(path)
    assert beton.page_size == 1 << 22
    stored = beton.field_metadata("label").tolist()
    assert sorted(stored) == list(range(5, 15)) != stored


def test_a_beton_of_another_description_is_refused_with_the_first_difference(tmp_path):
    path = tmp_path / "a.beton"
    convert([(1,)], path, num_workers=0, description=DESCRIPTION)
    for check in (lambda: convert(never_built, path, description=OTHER), lambda: check_description(path, OTHER)):
        with pytest.raises(BetonError) as caught:
            check()
        assert str(caught.value) == (
            f"{path} was made from another configuration: dataset.size is 32 in the file, but 64 is wanted; "
            f"use conversion.if_exists=overwrite, or choose another path"
        )
    assert check_description(path, {"indices": None, "dataset": {"seed": 0, "size": 32}}) is None


def test_if_exists_overwrite_replaces_the_file(tmp_path):
    path = tmp_path / "a.beton"
    convert([(1,)], path, num_workers=0, description=DESCRIPTION)
    convert([(2,)], path, num_workers=0, description=OTHER, if_exists="overwrite")
    assert values(path) == [2]
    assert Beton(path).description == OTHER


def test_if_exists_error_refuses(tmp_path):
    convert([(1,)], tmp_path / "a.beton", num_workers=0, if_exists="error")
    with pytest.raises(BetonError, match="exists already"):
        convert(never_built, tmp_path / "a.beton", if_exists="error")
    with pytest.raises(ConversionError, match="use keep, overwrite, append or error"):
        convert(never_built, tmp_path / "a.beton", if_exists="replace")


def test_a_beton_without_a_description_is_accepted_as_it_is(tmp_path):
    path = tmp_path / "a.beton"
    create_beton_wrapper([(1,)], path, num_workers=0)
    check_description(path, DESCRIPTION)
    assert convert(never_built, path, description=DESCRIPTION) is None


def test_a_beton_of_stock_ffcv_is_accepted_as_it_is(tmp_path):
    ffcv = pytest.importorskip("ffcv")
    path = tmp_path / "a.beton"
    ffcv.DatasetWriter(str(path), {"int": ffcv.fields.IntField()}, num_workers=1).from_indexed_dataset([(1,)])
    check_description(path, DESCRIPTION)
    assert convert(never_built, path, description=DESCRIPTION) is None


def test_R2_what_is_no_beton_is_not_kept(tmp_path):
    (tmp_path / "a.beton").write_text("some text\n" * 100)
    for description in (None, DESCRIPTION):
        with pytest.raises(BetonError, match="is not a beton"):
            convert(never_built, tmp_path / "a.beton", description=description)
    with pytest.raises(BetonError, match="no such file"):
        check_description(tmp_path / "missing.beton", None)


@pytest.mark.parametrize("if_exists", ["keep", "overwrite", "error"])
def test_a_second_conversion_waits_and_keeps_the_first_ones_file(tmp_path, if_exists):
    path = tmp_path / "a.beton"
    building, may_go_on = threading.Event(), threading.Event()

    def build_slowly():
        building.set()
        assert may_go_on.wait(30)
        return [(1,)]

    results = {}
    first = threading.Thread(
        target=lambda: results.update(first=convert(build_slowly, path, num_workers=0, description=DESCRIPTION))
    )
    second = threading.Thread(
        target=lambda: results.update(second=convert(never_built, path, if_exists=if_exists, description=DESCRIPTION))
    )
    first.start()
    assert building.wait(30)
    second.start()
    second.join(0.3)
    assert second.is_alive()
    may_go_on.set()
    first.join(30)
    second.join(30)
    assert results["first"].num_samples == 1
    assert results["second"] is None
    assert os.listdir(tmp_path) == ["a.beton"]


def test_a_failed_conversion_leaves_no_lock(tmp_path):
    with pytest.raises(ConversionError):
        convert([1], tmp_path / "a.beton", num_workers=0)
    assert os.listdir(tmp_path) == []


def test_a_path_that_cannot_be_written_is_one_line(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ConversionError, match="cannot write") as caught:
        convert(never_built, tmp_path / "file" / "a.beton")
    assert "\n" not in str(caught.value)


def test_the_wrapper_replaces_and_takes_fields_and_indices(tmp_path):
    path = tmp_path / "a.beton"
    create_beton_wrapper([(1, 2.5)], path)
    create_beton_wrapper(
        [(n, 2.5) for n in range(9)], path, [IntField(), None], indices=[3, 4], num_workers=1, chunksize=1
    )
    assert values(path) == [3, 4]
    assert Beton(path).description is None


@pytest.mark.timeout(150)
def test_a_script_without_main_guard_converts_its_own_dataset(tmp_path):
    script = """
        import numpy as np
        from PIL import Image
        from torch.utils.data import Dataset
        from ffcv_hydra import create_beton_wrapper

        class Toy(Dataset):
            def __init__(self):
                self.images = [Image.fromarray(np.random.randint(0, 256, (8, 8, 3), np.uint8)) for _ in range(30)]
            def __len__(self):
                return len(self.images)
            def __getitem__(self, index):
                return self.images[index], int(index)

        create_beton_wrapper(Toy(), "./data/toy.beton", num_workers=2, chunksize=4)
    """
    (tmp_path / "script.py").write_text(textwrap.dedent(script))
    command = [sys.executable, "script.py"]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
    beton = Beton(tmp_path / "data" / "toy.beton")
    assert beton.field_metadata("int").tolist() == list(range(30))
    assert np.all(beton.field_metadata("image")["width"] == 8)


@pytest.mark.parametrize("if_exists", ["keep", "overwrite", "error"])
def test_a_folder_in_the_place_of_a_beton_is_not_said_to_be_replaceable(tmp_path, if_exists):
    with pytest.raises((BetonError, ConversionError), match="is a directory; name .* in it") as found:
        convert([(1,)], tmp_path, num_workers=0, description=DESCRIPTION, if_exists=if_exists)
    assert "overwrite" not in str(found.value)


SAMPLES = [(n,) for n in range(20)]


def shard_values(path):
    return [value for shard in read_index(path).shards for value in values(shard.location(path))]


def test_a_beton_may_be_a_folder_of_shards(tmp_path):
    path = tmp_path / "deep" / "a.beton"
    summary = convert(lambda: SAMPLES, path, num_workers=0, description=DESCRIPTION, shards=3)
    assert (summary.num_samples, summary.num_shards) == (20, 3)
    assert shard_values(path) == list(range(20))
    for cut in ({"shards": 3}, {"shards": 4}, {"shard_size": "1MB"}, {}):  # the cut is no part of the description
        assert convert(never_built, path, description=DESCRIPTION, **cut) is None
    with pytest.raises(BetonError, match="a.beton was made from another configuration: dataset.size is 32"):
        convert(never_built, path, description=OTHER, shards=3)
    with pytest.raises(BetonError, match="a.beton exists already"):
        convert(never_built, path, if_exists="error", shards=3)
    with pytest.raises(ConversionError, match="conversion.shards=3 conversion.shard_size=1MB: they exclude each other"):
        convert(never_built, path, shards=3, shard_size="1MB")
    with pytest.raises(BetonError, match="shard is 1 in the file, but '<absent>' is wanted"):
        check_description(path / "00001.beton", DESCRIPTION)


def test_overwriting_makes_a_file_of_a_folder_and_a_folder_of_a_file(tmp_path):
    path = tmp_path / "a.beton"
    for number in range(2):
        dataset = [(number, n) for n in range(9)]
        convert(dataset, path, num_workers=0, if_exists="overwrite", description=OTHER, shards=4)
        assert len(read_index(path).shards) == 4
        convert(dataset, path, num_workers=0, if_exists="overwrite", description=DESCRIPTION)
        assert Beton(path).description == DESCRIPTION
        assert os.listdir(tmp_path) == ["a.beton"]


def test_a_damaged_index_is_replaced_only_by_overwriting(tmp_path):
    path = tmp_path / "a.beton"
    convert(SAMPLES, path, num_workers=0, shards=2)
    (path / "index.json").write_text("{")
    with pytest.raises(BetonError, match="index.json: is no index: .*; conversion.if_exists=overwrite replaces it"):
        convert(SAMPLES, path, num_workers=0, shards=2)
    convert(SAMPLES, path, num_workers=0, shards=2, if_exists="overwrite")
    assert shard_values(path) == list(range(20))


def test_what_was_replaced_when_a_process_was_killed_is_there_again(tmp_path):
    path = tmp_path / "a.beton"
    convert(SAMPLES, path, num_workers=0, shards=2, description=DESCRIPTION)
    for kept in (True, False):
        path.rename(tmp_path / ".a.beton.replaced")
        if kept:
            assert convert(never_built, path, description=DESCRIPTION) is None
        else:
            convert([(1,)], path, num_workers=0, description=OTHER, if_exists="overwrite")
            assert values(path) == [1]
        assert os.listdir(tmp_path) == ["a.beton"]


@pytest.mark.parametrize("cuts", [({"shards": 2}, {}), ({}, {"shards": 2})])
def test_what_a_conversion_into_other_files_left_is_removed(tmp_path, caplog, cuts):
    class Broken(list):
        def __getitem__(self, index):
            if index == 19:
                raise ValueError("broken")
            return super().__getitem__(index)

    path = tmp_path / "a.beton"
    with pytest.raises(ConversionError, match="broken"):
        convert(Broken(SAMPLES), path, num_workers=0, chunksize=3, description=OTHER, **cuts[0])
    assert len(os.listdir(tmp_path)) == 2
    convert(SAMPLES, path, num_workers=0, chunksize=3, description=OTHER, **cuts[1])
    assert os.listdir(tmp_path) == ["a.beton"]
    assert "is of another conversion; it is removed" in caplog.text


def test_a_worker_makes_its_part_or_keeps_what_is_there(tmp_path):
    path, options = tmp_path / "a.beton", {"num_workers": 0, "shards": 2, "description": DESCRIPTION}
    assert convert(SAMPLES, path, worker=1, workers=2, **options).num_shards == 2
    assert convert(never_built, path, worker=0, workers=2, **options) is None
    with pytest.raises(BetonError, match="was made from another configuration"):
        convert(never_built, path, worker=0, workers=2, **options | {"description": OTHER})


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"worker": 0, "shards": 2}, "conversion.worker=0 conversion.workers=None: give both, or none of them"),
        ({"workers": 2, "shards": 2}, "conversion.worker=None conversion.workers=2: give both, or none of them"),
        ({"worker": 0, "workers": 2}, "conversion.workers needs conversion.shards"),
        ({"worker": 0, "workers": 2, "shard_size": "1MB"}, "conversion.workers needs conversion.shards"),
        ({"worker": 0, "workers": 2, "shards": 2, "if_exists": "overwrite"}, "each would begin anew; remove .*a.beton"),
    ],
)
def test_a_worker_needs_to_know_its_part(tmp_path, options, told):
    with pytest.raises(ConversionError, match=told):
        convert(SAMPLES, tmp_path / "a.beton", num_workers=0, **options)
    assert os.listdir(tmp_path) == []
