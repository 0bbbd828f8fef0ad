"""What a loader promises: the same batches whatever the threads, valid while held, and no way to hang."""

import gc
import hashlib
import threading
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch

from ffcv_hydra.errors import BetonError, LoaderError, SampleError
from ffcv_hydra.loader import Loader, notices
from ffcv_hydra.operations import (
    AllocationQuery,
    CenterCrop,
    ChunkOperation,
    DivideImage255,
    RandomHorizontalFlip,
    RandomResizedCrop,
    ToTensor,
    ToTorchImage,
)
from ffcv_hydra.ordering import QuasiRandom, Random, Sequential
from ffcv_hydra.preview.stored import stored_values

NUM_SAMPLES = 90
pytestmark = pytest.mark.timeout(120)


def pipelines(**others):
    image = [RandomResizedCrop(24), RandomHorizontalFlip(), ToTensor(), ToTorchImage(), DivideImage255()]
    return {"image": image, **others}


def make(beton: Path, batch_size: int = 8, **options) -> Loader:
    options.setdefault("pipelines", pipelines())
    options.setdefault("ordering", Random())
    options.setdefault("num_workers", 2)
    return Loader(beton, batch_size, **options)


def same(left, right) -> bool:
    return len(left) == len(right) and all(
        torch.equal(a, b) for x, y in zip(left, right, strict=True) for a, b in zip(x, y, strict=True)
    )


def loader_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("ffcv_hydra")]


def threads_end() -> bool:
    """Whether all end that are there, which they do a moment after their pass was collected."""
    for thread in loader_threads():
        thread.join(60)
    return loader_threads() == []


class FailAt(ChunkOperation):
    """Raises when it meets a sample."""

    def __init__(self, sample: int) -> None:
        super().__init__()
        self.sample = sample

    def declare_state_and_memory(self, previous_state):
        return previous_state, AllocationQuery(previous_state.shape, previous_state.dtype)

    def run(self, source, target, chunk):
        if self.sample in chunk.samples:
            raise ZeroDivisionError("on purpose")
        target[:] = source


# -- batches


def test_batches_hold_what_was_stored_in_the_order_of_the_file(beton):
    loader = make(beton, 7, ordering=Sequential(), pipelines={"image": [CenterCrop(16), ToTensor()]})
    batches = list(loader)
    assert len(batches) == len(loader) == 13
    assert loader.output_names == ("image", "label", "array")
    assert [len(batch[1]) for batch in batches] == [7] * 12 + [6]
    labels = torch.cat([batch[1] for batch in batches])
    assert labels.dtype == torch.int64 and labels[:, 0].tolist() == list(range(NUM_SAMPLES))
    assert torch.equal(torch.cat([batch[2] for batch in batches]), labels[:, :, None].expand(-1, 2, 3).float())
    assert batches[0][0].shape == (7, 16, 16, 3)


@pytest.mark.parametrize("ordering", [Sequential(), Random(), QuasiRandom()], ids=lambda order: type(order).__name__)
def test_an_epoch_gives_each_sample_once(beton, ordering):
    labels = torch.cat([batch[1] for batch in make(beton, ordering=ordering)])
    assert sorted(labels[:, 0].tolist()) == list(range(NUM_SAMPLES))


@pytest.mark.parametrize(
    "options",
    [{"num_workers": 1}, {"num_workers": 5}, {"os_cache": False}, {"batches_ahead": 1}, {"batches_ahead": 20}],
    ids=str,
)
def test_threads_and_reading_do_not_change_a_bit(beton, options):
    assert same(list(make(beton)), list(make(beton, **options)))


def test_chunks_do_not_change_a_bit(beton):
    large = list(make(beton, 80, num_workers=1))
    small = list(make(beton, 80, num_workers=8))
    assert same(large, small)


@pytest.mark.parametrize("drop_last", [True, False])
def test_two_ranks_see_together_what_one_sees(beton, drop_last):
    whole = list(make(beton, 8, drop_last=drop_last))
    ranks = [list(make(beton, 4, drop_last=drop_last, rank=rank, world_size=2)) for rank in range(2)]
    assert len(ranks[0]) == len(ranks[1]) == len(whole)
    for batch, *parts in zip(whole, *ranks, strict=True):
        for column, *columns in zip(batch, *parts, strict=True):
            assert torch.equal(column, torch.cat(columns))


def test_seeds_and_epochs_differ_and_come_again(beton):
    loader = make(beton)
    first, second = list(loader), list(loader)
    assert not same(first, second)
    assert same(second, list(loader)) is False
    loader.sampler.set_epoch(1)
    assert same(second, list(loader))
    assert not same(first, list(make(beton, seed=1)))


def test_augmentations_follow_the_sample_not_its_place(beton):
    by_label = [
        {int(label): image for images, labels, _ in make(beton, batch_size, ordering=ordering)
         for image, label in zip(images, labels, strict=True)}
        for batch_size, ordering in ((8, Random()), (13, Sequential()))
    ]  # fmt: skip
    assert all(torch.equal(by_label[0][label], by_label[1][label]) for label in range(NUM_SAMPLES))


def test_a_deterministic_operation_does_not_change_what_is_drawn(beton):
    with_copy = [
        RandomResizedCrop(24),
        FailAt(-1),
        RandomHorizontalFlip(),
        ToTensor(),
        ToTorchImage(),
        DivideImage255(),
    ]
    assert same(list(make(beton)), list(make(beton, pipelines={"image": with_copy})))


def test_operations_of_one_pipeline_draw_on_their_own(beton):
    twice = [CenterCrop(8), RandomHorizontalFlip(), RandomHorizontalFlip(), ToTensor()]
    never = [CenterCrop(8), ToTensor()]
    flipped, plain = (
        torch.cat([batch[0] for batch in make(beton, pipelines={"image": image})]) for image in (twice, never)
    )
    unchanged = (flipped == plain).flatten(1).all(1).float().mean()
    assert 0.25 < unchanged < 0.75


@pytest.mark.parametrize("indices", [[5, 3, 80], np.array([5, 3, 80]), (5, 3, 80), lambda count: [5, 3, count - 10]])
def test_L8_indices_choose_samples(beton, indices):
    loader = make(beton, 2, indices=indices, ordering=Sequential())
    assert torch.cat([batch[1] for batch in loader])[:, 0].tolist() == [5, 3, 80]


def test_L8_a_mask_chooses_samples(beton):
    mask = np.arange(NUM_SAMPLES) % 30 == 7
    assert torch.cat([batch[1] for batch in make(beton, 2, indices=mask, ordering=Sequential())])[:, 0].tolist() == [
        7,
        37,
        67,
    ]


def test_sample_ids_are_those_of_the_batches(beton):
    loader = make(beton, 4, rank=1, world_size=2)
    ids = [loader.sample_ids(index).tolist() for index in range(len(loader))]
    assert ids == [batch[1][:, 0].tolist() for batch in loader]


# -- validity


def test_L4_batch_stays_valid_while_held(beton):
    expected = [tuple(column.clone() for column in batch) for batch in make(beton)]
    held = list(make(beton, batches_ahead=1))
    assert same(expected, held)


@pytest.mark.parametrize(
    "hold",
    [lambda t: t[1:], lambda t: t.numpy(), lambda t: t.numpy()[2:, 0], lambda t: torch.from_numpy(t.numpy()[1:])],
)
def test_L4_a_view_keeps_its_batch_valid(beton, hold):
    loader = make(beton, pipelines={"image": [RandomResizedCrop(24), ToTensor()]}, batches_ahead=1)
    held = [hold(batch[0]) for batch in loader]
    gc.collect()
    loader.sampler.set_epoch(0)
    for view, batch in zip(held, loader, strict=True):
        assert np.array_equal(np.asarray(view), np.asarray(hold(batch[0].clone())))


def test_memory_is_used_again_when_batches_are_let_go(beton):
    loader = make(beton, batches_ahead=2)
    for _ in loader:
        pass
    after_one = loader.passes.executor.memory.pool.allocated()
    for _ in range(5):
        for _ in loader:
            pass
    assert loader.passes.executor.memory.pool.allocated() <= 1.5 * after_one


# -- ends


def test_L3_next_after_the_end_stops_again_and_again(beton):
    iterator = iter(make(beton, 30))
    assert sum(1 for _ in iterator) == 3
    for _ in range(3):
        with pytest.raises(StopIteration):
            next(iterator)


def test_L2_stopping_early_leaves_no_thread_and_no_memory(beton):
    loader = make(beton)
    for count in range(1_000):
        next(iter(loader))
        if count == 100:
            before = psutil.Process().memory_info().rss
    gc.collect()
    assert psutil.Process().memory_info().rss - before < 20e6
    assert threads_end()
    assert len(loader.passes.scratches) + len(loader.passes.abandoned) == 1
    assert loader.passes.executor.memory.pool.allocated() < 20 * 8 * 24 * 24 * 3


def test_L2_dropping_the_loader_in_the_middle_of_a_pass_ends_its_threads(beton):
    iterator = iter(make(beton))
    next(iterator)
    assert len(loader_threads()) == 2
    del iterator
    gc.collect()
    assert threads_end()


def test_L2_a_pass_in_a_reference_cycle_ends_its_threads_when_collected(beton):
    cycle = [iter(make(beton))]
    cycle.append(cycle)
    next(cycle[0])
    del cycle
    gc.collect()
    assert threads_end()


def test_iter_does_no_work(beton):
    loader = make(beton)
    iterator = iter(loader)
    assert loader_threads() == []
    loader.sampler.set_epoch(3)
    batches = list(iterator)
    other = make(beton)
    other.sampler.set_epoch(3)
    assert same(batches, list(other))


def test_L11_an_abandoned_pass_does_not_move_the_epoch(beton):
    loader = make(beton)
    first = next(iter(loader))
    assert same([first], [next(iter(loader))])
    list(loader)
    assert loader.sampler.epoch == 1


def test_two_loaders_run_side_by_side(beton):
    left, right = make(beton), make(beton, seed=5)
    pairs = list(zip(left, right, strict=True))
    assert same([pair[0] for pair in pairs], list(make(beton)))
    assert same([pair[1] for pair in pairs], list(make(beton, seed=5)))


# -- errors


def test_L1_an_error_in_an_operation_reaches_the_consumer_in_its_turn(beton):
    loader = make(beton, ordering=Sequential(), pipelines={"image": [CenterCrop(8), FailAt(30), ToTensor()]})
    iterator = iter(loader)
    for _ in range(3):
        next(iterator)
    with pytest.raises(
        SampleError, match=r"mixed.beton: field 'image', one of the samples 24, 25, .* 31: FailAt.*on purpose"
    ) as found:
        next(iterator)
    assert isinstance(found.value.__cause__, ZeroDivisionError)
    with pytest.raises(StopIteration):
        next(iterator)
    assert loader_threads() == []


def test_L1_an_error_in_a_torch_module_reaches_the_consumer(beton):
    class Fails(torch.nn.Module):
        def forward(self, batch):
            if len(batch) > 2:
                raise ZeroDivisionError("on purpose")
            return batch

    with pytest.raises(SampleError, match="field 'label'.*Fails.*on purpose"):
        list(make(beton, pipelines=pipelines(label=[ToTensor(), Fails()])))


def test_L1_an_error_in_an_ordering_reaches_the_consumer(beton):
    class Broken(Random):
        def sample_order(self, samples, epoch):
            return super().sample_order(samples, epoch)[1:]

    with pytest.raises(LoaderError, match=r"Broken gave 89 ids for 90 samples"):
        list(make(beton, ordering=Broken()))


@pytest.mark.parametrize("call", [1, 2, 3])  # the memory of later batches is that of earlier ones
def test_L1_a_lack_of_memory_reaches_the_consumer(beton, monkeypatch, call):
    loader = make(beton)
    take, calls = loader.passes.executor.memory.pool.take, []

    def fails(*arguments):
        calls.append(arguments)
        if len(calls) == call:
            raise MemoryError("on purpose")
        return take(*arguments)

    monkeypatch.setattr(loader.passes.executor.memory.pool, "take", fails)
    with pytest.raises(SampleError, match=r"(pipeline of|field) .*: there is not enough memory for the [\d,]+ bytes"):
        list(loader)
    assert loader_threads() == []


@pytest.mark.parametrize("flip", [[], [RandomHorizontalFlip()]])
def test_a_lack_of_memory_for_a_size_that_the_pipeline_asks_for_blames_that(beton, monkeypatch, flip):
    loader = Loader(beton, 4, pipelines={"image": [CenterCrop(24), *flip, ToTensor()]})

    def fails(*arguments):
        raise MemoryError("on purpose")

    monkeypatch.setattr(loader.passes.executor.memory.pool, "take", fails)
    with pytest.raises(SampleError, match=r"^pipeline of 'image': there is not enough .* smaller size in CenterCrop"):
        list(loader)


def test_R3_a_file_cut_short_while_it_is_read_is_an_error(beton, tmp_path):
    copy = tmp_path / "copy.beton"
    copy.write_bytes(beton.read_bytes())
    iterator = iter(make(copy, os_cache=False, batches_ahead=1, num_workers=1))
    next(iterator)
    with open(copy, "r+b") as file:
        file.truncate(6000)
    with pytest.raises(BetonError, match="cut short"):
        list(iterator)


@pytest.mark.parametrize("os_cache", [True, False])
def test_R2_a_file_cut_short_between_two_passes_is_an_error(beton, tmp_path, os_cache):
    copy = tmp_path / "copy.beton"
    copy.write_bytes(beton.read_bytes())
    loader = make(copy, os_cache=os_cache)
    list(loader)
    with open(copy, "r+b") as file:
        file.truncate(6000)
    with pytest.raises(BetonError, match="was changed while it was open"):
        list(loader)


def test_lightning_finds_a_sampler_and_no_dataset(beton):
    loader = make(beton)
    assert callable(loader.sampler.set_epoch) and not hasattr(loader, "dataset")


@pytest.mark.parametrize(
    "options, message",
    [
        ({"batch_size": 0}, "batch_size must be a whole number of at least 1; got 0"),
        ({"batch_size": 2.0}, "batch_size must be a whole number"),
        ({"batches_ahead": 0}, "batches_ahead"),
        ({"seed": -1}, "seed"),
        ({"seed": 2**64}, r"seed must be a whole number of at least 0 and below 2\*\*64; got"),
        ({"num_workers": 0}, "num_workers must be .* threads from 1 to 1024, or -1 for one per usable core; got 0"),
        ({"num_workers": -5}, "num_workers"),
        ({"num_workers": 10_000}, "num_workers"),
        ({"num_workers": None}, "num_workers"),
        ({"on_error": None}, "on_error must be raise, skip or zero; got None"),
        ({"indices": [90]}, "indices go from 90 to 90, but .* has 90 samples"),
        ({"indices": [True, False]}, "a mask needs 90 values"),
        ({"indices": [0.5]}, "whole numbers or a mask"),
        ({"indices": [1], "world_size": 2}, "1 samples are fewer than the number of ranks"),
        ({"batch_size": 91, "drop_last": True}, "90 samples are fewer than one global batch"),
    ],
    ids=str,
)
def test_impossible_options_are_named(beton, options, message):
    with pytest.raises(LoaderError, match=message):
        make(beton, **options)


def test_the_largest_seed_is_taken(beton):
    assert len(list(make(beton, seed=2**64 - 1, ordering=Random()))) == len(make(beton))


# -- state


@pytest.mark.parametrize("stop_after", [0, 1, 5, 11])
@pytest.mark.parametrize("epoch", [0, 2])
@pytest.mark.parametrize("world_size", [1, 2])
def test_a_state_goes_on_at_the_next_batch(beton, stop_after, epoch, world_size):
    whole = make(beton)
    whole.sampler.set_epoch(epoch)
    rest = list(whole)[stop_after:]
    interrupted = make(beton)
    interrupted.sampler.set_epoch(epoch)
    iterator = iter(interrupted)
    for _ in range(stop_after):
        next(iterator)
    state = interrupted.state_dict() if stop_after else {**interrupted.state_dict(), "epoch": epoch}
    parts = []
    for rank in range(world_size):
        resumed = make(beton, 8 // world_size, rank=rank, world_size=world_size)
        resumed.load_state_dict(state)
        parts.append(list(resumed))
    together = [
        tuple(torch.cat(columns) for columns in zip(*batches, strict=True)) for batches in zip(*parts, strict=True)
    ]
    assert same(rest, together)


def test_the_state_after_a_complete_pass_is_the_next_epoch(beton):
    loader = make(beton)
    list(loader)
    resumed = make(beton)
    resumed.load_state_dict(loader.state_dict())
    assert same(list(loader), list(resumed))


@pytest.mark.parametrize(
    "options, name",
    [
        ({"seed": 1}, "seed"),
        ({"batch_size": 9}, "global batch size"),
        ({"ordering": Sequential()}, "ordering"),
        ({"indices": range(80)}, "indices"),
        ({"drop_last": True}, "drop_last"),
    ],
    ids=lambda value: value if isinstance(value, str) else next(iter(value)),
)
def test_a_state_of_something_else_is_refused_by_name(beton, options, name):
    with pytest.raises(LoaderError, match=f"made with another {name}"):
        make(beton, **options).load_state_dict(make(beton).state_dict())


def test_data_are_digested_when_a_state_is_asked_for_and_once(beton, monkeypatch):
    from ffcv_hydra.loader import identity as module

    found = []
    monkeypatch.setattr(module, "identity_of", lambda beton: found.append(beton) or "of the data")
    loader = make(beton)
    next(iter(loader))
    assert not found
    assert [loader.state_dict()["of"]["beton"] for _ in range(2)] == ["of the data"] * 2
    assert len(found) == 1


@pytest.mark.parametrize("indices", [None, range(NUM_SAMPLES - 1, -1, -1)], ids=["all", "given"])
def test_F20_indices_are_compared_as_a_whole_and_with_what_older_checkpoints_kept_of_them(beton, indices):
    loader = make(beton, indices=indices)
    next(iter(loader))
    state = loader.state_dict()
    earlier = hashlib.sha256(loader.indices.tobytes()).hexdigest()
    assert state["of"]["indices"] == ("all" if indices is None else earlier)
    for known in (earlier, earlier[:16]):
        state["of"]["indices"] = known
        make(beton, indices=indices).load_state_dict(state)
    others = ["0" * 16, "0" * 64, hashlib.sha256(loader.indices[::-1].tobytes()).hexdigest()]
    for unknown in others:
        state["of"]["indices"] = unknown
        with pytest.raises(LoaderError, match="made with another indices"):
            make(beton, indices=indices).load_state_dict(state)


@pytest.mark.parametrize(
    "indices", [range(NUM_SAMPLES), np.ones(NUM_SAMPLES, dtype=bool), np.arange], ids=["ids", "mask", "callable"]
)
def test_all_samples_are_all_samples_however_that_is_said(beton, indices):
    loader = make(beton, indices=indices)
    make(beton).load_state_dict(loader.state_dict())
    assert loader.indices.tolist() == list(range(NUM_SAMPLES))
    assert isinstance(loader.passes.order.sample_set.chosen, range)


def test_a_state_of_another_version_of_an_ordering_is_refused_and_says_what_to_do(beton):
    state = make(beton).state_dict()
    state["of"]["ordering"] = "Random()"  # as the versions had it that sorted by random numbers
    with pytest.raises(LoaderError) as found:
        make(beton).load_state_dict(state)
    assert str(found.value) == (
        f"{beton}: the checkpoint was made with another ordering (Random(), now Random() version 2): the same seed "
        "means something else since, so resume with the version of ffcv_hydra that made it, or begin anew"
    )


def test_F20_a_pass_ordered_by_a_function_can_be_gone_on_with(beton):
    class Backwards(Random):
        def __init__(self):
            self.key = lambda index: -index

        def sample_order(self, samples, epoch):
            return np.array(sorted(samples.indices.tolist(), key=self.key))

    loader = make(beton, ordering=Backwards())
    begun = iter(loader)
    next(begun)
    resumed = make(beton, ordering=Backwards())
    resumed.load_state_dict(loader.state_dict())
    assert same(list(begun), list(resumed))


def test_F19_a_loader_that_knows_nothing_of_the_ranks_says_once_that_each_reads_everything(beton, monkeypatch):
    loader = make(beton)
    for name, value in {"is_initialized": True, "get_rank": 0, "get_world_size": 2}.items():
        monkeypatch.setattr(torch.distributed, name, lambda value=value: value)
    notices.warn_of_whole_reads.cache_clear()
    loader.filter("label", lambda label: True)  # reads everything on every rank, as it should
    make(beton, 4, rank=1, world_size=2).__iter__()
    assert stored_values(beton, ["label"], np.array([3, 1]), None)["label"].tolist() == [[3], [1]]  # shown by one rank
    with monkeypatch.context() as patched:
        patched.setattr(notices, "is_only_looked_at", lambda loader: True)
        iter(loader)
    with pytest.warns(UserWarning, match="each of 2 ranks reads all samples: give the loader its rank and world_size"):
        iter(loader)
    iter(loader)  # a second warning would be an error here


@pytest.mark.parametrize("state", [{}, None, {"of": {}}])
def test_what_is_no_state_is_refused(beton, state):
    with pytest.raises(LoaderError, match=r"a state is what a loader's state_dict\(\) gave; got"):
        make(beton).load_state_dict(state)


def test_a_sample_that_comes_again_in_an_epoch_has_another_key(beton):
    class Twice(Random):
        def sample_order(self, samples, epoch):
            return np.tile(super().sample_order(samples, epoch)[:45], 2)

    def drawn(loader: Loader) -> tuple[set[int], set[int]]:
        ((ids, keys),) = loader.passes.order.samples(0, [np.arange(loader.num_samples)])
        assert len(ids) == len(keys) == loader.num_samples
        return set(ids.tolist()), set(keys.tolist())

    ids, keys = drawn(make(beton, ordering=Twice()))
    assert (len(ids), len(keys)) == (45, 90)
    ids, keys = drawn(make(beton, ordering=Random(), indices=[4, 7, 4, 4]))
    assert (len(ids), len(keys)) == (2, 4)
