"""Shares of every batch, exactly; members that begin anew; the same over ranks, and from where a run stopped."""

import copy
import pickle

import numpy as np
import pytest

from ffcv_hydra import FFCVDataModule, FFCVPipelineManager
from ffcv_hydra.beton import write_beton
from ffcv_hydra.collection.mixture import Mixture
from ffcv_hydra.errors import LoaderError
from ffcv_hydra.loader import Loader
from ffcv_hydra.ordering import ClassBalanced, QuasiRandom, Random, Sequential
from tests.loader.configurations import check_resume, digests, joined

pytestmark = pytest.mark.timeout(120)
SIZES = {"a": 50, "b": 7, "c": 23}


class Numbers:
    def __init__(self, first: int, count: int) -> None:
        self.first, self.count = first, count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int):
        return (self.first + index, index % 3)


@pytest.fixture(scope="module")
def paths(tmp_path_factory):
    """Three betons with the numbers 0 to 49, 1000 to 1006 and 2000 to 2022."""
    folder = tmp_path_factory.mktemp("members")
    for number, (name, count) in enumerate(SIZES.items()):
        fields = {"number": None, "label": None}
        write_beton(Numbers(1000 * number, count), folder / f"{name}.beton", fields, num_workers=0)
    return [folder / f"{name}.beton" for name in SIZES]


def mixed(paths, shares=(0.5, 0.3, 0.2), size=10, epoch_size=None, **options) -> Loader:
    chosen = {"ordering": Random(), "seed": 5, "num_workers": 1, "pipelines": {"label": "disabled"}}
    return Loader(Mixture(dict(zip(paths, shares, strict=True)), epoch_size), size, **{**chosen, **options})


def numbers(loader: Loader) -> list[list[int]]:
    return [np.asarray(batch).ravel().tolist() for (batch,) in loader]


@pytest.mark.parametrize("shares", [(0.5, 0.3, 0.2), (7, 2, 1.3), (1, 0, 1), (0.34, 0.33, 0.33)])
def test_a_batch_has_of_each_member_what_its_share_says(paths, shares):
    loader = mixed(paths, shares)
    batches = numbers(loader)
    assert [len(batch) for batch in batches] == [10] * 8
    had, exact = np.zeros(3), np.array(shares) / sum(shares)
    for number, batch in enumerate(batches, 1):
        had += np.bincount(np.array(batch) // 1000, minlength=3)
        assert np.abs(had - exact * 10 * number).max() < 1 + 1e-5
    assert len({tuple(np.array(batch) // 1000) for batch in batches}) > 1  # members stand in random places


def test_members_begin_anew_when_they_are_through_and_go_on_when_they_are_not(paths):
    loader = mixed(paths, (0.5, 0.3, 0.2), 10)
    drawn: list[list[int]] = [[], [], []]
    for _ in range(3):
        for batch in numbers(loader):
            for number in batch:
                drawn[number // 1000].append(number % 1000)
    for count, of_member in zip(SIZES.values(), drawn, strict=True):
        passes = [of_member[start : start + count] for start in range(0, len(of_member) - count + 1, count)]
        # within a batch the members' order is that of its places, which a batch's numbers keep
        assert all(sorted(one) == list(range(count)) for one in passes)
        assert len({tuple(one) for one in passes}) == len(passes)


def test_an_epoch_is_as_long_as_is_said(paths):
    assert mixed(paths).num_samples == 80
    short = mixed(paths, epoch_size=25)
    assert (len(short), short.num_samples, [len(batch) for batch in numbers(short)]) == (3, 25, [10, 10, 5])
    assert len(set(sum(numbers(short) + numbers(short), []))) >= 40  # the second epoch goes on in the large members


def test_samples_of_a_last_batch_that_is_left_out_come_in_the_next_epoch(paths):
    loader = mixed(paths, (1, 0, 0), 8, epoch_size=30, drop_last=True)
    numbers_of = sum((sum(numbers(loader), []) for _ in range(2)), [])
    assert len(numbers_of) == 48 and len(set(numbers_of)) == 48  # of 50


def test_a_tiny_member_of_a_long_epoch_costs_no_more_than_it_gives(paths):
    mixed(paths, (0, 1, 0), 100, epoch_size=70_000).sample_ids(0)  # 10,000 passes


def test_shares_may_change_from_epoch_to_epoch(paths):
    loader = mixed(paths, ([1, 0, 0], [0, 1], 1), 8, epoch_size=16)
    counts = [np.bincount(np.array(sum(numbers(loader), [])) // 1000, minlength=3).tolist() for _ in range(4)]
    assert counts == [[8, 0, 8], [0, 8, 8], [0, 8, 8], [0, 8, 8]]
    again = mixed(paths, ([1, 0, 0], [0, 1], 1), 8, epoch_size=16)
    again.sampler.set_epoch(2)
    loader.sampler.set_epoch(2)
    assert numbers(again) == numbers(loader)


@pytest.mark.parametrize("ordering", [Random(), Sequential(), QuasiRandom(2), ClassBalanced("label")])
def test_a_run_goes_on_where_it_was_with_any_number_of_ranks(paths, ordering):
    options = {"ordering": ordering, "drop_last": True}
    check_resume(mixed(paths, **options), mixed(paths, **options), batches=3)
    expected = digests(joined([batch]) for batch in mixed(paths, **options))
    ranks = [mixed(paths, size=5, rank=rank, world_size=2, **options) for rank in (0, 1)]
    assert digests(joined(list(parts)) for parts in zip(*ranks, strict=True)) == expected


def test_samples_that_come_again_are_augmented_anew(paths):
    loader = mixed(paths, (0, 1, 0), 7, epoch_size=21)
    order = loader.passes.order
    (ids, keys), *_ = list(order.samples(0, [np.arange(21)]))
    assert len(set(ids.tolist())) == 7
    assert len(set(keys.tolist())) == 21


def test_ids_name_the_member(paths):
    loader = mixed(paths)
    assert list(loader.members) == paths
    assert [span.start for span in loader.members.values()] == [0, 50, 57]
    assert all(0 <= sample < 80 for sample in loader.sample_ids(0))


def test_copies_and_data_modules_read_the_same(paths):
    expected = numbers(mixed(paths))
    assert numbers(copy.deepcopy(mixed(paths))) == numbers(pickle.loads(pickle.dumps(mixed(paths)))) == expected
    mixture = Mixture(dict(zip(paths, (0.5, 0.3, 0.2), strict=True)))
    manager = FFCVPipelineManager(mixture, {"label": "disabled"}, Random())
    assert numbers(FFCVDataModule(10, 1, train_manager=manager, seed=5).train_dataloader()) == expected


def test_a_state_of_another_mixture_is_refused(paths):
    state = mixed(paths).state_dict()
    with pytest.raises(LoaderError, match="another ordering"):
        mixed(paths, (0.5, 0.2, 0.3)).load_state_dict(state)
    with pytest.raises(LoaderError, match="another beton"):
        mixed(paths[::-1]).load_state_dict(state)


def test_a_mixture_whose_members_end_elsewhere_is_another_one(paths, tmp_path):
    for name, first, count in (("a", 0, 20), ("b", 20, 30)):
        write_beton(Numbers(first, count), tmp_path / f"{name}.beton", {"number": None, "label": None}, num_workers=0)
    halves = [tmp_path / "a.beton", tmp_path / "b.beton"]
    for name, first, count in (("c", 0, 30), ("d", 30, 20)):
        write_beton(Numbers(first, count), tmp_path / f"{name}.beton", {"number": None, "label": None}, num_workers=0)
    others = [tmp_path / "c.beton", tmp_path / "d.beton"]
    with pytest.raises(LoaderError, match="another (beton|ordering)"):
        mixed(others, (0.5, 0.5)).load_state_dict(mixed(halves, (0.5, 0.5)).state_dict())


def test_a_mixture_is_not_filtered(paths):
    with pytest.raises(LoaderError, match="filter: a mixture reads all samples of its members"):
        mixed(paths).filter("number", lambda number: True)


@pytest.mark.parametrize(
    ("shares", "options", "message"),
    [
        ({}, {}, "there are no members"),
        ({"a": -1.0}, {}, r"the share of a is -1\.0; use a number from 0 on"),
        ({"a": "much"}, {}, "the share of a is "),
        ({"a": float("nan")}, {}, "the share of a is nan"),
        ({"a": []}, {}, "the list of shares of a is empty"),
        ({"a": 0, "b": [0.0, 1.0]}, {}, "all shares are zero in epoch 0"),
        ({"a": 1, "./a": 1}, {}, "a is there twice"),
        ({"s3://user:secret@b/a": -1}, {}, r"the share of s3://\*\*\*@b/a is -1"),
        ({"a": 1}, {"epoch_size": 0}, "epoch_size is a number of samples from 1 on; got 0"),
        ({"a": 1}, {"epoch_size": True}, "got True"),
    ],
)
def test_impossible_mixtures_are_refused(shares, options, message):
    with pytest.raises(LoaderError, match=message):
        Mixture(shares, **options)


def test_indices_of_a_mixture_are_refused(paths):
    with pytest.raises(LoaderError, match="indices: a mixture reads all samples of its members"):
        mixed(paths, indices=[1, 2])
