"""Conversions that are killed at random points. CRASH_KILLS=1000 (`make crash-test`) kills more often.

A conversion runs in a process of its own, forked from this one, and counts its Python calls; at a number drawn from the
seed it kills itself, or a worker. So every point is reached, from before the first byte to after the last rename, and
a seed gives the same point again.
"""

import multiprocessing
import os
import random
import shutil
import signal
import sys
import warnings

import numpy as np
import pytest

from ffcv_hydra import conversion
from ffcv_hydra.beton import Beton, write_beton
from ffcv_hydra.beton.manifest import Manifest
from ffcv_hydra.beton.writing import partial, worker_pool
from ffcv_hydra.collection.index import read_index
from ffcv_hydra.collection.sharing import Worker, make_shards
from ffcv_hydra.collection.writing import write_sharded_beton
from ffcv_hydra.errors import ConversionError

KILLS = int(os.environ.get("CRASH_KILLS", 30))
NAMES = {
    "a.beton",
    *(f"a.beton.partial{end}" for end in ("", ".journal", ".shards", ".facts")),
}
OPTIONS = {"page_size": 1 << 21, "chunksize": 8, "description": {"name": "crash"}}

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120 + 3 * KILLS)]


class Indexed:
    """Arrays of all sizes up to 60 kB, with their index."""

    def __len__(self):
        return 150

    def __getitem__(self, index):
        generator = np.random.default_rng(index)
        return generator.integers(0, 256, int(generator.integers(60_000)), dtype=np.uint8), index


class Sharded:
    """The same in shards of different lengths, one of them empty."""

    shard_names = [f"shard {number}" for number in range(8)]

    def read_shard(self, number):
        for index in range(17 * number, 17 * number + (0, 17, 3, 17, 9, 17, 1, 17)[number]):
            yield np.random.default_rng(index).integers(0, 256, 13 * index, dtype=np.uint8), index


class Named(Indexed):
    """The first of these, by names: a dataset that grows."""

    def __init__(self, length):
        self.length = length

    def __len__(self):
        return self.length

    def manifest(self):
        return Manifest([str(index) for index in range(self.length)])


DATASETS = {
    "indexed": (Indexed(), {}),
    "sharded": (Sharded(), {}),
    "into 5 shards": (Indexed(), {"shards": 5}),
    "into shards of 9 kB": (Sharded(), {"shard_size": "9kB"}),
}


def convert(dataset, path, num_workers):
    source, cut = dataset
    if "if_exists" in cut:
        conversion.convert(source, path, num_workers=num_workers, **cut, **OPTIONS)
        return
    write = make_shards if "worker" in cut else write_sharded_beton if cut else write_beton
    write(source, path, num_workers=num_workers, **cut, **OPTIONS)


def content(path):
    return {file.name: file.read_bytes() for file in path.iterdir()} if path.is_dir() else path.read_bytes()


def act(kind):
    """Kill; False if there is no such process yet or any more."""
    if not kind.startswith("worker "):
        os.kill(os.getpid(), signal.Signals[kind])
        return True
    workers = multiprocessing.active_children()
    if workers:
        os.kill(workers[0].pid, signal.Signals[kind.removeprefix("worker ")])
    return bool(workers)


def run_child(dataset, path, num_workers, calls, kind):
    """Convert in this process, and do `kind` at the call number `calls`; writes to `calls.txt` how many there were."""
    os.setsid()  # whatever belongs to the conversion is found by its session
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(60)  # ends a conversion that hangs
    parent, count, is_done = os.getpid(), 0, False

    def count_call(frame, event, argument):
        nonlocal count, is_done
        if os.getpid() != parent:
            sys.setprofile(None)
        elif event in ("call", "c_call", "c_return"):
            count += 1
            if not is_done and calls is not None and count >= calls:
                is_done = True  # before it is: an interrupt comes at once
                is_done = act(kind)

    sys.setprofile(count_call)
    try:
        convert(dataset, path, num_workers)
    except (ConversionError, KeyboardInterrupt):
        os._exit(1)
    finally:
        sys.setprofile(None)
    if calls is None:
        (path.parent / "calls.txt").write_text(str(count))
    os._exit(0)


def fork_child(*arguments):
    """The exit status of `run_child` in a new process, negative if it was killed."""
    return wait_for(start_child(*arguments))


def start_child(*arguments):
    """The id of a new process for `run_child`."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*multi-threaded.*fork", category=DeprecationWarning)
        child = os.fork()
    if child == 0:
        try:
            run_child(*arguments)
        except BaseException:
            sys.excepthook(*sys.exc_info())
        finally:
            os._exit(70)
    return child


def wait_for(child):
    _, status = os.waitpid(child, 0)
    while session_members(child):  # the kernel ends them with their parent; this test's timeout watches
        pass
    return os.waitstatus_to_exitcode(status)


def session_members(session):
    """Ids of the living processes of a session."""
    members = []
    for name in os.listdir("/proc"):
        try:
            with open(f"/proc/{int(name)}/stat") as stat:
                state, _, _, found = stat.read().rsplit(")", 1)[1].split()[:4]
        except (ValueError, OSError):
            continue
        if int(found) == session and state != "Z":
            members.append(int(name))
    return members


@pytest.fixture(autouse=True)
def _commit_every_chunk(monkeypatch):
    monkeypatch.setattr(partial, "COMMIT_SECONDS", 0)
    monkeypatch.setattr(partial, "COMMIT_SHARE", 0)
    monkeypatch.setattr(worker_pool, "BUFFERED_BYTES", 1 << 17)  # so that shards wait on the disk


@pytest.fixture(scope="module")
def references(tmp_path_factory):
    """The bytes of each dataset's beton."""
    found = {}
    for name, dataset in DATASETS.items():
        path = tmp_path_factory.mktemp(name) / "a.beton"
        convert(dataset, path, num_workers=0)
        found[name] = content(path)
    return found


def check_left(directory, reference):
    """At the target is nothing or all; beside it, only what is meant to stay."""
    assert set(os.listdir(directory)) <= NAMES
    path = directory / "a.beton"
    if path.exists():
        assert content(path) == reference
        assert read_index(path).num_samples if path.is_dir() else Beton(path).num_samples > 0
    return (directory / "a.beton.partial").exists() or (directory / "a.beton.partial.shards").exists()


def test_W1_W2_killed_at_any_point_a_conversion_leaves_nothing_or_all_and_is_gone_on_with(tmp_path, caplog, references):
    random_ = random.Random(KILLS)
    shared_memory = set(os.listdir("/dev/shm"))
    kinds = ("SIGKILL", "SIGKILL", "SIGTERM", "SIGINT", "worker SIGKILL", "worker SIGTERM", "worker SIGINT")
    num_calls = {}
    for name, dataset in DATASETS.items():
        (tmp_path / f"{name} counted").mkdir()
        assert fork_child(dataset, tmp_path / f"{name} counted" / "a.beton", 2, None, None) == 0
        num_calls[name] = int((tmp_path / f"{name} counted" / "calls.txt").read_text())
    num_kills = num_kept = trial = 0
    while num_kills < KILLS:
        name = random_.choice(sorted(DATASETS))
        directory = tmp_path / str(trial)
        directory.mkdir()
        path, trial = directory / "a.beton", trial + 1
        for _ in range(random_.randint(1, 3)):  # what was interrupted is gone on with, and that is interrupted
            calls, kind = random_.randrange(num_calls[name]), random_.choice(kinds)
            num_workers = random_.choice((0, 2, 3)) if kind.startswith("SIG") else random_.choice((1, 2))
            status = fork_child(DATASETS[name], path, num_workers, calls, kind)
            where = f"trial {trial}: {name}, {num_workers} workers, {kind} at call {calls} of {num_calls[name]}"
            assert status in (0, 1, -signal.SIGKILL, -signal.SIGTERM), where
            num_kills += status != 0
            num_kept += check_left(directory, references[name])
        convert(DATASETS[name], path, num_workers=0)
        assert content(path) == references[name], where
        assert os.listdir(directory) == ["a.beton"], where
        shutil.rmtree(directory)
    assert caplog.messages == []  # nothing that was left had to be thrown away
    assert num_kept  # else it was not crashes in the middle that were tried
    assert set(os.listdir("/dev/shm")) <= shared_memory
    assert multiprocessing.active_children() == []


def test_workers_that_are_killed_at_any_point_make_the_bytes_of_one_process(tmp_path, caplog, references):
    random_ = random.Random(KILLS)
    dataset, cut = DATASETS["into 5 shards"]
    workers = [(dataset, cut | {"worker": Worker(number, 4)}) for number in range(4)]
    (tmp_path / "counted").mkdir()
    assert fork_child(workers[0], tmp_path / "counted" / "a.beton", 0, None, None) == 0
    num_calls = int((tmp_path / "counted" / "calls.txt").read_text())
    num_kills = num_kept = trial = 0
    while num_kills < KILLS:
        directory, trial = tmp_path / str(trial), trial + 1
        directory.mkdir()
        path = directory / "a.beton"
        for _ in range(random_.randint(1, 3)):
            kinds = [random_.choice(("SIGKILL", "SIGKILL", "SIGTERM", "SIGINT", "worker SIGKILL")) for _ in workers]
            most = num_calls // random_.choice((1, 4, 16))  # the last: most end before one of them has made all
            calls = [random_.randrange(most) for _ in workers]
            ways = [(random_.choice((0, 2)), *how) for how in zip(calls, kinds, strict=True)]
            children = [start_child(worker, path, *how) for worker, how in zip(workers, ways, strict=True)]
            statuses = [wait_for(child) for child in children]
            assert set(statuses) <= {0, 1, -signal.SIGKILL, -signal.SIGTERM}, ways
            num_kills += sum(status != 0 for status in statuses)
            num_kept += check_left(directory, references["into 5 shards"])
        convert(random_.choice(workers), path, num_workers=0)
        assert content(path) == references["into 5 shards"], ways
        assert os.listdir(directory) == ["a.beton"], ways
        shutil.rmtree(directory)
    assert caplog.messages == []
    assert num_kept  # how many depends on what else the machine does
    assert multiprocessing.active_children() == []


def test_appends_that_are_killed_at_any_point_leave_the_old_or_the_new_beton(tmp_path, caplog):
    random_ = random.Random(KILLS)
    cut = {"if_exists": "append", "shards": 3}
    base = tmp_path / "base" / "a.beton"
    convert((Named(60), cut), base, num_workers=0)
    for name in ("reference", "counted"):
        shutil.copytree(base.parent, tmp_path / name)
    reference, appended = tmp_path / "reference" / "a.beton", (Named(150), cut)
    convert(appended, reference, num_workers=0)
    assert fork_child(appended, tmp_path / "counted" / "a.beton", 2, None, None) == 0
    num_calls = int((tmp_path / "counted" / "calls.txt").read_text())
    num_kills = num_old = trial = 0
    while num_kills < KILLS // 2:
        directory, trial = tmp_path / str(trial), trial + 1
        shutil.copytree(base.parent, directory)
        path = directory / "a.beton"
        for _ in range(random_.randint(1, 3)):
            calls, kind = random_.randrange(num_calls), random_.choice(("SIGKILL", "SIGKILL", "SIGTERM", "SIGINT"))
            status = fork_child(appended, path, random_.choice((0, 2)), calls, kind)
            where = f"trial {trial}: {kind} at call {calls} of {num_calls}"
            assert status in (0, 1, -signal.SIGKILL, -signal.SIGTERM), where
            num_kills += status != 0
            found = read_index(path)
            assert found in (read_index(base), read_index(reference)), where
            assert sum(Beton(shard.location(path)).num_samples for shard in found.shards) == found.num_samples
            num_old += found.num_samples == 60
            assert set(os.listdir(directory)) <= NAMES
        convert(appended, path, num_workers=0)
        assert content(path) == content(reference), where
        assert os.listdir(directory) == ["a.beton"], where
        shutil.rmtree(directory)
    assert caplog.messages == []
    assert num_old > KILLS / 8
