"""The same batches on every run: whatever the threads, the chunks, the ranks, and where a run was stopped."""

import pytest

from ffcv_hydra import operations
from ffcv_hydra.operations import ChunkOperation
from tests.loader.configurations import (
    CONFIGURATIONS,
    RANDOM_OPERATIONS,
    check_resume,
    digests,
    joined,
    make,
    of_chunks,
)

pytestmark = pytest.mark.timeout(180)


def test_every_random_operation_has_a_configuration():
    kinds = [kind for kind in vars(operations).values() if isinstance(kind, type) and issubclass(kind, ChunkOperation)]
    random = {kind.__name__ for kind in kinds if kind.random and not kind.__abstractmethods__}
    assert random - {"RandomlyApplied"} == set(RANDOM_OPERATIONS)  # less the base, of which each has its kernel


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_T8_a_resumed_epoch_goes_on_at_the_very_next_batch(scenes, name):
    check_resume(make(scenes, name), make(scenes, name, num_workers=1), batches=2)


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_T8_an_epoch_does_not_depend_on_threads_chunks_or_how_the_file_is_read(scenes, name):
    reference = make(scenes, name)
    expected = digests(reference)
    assert len(set(expected)) == len(expected)  # and it does not repeat itself
    for workers in (1, 4):
        assert digests(make(scenes, name, num_workers=workers)) == expected
    assert digests(make(scenes, name, os_cache=False)) == expected
    assert digests(of_chunks(make(scenes, name), 2)) == expected
    assert digests(of_chunks(make(scenes, name, os_cache=False), 6)) == expected
    if name != "default":
        assert digests(reference) != expected  # the next epoch
        assert digests(make(scenes, name, seed=4)) != expected


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_T8_two_ranks_get_the_batches_of_one(scenes, name):
    expected = digests(joined([batch]) for batch in make(scenes, name, 16))
    ranks = [make(scenes, name, 8, rank=rank, world_size=2) for rank in (0, 1)]
    assert digests(joined(list(parts)) for parts in zip(*ranks, strict=True)) == expected


@pytest.mark.parametrize("name", ["random", "views", "MixedTargets", "class_balanced"])
def test_a_run_goes_on_with_another_number_of_ranks(scenes, name):
    one = make(scenes, name, 12)
    expected = digests(joined([batch]) for batch in one)
    one.sampler.set_epoch(0)
    running = iter(one)
    next(running)
    ranks = [make(scenes, name, 4, rank=rank, world_size=3) for rank in (0, 1, 2)]
    for loader in ranks:
        loader.load_state_dict(one.state_dict())
    assert digests(joined(list(parts)) for parts in zip(*ranks, strict=True)) == expected[1:]
