"""Who owns what: passes, threads, scratch, the memory of batches, descriptors; see `loader.engine.threads`.

With `test_state_machine.py` and `test_damage.py` also the tests of `loader/iteration.py`.
"""

import atexit
import copy
import gc
import os
import pickle
import sys
import threading
from dataclasses import replace
from multiprocessing.reduction import ForkingPickler

import numpy as np
import pytest
import torch
from ffcv.fields.basics import IntDecoder
from numba.core.compiler_lock import global_compiler_lock

from ffcv_hydra.beton import Beton, write_beton
from ffcv_hydra.datamodule import FFCVDataModule
from ffcv_hydra.errors import LoaderError
from ffcv_hydra.loader import Loader
from ffcv_hydra.loader.engine.storage import Storage
from ffcv_hydra.loader.plan import batch_code
from ffcv_hydra.operations import CenterCrop, RandomHorizontalFlip, RandomResizedCrop, ToTensor, ToTorchImage
from ffcv_hydra.operations.base import Scratch
from ffcv_hydra.operations.operation import AllocationQuery, Operation
from ffcv_hydra.ordering import Random, Sequential
from ffcv_hydra.pipeline import FFCVPipelineManager
from tests.loader.configurations import digests
from tests.loader.forked import in_child
from tests.loader.test_loader import FailAt, loader_threads, threads_end

pytestmark = pytest.mark.timeout(120)
IMAGE = (RandomResizedCrop(16), RandomHorizontalFlip(), ToTensor(), ToTorchImage())


def make(beton, batch_size=8, **options):
    options = {"pipelines": {"image": list(IMAGE)}, "ordering": Random(), "num_workers": 2, "seed": 3, **options}
    return Loader(beton, batch_size, **options)


def runs(function, seconds=60):
    """Whether a function comes back, in a thread that may be left behind."""
    thread = threading.Thread(target=function, daemon=True)
    thread.start()
    thread.join(seconds)
    return not thread.is_alive()


# -- processes


def test_F27_a_pass_of_another_process_is_refused(beton):
    loader = make(beton)
    running = iter(loader)
    next(running)
    for _ in range(2):
        found = in_child(lambda: next(running))
        assert found.startswith("LoaderError: this pass over") and "was begun in another process" in found
    assert len(list(running)) == len(loader) - 1


def test_F27_a_loader_begins_anew_in_a_forked_child_whatever_was_locked(beton):
    loader = make(beton)
    unstarted, running = iter(loader), iter(loader)
    expected = digests(loader)
    loader.sampler.set_epoch(0)
    next(running)
    with (
        running._engine._shared.lock,
        loader.passes.executor.memory.pool._lock,
        loader.passes.failures._lock,
        loader.passes.lock,
        running._lock,
    ):
        held = in_child(lambda: [digests(unstarted), loader.sampler.set_epoch(0), digests(loader)])
    assert held == [expected, None, expected]


def test_F27_a_pass_of_the_parents_can_be_collected_in_a_child(beton):
    passes = [iter(make(beton))]
    next(passes[0])

    def collect():
        passes.clear()
        return gc.collect() >= 0

    assert in_child(collect)
    next(passes[0])


def test_F27_a_child_is_not_forked_while_another_thread_compiles():
    over = threading.Event()

    def compile_again_and_again():
        while not over.is_set():
            with global_compiler_lock:
                over.wait(0.01)

    thread = threading.Thread(target=compile_again_and_again)
    thread.start()
    try:
        for _ in range(10):
            assert in_child(lambda: global_compiler_lock._lock.acquire(timeout=5))
    finally:
        over.set()
        thread.join()


class AddOne(Operation):
    """Compiled by numba, as FFCV's own are."""

    def declare_state_and_memory(self, previous_state):
        return previous_state, None

    def generate_code(self):
        def add_one(labels, _):
            labels += 1
            return labels

        return add_one


def test_F27_foreign_operations_run_in_a_child_whose_parent_was_running_some(beton):
    loader = make(beton, pipelines={"image": "disabled", "array": "disabled", "label": [AddOne(), ToTensor()]})
    expected = digests(loader)
    loader.sampler.set_epoch(0)
    held, over = threading.Event(), threading.Event()

    def hold():
        with batch_code._LOCK:
            held.set()
            over.wait(60)

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait()
    try:
        assert in_child(lambda: digests(loader), 60) == expected
    finally:
        over.set()
        thread.join()


def test_a_state_is_of_the_pass_that_delivered_last_with_its_trainers_epoch(beton):
    loader = make(beton)
    first = iter(loader)
    next(first)
    loader.sampler.set_epoch(3)
    second = iter(loader)
    next(second)
    for running, epoch, batches in ((first, 0, 2), (second, 3, 2), (first, 0, 3)):
        next(running)
        state = loader.state_dict()
        assert (state["epoch"], state["epoch_set"], state["batches"]) == (epoch, epoch, batches)


def test_the_end_of_one_pass_says_nothing_of_how_far_another_came(beton):
    loader = make(beton)
    ending, going_on = iter(loader), iter(loader)
    for _ in loader:
        next(ending)
    next(going_on)
    assert next(ending, None) is None
    assert loader.state_dict()["batches"] == 1


# -- threads


@pytest.fixture
def hasty():
    """Threads change as often as they can."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(interval)


def test_F28_threads_that_share_a_pass_get_each_batch_once(beton, hasty):
    loader = make(beton, 2)
    running, found, failed = iter(loader), [], []

    def take():
        try:
            found.extend(batch[1][:, 0].tolist() for batch in running)
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=take) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert sorted(label for batch in found for label in batch) == list(range(90))
    assert (loader.state_dict()["batches"], loader.sampler.epoch) == (len(loader), 1)


def test_F28_threads_may_each_have_a_pass_of_one_loader(beton, hasty):
    loader = make(beton, 5)
    expected = digests(loader)
    for _ in range(3):
        loader.sampler.set_epoch(0)
        passes, found = [iter(loader) for _ in range(3)], []
        begun = threading.Barrier(3)

        def take(one, found=found, begun=begun):
            first = next(one)
            begun.wait()
            found.append(digests([first, *one]))

        threads = [threading.Thread(target=take, args=(one,)) for one in passes]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert found == [expected] * 3


# -- finalizers


def test_F30_a_pass_can_be_collected_while_everything_is_locked(beton):
    loader = make(beton, batches_ahead=1)
    cycle = [iter(loader)]
    cycle.append(cycle)
    next(cycle[0])
    engine, pool = cycle[0]._engine._shared.lock, loader.passes.executor.memory.pool._lock

    def collect():
        with engine, pool, loader.passes.lock:
            cycle.clear()
            gc.collect()

    assert runs(collect)
    assert threads_end()
    assert len(list(loader)) == len(loader)


class DropAt(FailAt):
    """Lets go of a pass when it meets a sample, in the thread that works for that pass."""

    dropped = threading.Event()
    may_drop = threading.Event()
    held: list = []

    def run(self, source, target, chunk):
        target[:] = source
        if self.sample in chunk.samples:
            self.may_drop.wait(60)
            self.held.clear()
            gc.collect()
            self.dropped.set()


def test_F30_a_pass_that_its_own_thread_collects_keeps_its_scratch_until_that_has_ended(beton):
    pipelines = {"image": [CenterCrop(8), DropAt(10), ToTensor()]}
    loader = make(beton, ordering=Sequential(), pipelines=pipelines)
    DropAt.held.append(iter(loader))
    next(DropAt.held[0])
    DropAt.may_drop.set()
    assert DropAt.dropped.wait(60)
    assert loader.passes.scratches == [] and len(loader.passes.abandoned) == 1
    assert threads_end()
    assert len(list(loader)) == len(loader)
    assert len(loader.passes.scratches) == 1 and not loader.passes.abandoned


def test_F30_threads_are_gone_before_the_interpreter(beton):
    running = iter(make(beton))

    def leave():
        first = next(running)
        atexit._run_exitfuncs()
        return len(first[0]), loader_threads()

    assert in_child(leave) == (8, [])


# -- the memory of batches


@pytest.mark.parametrize("strategy", ["file_descriptor", "file_system"])
@pytest.mark.parametrize("layout", [(ToTensor(),), (ToTensor(), ToTorchImage())], ids=len)
def test_F31_a_batch_that_was_sent_stays_as_it_was(beton, strategy, layout):
    before = torch.multiprocessing.get_sharing_strategy()
    torch.multiprocessing.set_sharing_strategy(strategy)
    try:
        pipelines = {"image": [RandomResizedCrop(16), *layout]}
        loader = make(beton, pipelines=pipelines, batches_ahead=1)
        sent, expected = [], []
        for _ in range(2):
            for batch in loader:
                expected.append([part.clone() for part in batch])
                sent.append([bytes(ForkingPickler.dumps(part)) for part in batch])
                del batch
        for parts, values in zip(sent, expected, strict=True):
            for part, value in zip(parts, values, strict=True):
                assert torch.equal(pickle.loads(part), value)
    finally:
        torch.multiprocessing.set_sharing_strategy(before)


class Doubled(Operation):
    """Asks for a tensor of its own, whose storage can be resized; that of an array cannot."""

    def declare_state_and_memory(self, previous_state):
        state = replace(previous_state, dtype=torch.float64)
        return state, AllocationQuery(state.shape, state.dtype)

    def generate_code(self):
        return lambda labels, memory: torch.mul(labels, 2.0, out=memory)


def test_F31_a_storage_that_was_resized_is_not_lent_again(beton):
    label = [IntDecoder(), ToTensor(), Doubled()]
    loader, other = (make(beton, pipelines={"image": "disabled", "label": label}) for _ in range(2))
    for size in (0, 1 << 16):
        for label, _ in loader:
            label.untyped_storage().resize_(size)
            del label
    other.sampler.set_epoch(2)
    assert digests(loader) == digests(other)


@pytest.mark.parametrize(
    "hold",
    [
        lambda t: torch.utils.dlpack.to_dlpack(t),
        lambda t: memoryview(t.numpy()),
        lambda t: np.from_dlpack(t),
        lambda t: t.share_memory_(),
    ],
    ids=["capsule", "memoryview", "array", "shared"],
)
def test_F31_other_ways_to_hold_a_batch_count(beton, hold):
    def values(held):
        return torch.from_dlpack(held).numpy() if type(held).__name__ == "PyCapsule" else np.asarray(held)

    loader = make(beton, pipelines={"image": [RandomResizedCrop(16), ToTensor()]}, batches_ahead=1)
    expected = [batch[0].numpy().copy() for batch in loader]
    loader.sampler.set_epoch(0)
    held = [hold(batch[0]) for batch in loader]
    assert all(np.array_equal(values(one), value) for one, value in zip(held, expected, strict=True))


# -- copies


@pytest.fixture
def own(beton, tmp_path):
    """A beton that nobody else has open."""
    path = tmp_path / "own.beton"
    path.write_bytes(beton.read_bytes())
    return path


def descriptors(path):
    links = (f"/proc/self/fd/{name}" for name in os.listdir("/proc/self/fd"))
    return sum(os.path.realpath(link) == str(path) for link in links if os.path.islink(link))


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda loader: pickle.loads(pickle.dumps(loader))])
@pytest.mark.parametrize("os_cache", [True, False])
def test_F32_a_copy_goes_on_by_itself_where_the_loader_was(own, copied, os_cache):
    loader = make(own, os_cache=os_cache, indices=lambda count: range(10, count))
    loader.set_output_size("image", sizes_of)
    loader.sampler.set_epoch(2)
    running = iter(loader)
    next(running)
    open_before = descriptors(own)
    other = copied(loader)
    assert other.state_dict() == loader.state_dict()
    assert digests(other) == digests(loader)
    del other
    gc.collect()
    assert descriptors(own) == open_before
    assert len(list(running)) == len(loader) - 1
    resumed = copied(loader)
    resumed.load_state_dict(loader.state_dict())
    assert digests(copied(resumed)) == digests(resumed)


def sizes_of(epoch):
    return 12 + 2 * epoch


def test_F32_a_copy_of_a_loader_whose_file_was_replaced_is_refused(tmp_path):
    path = tmp_path / "replaced.beton"
    write_beton([(1,), (2,)], path, {"label": None}, num_workers=0)
    pickled = pickle.dumps(Loader(path, 1))
    assert len(list(pickle.loads(pickled))) == 2
    path.unlink()
    write_beton([(1,), (3,)], path, {"label": None}, num_workers=0)
    with pytest.raises(LoaderError, match="the loader was copied with another beton"):
        pickle.loads(pickled)


def test_F32_a_pass_is_not_copied(beton):
    loader = make(beton)
    running = iter(loader)
    next(running)
    for copied in (copy.copy, copy.deepcopy, pickle.dumps):
        with pytest.raises(LoaderError, match="a pass cannot be copied or sent to another process"):
            copied(running)
    assert len(list(running)) == len(loader) - 1


def test_F32_relative_paths_stay_those_of_the_files(beton, tmp_path, monkeypatch):
    monkeypatch.chdir(beton.parent)
    loader = make(beton.name)
    module = FFCVDataModule(8, train_manager=FFCVPipelineManager(beton.name, {"image": list(IMAGE)}))
    monkeypatch.chdir(tmp_path)
    assert len(list(pickle.loads(pickle.dumps(loader)))) == len(loader)
    assert loader.filter("label", lambda label: label < 16).num_samples == 16
    assert module.train_dataloader().num_samples == loader.num_samples


def test_F32_a_used_data_module_is_pickled_and_copied(beton):
    module = FFCVDataModule(8, 1, train_manager=FFCVPipelineManager(beton, {"image": list(IMAGE)}, Random()))
    next(iter(module.train_dataloader()))
    for other in (copy.deepcopy(module), pickle.loads(pickle.dumps(module))):
        assert other.state_dict() == module.state_dict()
        assert digests(other.train_dataloader()) == digests(copy.copy(module.train_dataloader()))


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda one: pickle.loads(pickle.dumps(one))])
def test_F32_descriptors_and_handles_have_one_owner(own, copied):
    storage = Storage(Beton(own), os_cache=False)
    other = copied(storage)
    assert descriptors(own) == 2
    other.files.close()
    storage.files.check_begun()
    storage.files.close()
    assert not copied(Beton(own)).metadata.flags.writeable
    scratch = Scratch()
    assert copied(scratch).jpeg_tables.ctypes.data != scratch.jpeg_tables.ctypes.data
