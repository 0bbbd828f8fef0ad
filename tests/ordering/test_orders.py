from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ffcv_hydra.errors import LoaderError
from ffcv_hydra.ordering import (
    QuasiRandom,
    Random,
    SampleSet,
    Sequential,
    as_ordering,
    occurrences,
    split_over_ranks,
)
from ffcv_hydra.ordering.identity import is_another_version
from ffcv_hydra.ordering.options import OrderOption

ORDERINGS = [Sequential(), Random(), QuasiRandom(pages=2)]


def samples(count: int = 500, seed: int = 3, num_files: int = 1) -> SampleSet:
    reader = SimpleNamespace(first_ids=np.linspace(0, 2 * count, num_files + 1).astype(np.int64))
    return SampleSet(np.arange(count) * 2, seed, lambda ids: ids // 40, reader)


@pytest.mark.parametrize("ordering", ORDERINGS, ids=lambda ordering: type(ordering).__name__)
def test_an_order_is_a_permutation_and_a_pure_function_of_seed_and_epoch(ordering):
    order = ordering.sample_order(samples(), 4)
    assert sorted(order) == list(range(0, 1000, 2))
    ordering.sample_order(samples(), 5)
    assert np.array_equal(ordering.sample_order(samples(), 4), order)


@pytest.mark.parametrize("ordering", ORDERINGS[1:], ids=lambda ordering: type(ordering).__name__)
def test_seed_and_epoch_both_change_a_random_order(ordering):
    order = ordering.sample_order(samples(), 4)
    assert not np.array_equal(ordering.sample_order(samples(), 5), order)
    assert not np.array_equal(ordering.sample_order(samples(seed=4), 4), order)


@pytest.mark.parametrize("ordering", [Sequential(), Random()], ids=lambda ordering: type(ordering).__name__)
@pytest.mark.parametrize("all_of_them", [True, False], ids=["all", "indices"])
def test_ids_at_positions_are_parts_of_the_whole_order(ordering, all_of_them):
    found = samples()
    if all_of_them:
        found = replace(found, chosen=range(500))
    order = ordering.sample_order(found, 4)
    for start, stop in ((0, 0), (0, 1), (17, 300), (499, 500), (0, 500)):
        assert np.array_equal(ordering.ids(found, 4, np.arange(start, stop)), order[start:stop])


def test_a_random_order_of_indices_is_that_of_their_places():
    places = Random().sample_order(replace(samples(), chosen=range(500)), 7)
    assert np.array_equal(Random().sample_order(samples(500), 7), places * 2)


def test_random_orders_do_not_favour_a_place():
    places = [np.flatnonzero(Random().sample_order(samples(50), epoch) == 0)[0] for epoch in range(2_000)]
    counts = np.bincount(places, minlength=50)
    assert ((counts - 40.0) ** 2 / 40.0).sum() < 110  # chi-square, 49 degrees: p < 1e-6 beyond


def test_quasi_random_keeps_few_pages_open():
    order = QuasiRandom(pages=3).sample_order(samples(2_000), 0) // 2
    page = order // 20
    first = {p: np.flatnonzero(page == p)[0] for p in range(100)}
    last = {p: np.flatnonzero(page == p)[-1] for p in range(100)}
    open_pages = [sum(first[p] <= position <= last[p] for p in range(100)) for position in range(len(order))]
    assert max(open_pages) <= 4
    assert not np.array_equal(page, np.sort(page))


def test_quasi_random_reads_few_files_at_a_time():
    few, many = QuasiRandom(pages=3), samples(4_000, num_files=40)
    order = few.sample_order(many, 1)
    assert sorted(order) == list(range(0, 8_000, 2))
    file = order // 200
    first, last = (np.array([np.flatnonzero(file == one)[end] for one in range(40)]) for end in (0, -1))
    assert max(((first <= place) & (place <= last)).sum() for place in range(4_000)) == few.files_at_once == 8
    bounds = few.bounds(many, 1)
    assert bounds.tolist() == [0, 800, 1600, 2400, 3200, 4000]
    blocks = [few.block(many, 1, number) for number in range(5)]
    assert np.array_equal(np.concatenate(blocks), order)
    assert not np.array_equal(np.argsort(blocks[0]), np.argsort(blocks[1]))
    assert not np.array_equal(np.unique(blocks[0]), np.unique(few.block(many, 2, 0)))


def test_quasi_random_of_a_few_files_is_that_of_their_pages():
    order = QuasiRandom(pages=3).sample_order(samples(2_000), 4)
    assert np.array_equal(QuasiRandom(pages=3).sample_order(samples(2_000, num_files=8), 4), order)
    everything = replace(samples(2_000, num_files=8), chosen=range(4_000))
    assert sorted(QuasiRandom(pages=3).sample_order(everything, 4)) == list(range(4_000))


def test_a_state_of_few_files_is_one_of_the_first_version_and_one_of_many_is_not():
    few, many = (QuasiRandom(pages=3).identity(samples(4_000, num_files=number)) for number in (8, 9))
    assert (few, many) == ("QuasiRandom(pages=3)", "QuasiRandom(pages=3) version 2, 8 files at a time")
    assert is_another_version(few, many)


@pytest.mark.parametrize(
    "indices", [np.array([5, 0, 7]), np.arange(3), range(3)], ids=["some", "array of all", "range"]
)
def test_samples_know_their_ids_with_and_without_an_array(indices):
    found = SampleSet(indices, 3, lambda ids: ids, reader=None)
    assert len(found) == 3 and found.indices.dtype == np.int64
    assert found.at(np.array([2, 0])).tolist() == found.indices[[2, 0]].tolist() == [indices[2], indices[0]]
    assert found.of(np.arange(10) if 7 in indices else np.arange(3)).tolist() == list(indices)


def test_options_of_ffcv_stand_for_our_orderings():
    assert isinstance(as_ordering(OrderOption.RANDOM), Random) and isinstance(as_ordering("random"), Random)
    assert isinstance(as_ordering(OrderOption.SEQUENTIAL), Sequential)
    assert isinstance(as_ordering(OrderOption.QUASI_RANDOM), QuasiRandom)
    with pytest.raises(LoaderError, match="ordering must be"):
        as_ordering("randon")


def test_a_traversal_order_class_of_the_users_is_used():
    theirs = pytest.importorskip("ffcv.traversal_order")

    class Backwards(theirs.base.TraversalOrder):
        def sample_order(self, epoch):
            return self.indices[::-1]

    assert as_ordering(Backwards).sample_order(samples(3), 0).tolist() == [4, 2, 0]
    assert as_ordering(theirs.Sequential).sample_order(samples(3), 0).tolist() == [0, 2, 4]


def test_occurrences_count_what_came_before():
    assert occurrences(np.array([3, 1, 3, 3, 1, 0])).tolist() == [0, 0, 1, 2, 1, 0]
    assert occurrences(np.array([2, 0, 1 << 60])).tolist() == [0, 0, 0]
    assert occurrences(np.array([], dtype=np.int64)).tolist() == []


sizes = st.tuples(st.integers(1, 5_000), st.integers(1, 257), st.integers(1, 9))


@settings(max_examples=300, deadline=None)
@given(sizes)
def test_L10_evaluation_gives_every_sample_once_and_each_rank_as_many_batches(size):
    num_samples, batch_size, world_size = size
    if num_samples < world_size:
        with pytest.raises(LoaderError, match="fewer than the number of ranks"):
            split_over_ranks(num_samples, batch_size, world_size, 0, drop_last=False)
        return
    ranks = [split_over_ranks(num_samples, batch_size, world_size, rank, drop_last=False) for rank in range(world_size)]
    assert sorted(np.concatenate([rank.positions() for rank in ranks])) == list(range(num_samples))
    assert len({len(rank) for rank in ranks}) == 1
    for rank in ranks:
        lengths = np.array([len(rank.batch(k)) for k in range(len(rank))])
        assert lengths.min() >= 1
        assert lengths.max() <= max(batch_size, 2 if batch_size == 1 else 0)
    whole = num_samples // (batch_size * world_size)
    for k in range(whole - 1):
        together = np.concatenate([rank.batch(k) for rank in ranks])
        assert np.array_equal(together, np.arange(k * batch_size * world_size, (k + 1) * batch_size * world_size))


@settings(max_examples=300, deadline=None)
@given(sizes)
def test_training_gives_full_global_batches_and_no_sample_twice(size):
    num_samples, batch_size, world_size = size
    whole = num_samples // (batch_size * world_size)
    if whole == 0:
        with pytest.raises(LoaderError, match="fewer than one global batch"):
            split_over_ranks(num_samples, batch_size, world_size, 0, drop_last=True)
        return
    ranks = [split_over_ranks(num_samples, batch_size, world_size, rank, drop_last=True) for rank in range(world_size)]
    for k in range(whole):
        together = np.concatenate([rank.batch(k) for rank in ranks])
        assert np.array_equal(together, np.arange(k * batch_size * world_size, (k + 1) * batch_size * world_size))
    assert {len(rank) for rank in ranks} == {whole}
