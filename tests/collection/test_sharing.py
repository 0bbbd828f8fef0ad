"""One conversion by several workers: the bytes of one process, whoever does what and whoever dies when."""

import os
import random
import re
import tempfile

import numpy as np
import pytest

from ffcv_hydra.beton.manifest import Manifest
from ffcv_hydra.beton.summary import BetonSummary
from ffcv_hydra.beton.writing import partial
from ffcv_hydra.beton.writing.partial import Partial, kept_from_others
from ffcv_hydra.beton_path import INDEX_NAME
from ffcv_hydra.collection import unfinished as unfinished_module
from ffcv_hydra.collection.sharing import Worker, WorkerSummary, make_shards
from ffcv_hydra.collection.unfinished import UnfinishedShards
from ffcv_hydra.collection.writing import write_sharded_beton
from ffcv_hydra.errors import ConversionError
from tests import processes

pytestmark = pytest.mark.timeout(120)
OPTIONS = {"num_workers": 0, "chunksize": 10, "page_size": 1 << 21, "shards": 7}


class Numbers:
    """100 samples, one value of each drawn; some fail while `broken` says so. Its items have names."""

    broken: set[int] = set()
    names = [f"{index}.txt" for index in range(100)]
    read: list[int] = []

    def __len__(self):
        return len(self.names)

    def __getitem__(self, index):
        self.read.append(index)
        if index in self.broken:
            raise ValueError("broken")
        return np.full(100 + index, index, dtype=np.uint8), index, np.random.rand()

    def manifest(self):
        return Manifest(self.names)


@pytest.fixture(autouse=True)
def _fresh(monkeypatch):
    monkeypatch.setattr(partial, "COMMIT_SECONDS", 0)
    monkeypatch.setattr(partial, "COMMIT_SHARE", 0)
    monkeypatch.setattr(Numbers, "broken", set())
    monkeypatch.setattr(Numbers, "read", [])


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def work(path, number, count=3, **options):
    return make_shards(Numbers(), path, worker=Worker(number, count), **(OPTIONS | options))


@pytest.fixture
def reference(tmp_path):
    folder = tmp_path / "reference"
    folder.mkdir()
    write_sharded_beton(Numbers(), folder / "a.beton", **OPTIONS)
    return contents(folder / "a.beton")


@pytest.mark.parametrize(("num_shards", "count"), [(7, 3), (3, 7), (64, 8), (1, 1)])
def test_every_worker_looks_at_all_shards_its_own_first(num_shards, count):
    shares = []
    for number in range(count):
        runs = list(Worker(number, count).runs(num_shards))
        shares += runs[0]
        assert sorted(shard for run in runs for shard in run) == list(range(num_shards))
    assert shares == list(range(num_shards))
    assert [run.start for run in Worker(1, 3).runs(9)] == [3, 2, 1, 0, 8, 7, 6]


def test_the_bytes_are_those_of_one_process_for_any_workers_and_interruptions(tmp_path, monkeypatch, reference):
    random_ = random.Random(7)
    for trial in range(8):
        folder, count = tmp_path / str(trial), random_.randint(1, 9)
        folder.mkdir()
        path = folder / "a.beton"
        for _ in range(random_.randint(0, 3)):
            at = random_.randrange(100)
            with monkeypatch.context() as patch, pytest.raises(ConversionError, match=f"sample {at}.*broken"):
                patch.setattr(Numbers, "broken", {at})
                work(path, random_.randrange(count), count, num_workers=at % 3)
            assert not path.exists()
        done = work(path, random_.randrange(count), count)
        assert isinstance(done, BetonSummary) and (done.path, done.num_samples, done.num_shards) == (path, 100, 7)
        assert contents(path) == reference
        assert os.listdir(folder) == ["a.beton"]
        assert work(path, 0, count) is None


def test_a_shard_that_another_worker_makes_is_left_to_it_and_the_last_one_finishes(tmp_path, reference):
    path = tmp_path / "a.beton"
    with pytest.raises(ConversionError):
        work(path, 0, on_warning="no")  # makes nothing
    with _someone_at(path, 2, 6):
        done = work(path, 2)
        assert done == WorkerSummary(path, [4, 5, 3, 1, 0], 5, 7)
        assert str(done) == f"{path}: shards 0 to 1, 3 to 5 of 7 made; 5 of 7 are there"
        assert str(work(path, 0)) == f"{path}: no shard of 7 made; 5 of 7 are there"
    Numbers.read.clear()
    assert isinstance(work(path, 1), BetonSummary)
    assert set(Numbers.read) - {0, *range(10)} == {*range(30, 50), *range(80, 100)}  # the portions of shards 2 and 6
    assert contents(path) == reference


def test_a_shard_that_was_finished_before_its_lock_was_had_is_not_made_again(tmp_path, monkeypatch):
    path, if_free = tmp_path / "a.beton", Partial.if_free
    work_but_99(path)
    shard = UnfinishedShards(path).shard_path(3)
    aside = shard.rename(tmp_path / "aside")

    def appears(of):
        if of == shard:
            aside.rename(shard)
        return if_free(of)

    monkeypatch.setattr(Partial, "if_free", appears)
    Numbers.read.clear()
    work_but_99(path)
    assert not set(Numbers.read) & set(range(10, 80))


def work_but_99(path):
    with pytest.MonkeyPatch.context() as patch, pytest.raises(ConversionError, match="sample 99.*broken"):
        patch.setattr(Numbers, "broken", {99})
        work(path, 0, 1)


class _someone_at:
    """Others that make some shards, and have begun the whole."""

    def __init__(self, path, *numbers):
        self.path, self.numbers = path, numbers

    def __enter__(self):
        work_but_99(self.path)
        shards = UnfinishedShards(self.path)
        for number in range(6):
            shards.shard_path(number).unlink()
        self.held = [Partial.locked(shards.shard_path(number)) for number in self.numbers]
        for held in self.held:
            held.__enter__()

    def __exit__(self, *error):
        for held in self.held:
            held.__exit__(*error)


@pytest.mark.parametrize("dies_in", ["index", "rename"])
def test_the_death_between_the_last_shard_and_the_end_is_mended_by_whoever_comes_next(
    tmp_path, monkeypatch, reference, dies_in
):
    path = tmp_path / "work" / "a.beton"

    class Killed(BaseException):
        pass

    def die(*arguments):
        raise Killed

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(unfinished_module, {"index": "write_index", "rename": "put_in_place"}[dies_in], die)
        work(path, 0)
    assert not path.exists()
    Numbers.read.clear()
    assert isinstance(work(path, 2), BetonSummary)
    assert set(Numbers.read) == set(range(10))  # the look at the first item and at the first finished shard
    assert contents(path) == reference
    assert os.listdir(path.parent) == ["a.beton"]


def test_what_workers_left_a_single_process_finishes(tmp_path, monkeypatch, reference):
    path = tmp_path / "a.beton"
    with monkeypatch.context() as patch, pytest.raises(ConversionError):
        patch.setattr(Numbers, "broken", {60})
        work(path, 1)
    write_sharded_beton(Numbers(), path, **OPTIONS)
    assert contents(path) == reference


def test_a_damaged_shard_is_made_again_before_the_index_is_written(tmp_path, monkeypatch, reference):
    path = tmp_path / "a.beton"
    with monkeypatch.context() as patch, pytest.raises(ConversionError):
        patch.setattr(Numbers, "broken", {99})
        work(path, 0, 1)
    shard = UnfinishedShards(path).shard_path(3)
    shard.write_bytes(shard.read_bytes()[:-100])
    work(path, 0, 1)
    assert contents(path) == reference


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"shards": 6}, "conversion.shards is 7 there, and 6 here"),
        ({"description": {"source": {"size": 9}}}, "source.size is 8 there, and 9 here"),
        ({"seed": 3}, "conversion.seed is 0 there, and 3 here"),
        ({"chunksize": 9}, "conversion.portions is 10 there, and 12 here"),
        ({"indices": [*range(1, 100), 0]}, "the dataset, the choice of its items, or the version of this package"),
    ],
)
def test_workers_that_convert_something_else_are_told_what(tmp_path, monkeypatch, changed, told):
    path, same = tmp_path / "a.beton", {"description": {"source": {"size": 8}}}
    with monkeypatch.context() as patch, pytest.raises(ConversionError, match="broken"):
        patch.setattr(Numbers, "broken", {99})
        work(path, 2, **same)
    before = contents(UnfinishedShards(path).folder)
    where = re.escape(str(UnfinishedShards(path).folder))
    match = rf"{where} was begun by worker 2 on \S+ for another conversion: .*{re.escape(told)}.*; give all workers the"
    with pytest.raises(ConversionError, match=match):
        work(path, 1, **(same | changed))
    assert contents(UnfinishedShards(path).folder) == before


def test_workers_that_see_another_dataset_are_told_what_differs(tmp_path, monkeypatch):
    path, same = tmp_path / "a.beton", {"description": {"source": {"size": 8}}}
    with monkeypatch.context() as patch, pytest.raises(ConversionError, match="broken"):
        patch.setattr(Numbers, "broken", {99})
        work(path, 2, **same)
    other = [*Numbers.names[:50], "new.txt", *Numbers.names[51:]]
    monkeypatch.setattr(Numbers, "names", other)
    told = r"seen from there, the source has changed: items added: 1 \(new.txt\), items removed: 1 \(50.txt\)"
    with pytest.raises(ConversionError, match=told):
        work(path, 1, **same)
    monkeypatch.undo()
    monkeypatch.setattr(Numbers, "__getitem__", lambda self, index: (np.zeros(7, dtype=np.uint8), index, 0.5))
    with pytest.raises(ConversionError, match=r"00004.beton: the dataset gives other samples here than are in it"):
        work(path, 1, **same)


def test_workers_keep_others_from_the_whole(tmp_path):
    path = tmp_path / "a.beton"
    with kept_from_others(path), kept_from_others(path), Partial.if_free(path) as held:
        assert held is None
    with Partial.if_free(path) as held:
        assert held is not None
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("launcher", ["local", "joblib", "submitit_local", "ray"])
def test_the_workers_of_any_launcher_make_one_beton(tmp_path, launcher):
    if launcher == "ray":  # too large to be among the development tools
        pytest.importorskip("hydra_plugins.hydra_ray_launcher")
    with tempfile.TemporaryDirectory(prefix="ray-", ignore_cleanup_errors=True) as ray_folder:  # of a short path
        environment = {**os.environ, "RAY_AUTH_MODE": "disabled", "RAY_TMPDIR": ray_folder}
        for arguments in (
            ["-m", f"hydra/launcher={launcher}", "conversion.workers=3", "conversion.worker=range(0,3)"],
            ["data_dir=alone"],
        ):
            done = processes.run(
                ["convert.py", *arguments, "dataset=toy", "conversion.shards=5"], tmp_path, environment, timeout=100
            )
            assert done.returncode == 0, done.stderr[-3000:]
    assert contents(tmp_path / "data/toy.beton") == contents(tmp_path / "alone/toy.beton")
    assert os.listdir(tmp_path / "data") == ["toy.beton"]


class Unpicklable(Numbers):
    def __init__(self):
        self.function = lambda: None


@pytest.mark.parametrize(
    ("dataset", "options", "told"),
    [
        (
            Numbers,
            {"worker": (3, 3)},
            "conversion.worker=3 conversion.workers=3: give the number of workers, and to each",
        ),
        (Numbers, {"worker": (-1, 3)}, "conversion.worker=-1"),
        (Numbers, {"worker": (True, 3)}, "conversion.worker=True"),
        (Numbers, {"shards": 101}, "shards=101: there are only 100 samples"),
        (Unpicklable, {}, "whether all workers convert the same cannot be told, since Unpicklable or a field cannot"),
    ],
)
def test_what_workers_cannot_do_is_refused(tmp_path, dataset, options, told):
    with pytest.raises(ConversionError, match=told):
        worker = Worker(*options.pop("worker", (0, 2)))
        make_shards(dataset(), tmp_path / "a.beton", worker=worker, **(OPTIONS | options))
    assert INDEX_NAME not in os.listdir(tmp_path)
