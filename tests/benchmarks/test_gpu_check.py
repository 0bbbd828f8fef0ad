"""The check for machines with a GPU, as far as it can be tried on the CPU, where there are no copies and no streams."""

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from PIL import Image
from rich.console import Console

from benchmarks import photos
from benchmarks.contest import Result
from benchmarks.gpu_check import checks, data
from benchmarks.gpu_check.__main__ import Row, _row, _table, main
from benchmarks.work import RANDOM_CROP, Work
from ffcv_hydra.beton import RandomAccessImageField, write_beton
from ffcv_hydra.loader.engine import buffers
from ffcv_hydra.loader.plan import modules
from ffcv_hydra.loader.position import Position
from ffcv_hydra.operations import ToDevice

ROOT = Path(__file__).parents[2]
WORK = Work(RANDOM_CROP, photos=32, batch_size=4, size=16, workers=2)
TINY = {
    **{"device": "cpu", "workers": 2, "models": "resnet18", "small-models": "resnet18", "compile": "off", "size": 32},
    **{"photos": 8, "copies": 1, "batch-size": 2, "small": 8, "small-batch-size": 2, "checked-batch-size": 4},
    **{"seconds": 0.01, "most-lost": 1, "checks-seconds": 400, "small-seconds": 100},
}


@pytest.fixture(scope="module")
def beton(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photos")
    data.make(folder, [WORK.photos], 4)
    paths = sorted((folder / photos.FOLDER).glob("photos-*/*.jpg"))
    samples = [(Image.open(path).convert("RGB"), number) for number, path in enumerate(paths)]
    fields = {"image": RandomAccessImageField("jpg"), "label": None}
    write_beton(samples, folder / "photos.beton", fields, num_workers=1, progress=False)
    return folder / "photos.beton"


def broken_memory(patch):
    for kind in (buffers._Buffer, buffers._FormedBuffer):
        patch.setattr(kind, "is_free", lambda buffer: True)


def broken_device(patch):
    patch.setattr(ToDevice, "apply", lambda operation, batch: batch.contiguous().flip(0))


def broken_seeds(patch):
    patch.setattr(modules, "_seed", lambda *_: None)


def broken_position(patch):
    patch.setattr(Position, "delivered", lambda *_: None)


def broken_fork(patch):
    here = os.getpid()
    take = buffers.BufferPool.take_formed

    def take_here(pool, *arguments):
        if os.getpid() != here:
            raise RuntimeError("Cannot re-initialize CUDA in forked subprocess")
        return take(pool, *arguments)

    patch.setattr(buffers.BufferPool, "take_formed", take_here)


BROKEN = [
    ("memory_of_copies", broken_memory, "values differ"),
    ("held_batches", broken_memory, "values differ"),
    ("to_device", broken_device, "values differ"),
    ("device_transforms", broken_seeds, "two keys draw the same numbers"),
    ("two_streams", broken_memory, "values differ"),
    ("resume", broken_position, "batches, not 16"),
    ("resumed_run", broken_position, "the batches behind the checkpoint are other ones"),
    ("forked_process", broken_fork, "Cannot re-initialize CUDA"),
]


@pytest.mark.timeout(120)
@pytest.mark.filterwarnings("ignore:.*dirpath has changed.*", "ignore:.*use of fork.*")
@pytest.mark.parametrize("name, broken, reason", BROKEN)
def test_a_check_fails_if_what_it_is_about_is_broken_and_only_then(name, broken, reason, beton):
    checks.CHECKS[name](beton, WORK)
    with pytest.MonkeyPatch.context() as patch:
        broken(patch)
        with pytest.raises(AssertionError, match=reason):
            checks.CHECKS[name](beton, WORK)


@pytest.mark.timeout(120)
def test_a_run_that_fails_says_why(beton, monkeypatch):
    monkeypatch.setattr(checks, "EXPERIMENT", "no_such_experiment")
    with pytest.raises(AssertionError, match=r"no_such_experiment.*status \d"):
        checks.composed_run(beton, WORK)


def test_every_check_is_tried():
    assert {*(name for name, *_ in BROKEN), "composed_run"} == set(checks.CHECKS)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A run of all parts, one of which has no time; what it printed, and what it wrote."""
    out = tmp_path_factory.mktemp("results")
    options = [f"--{name}={value}" for name, value in {**TINY, "training-seconds": 0, "out": out}.items()]
    done = subprocess.run(
        [ROOT / "benchmarks/gpu_check.sh", *options, "--contenders", "ours", "no_such_contender"],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHON": sys.executable, "OMP_NUM_THREADS": "1"},
    )
    return done, json.loads((out / "gpu_check.json").read_text())


@pytest.mark.exhaustive
@pytest.mark.timeout(500)
def test_what_there_was_no_time_for_is_reported_and_the_rest_is_done(whole):
    done, record = whole
    rows = {(row["part"], row["what"]): row for row in record["rows"]}
    assert done.returncode == 1, done.stderr
    assert rows["training", "resnet18: ours"]["wrong"] == "ran out of time"
    measured = rows["small", "resnet18: ours"]
    assert measured["from_loader"] > 0 and measured["resident"] > 0 and not measured["wrong"], measured
    assert measured["lost"] == 1 - measured["from_loader"] / measured["resident"]
    absent = rows["small", "resnet18: no such contender"]
    assert absent["note"].startswith("not installed") and not absent["wrong"]
    assert record["machine"]["torch"] == torch.__version__.split("+")[0] and set(record["seconds"]) >= {"data", "small"}


@pytest.mark.exhaustive
def test_all_checks_are_done_by_the_script(whole):
    done, record = whole
    found = {row["what"]: row["wrong"] for row in record["rows"] if row["part"] == "checks"}
    assert found == {check.__doc__: "" for check in checks.CHECKS.values()}
    assert "WRONG: ran out of time" in done.stdout and "lost to data" in done.stdout


def test_without_a_gpu_it_is_one_line(monkeypatch, capsys):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert main([]) == 1
    assert capsys.readouterr().out == "no GPU here that torch can use: nothing was checked\n"


@pytest.mark.parametrize(
    "part, from_loader, is_wrong", [("small", 94, True), ("small", 96, False), ("training", 5, False)]
)
def test_small_images_must_not_be_waited_for(part, from_loader, is_wrong):
    ours = SimpleNamespace(result=Result("ours"))
    row = _row(SimpleNamespace(most_lost=0.05), part, "resnet", ours, {"from_loader": from_loader, "resident": 100})
    assert row.lost == pytest.approx(1 - from_loader / 100)
    assert bool(row.wrong) is is_wrong


def test_the_table_shows_messages_as_they_are(capsys):
    Console(width=200).print(_table([Row("checks", "memory", wrong="expected [/tmp] to be [red]")]))
    assert "WRONG: expected [/tmp] to be [red]" in capsys.readouterr().out


def test_photos_are_as_many_and_as_large_as_those_of_other_benchmarks(tmp_path):
    data.make(tmp_path, [len(photos.SIZES)], 3)
    sizes = [path.stat().st_size for path in (tmp_path / photos.FOLDER).glob("photos-*/*.jpg")]
    assert len(sizes) == len(photos.SIZES) and 40_000 < sum(sizes) / len(sizes) < 80_000
