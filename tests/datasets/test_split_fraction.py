import numpy as np
import pytest

from ffcv_hydra import Loader
from ffcv_hydra.beton import Beton, write_beton
from ffcv_hydra.datasets import SplitFraction
from ffcv_hydra.datasets.image_folder import DEFAULT_FRACTIONS
from ffcv_hydra.datasets.split_fraction import fill_fractions
from ffcv_hydra.errors import ConfigError


@pytest.mark.parametrize("num_samples", [1, 7, 1000])
def test_adjacent_fractions_are_disjoint_and_together_all(num_samples):
    parts = [SplitFraction(*bounds, seed=3)(num_samples) for bounds in ((0, 0.8), (0.8, 0.9), (0.9, 1))]
    assert sorted(np.concatenate(parts)) == list(range(num_samples))


def test_indices_are_drawn_from_the_seed():
    assert np.array_equal(SplitFraction(0, 0.5, 1)(100), SplitFraction(0, 0.5, 1)(100))
    assert not np.array_equal(SplitFraction(0, 0.5, 1)(100), SplitFraction(0, 0.5, 2)(100))


def test_indices_are_ascending_int64():
    indices = SplitFraction(0.2, 0.5, 1)(100)
    assert indices.dtype == np.int64
    assert 15 < len(indices) < 45
    assert np.all(np.diff(indices) > 0)


def test_F1_samples_that_come_or_go_move_no_other_one():
    share = SplitFraction(0.0, 0.8, 0)
    names = [f"{n}.png" for n in range(100)]
    chosen = {names[index] for index in share.of_names(names)}
    more = ["0000.png", *names[:50], "zzz.png", *names[51:]]
    assert {more[index] for index in share.of_names(more)} - {"0000.png", "zzz.png"} == chosen - {names[50]}
    assert set(share(100)) <= set(share(120))


def test_F1_a_beton_of_before_keeps_the_rule_that_it_was_split_by(tmp_path):
    write_beton([(n,) for n in range(100)], tmp_path / "a.beton", num_workers=0)
    beton, share = Beton(tmp_path / "a.beton"), SplitFraction(0.0, 0.8, 3)
    assert np.array_equal(share.of_beton(beton), share(100))
    assert np.array_equal(Loader(beton.path, 10, indices=share).indices, share(100))
    beton.version = 2
    assert np.array_equal(share.of_beton(beton), np.sort(np.random.default_rng(3).permutation(100)[:80]))


def test_F1_a_shuffled_beton_is_split_by_its_sources_items(tmp_path):
    write_beton([(n,) for n in range(100)], tmp_path / "a.beton", num_workers=0, shuffle_indices=True)
    beton, share = Beton(tmp_path / "a.beton"), SplitFraction(0.0, 0.8)
    assert set(beton.field_metadata("int")[share.of_beton(beton)].tolist()) == set(share(100).tolist())


def test_F2_null_is_what_the_other_fractions_leave_and_0_is_no_split():
    fractions = {"train": None, "val": 0.2, "test": 0}
    assert fill_fractions(fractions) == DEFAULT_FRACTIONS == {"train": 0.8, "val": 0.2}
    assert fill_fractions({**fractions, "test": 0.1}) == {"train": 0.7, "val": 0.2, "test": 0.1}
    assert fill_fractions({"train": 0.7, "val": 0.2, "test": None}) == {"train": 0.7, "val": 0.2, "test": 0.1}
    assert fill_fractions({"train": 0.8, "val": 0.2, "test": None}) == {"train": 0.8, "val": 0.2}
    with pytest.raises(ConfigError, match=r"dataset.fractions: train and test are null; only one can have"):
        fill_fractions({**fractions, "test": None})


def test_the_share_of_a_named_split_comes_from_all_fractions():
    fractions = {"train": 0.7, "val": 0.2, "test": 0.1}
    found = [SplitFraction.named(split, fractions) for split in fractions]
    assert [(share.start, share.stop) for share in found] == [(0.0, 0.7), (0.7, 0.9), (0.9, 1.0)]
    for split, wrong, message in (("tset", fractions, "no split 'tset'"), ("train", {"train": 1.1}, "at most 1")):
        with pytest.raises(ConfigError, match=message):
            SplitFraction.named(split, wrong)


@pytest.mark.parametrize("bounds", [(-0.1, 0.5), (0.5, 0.5), (0.6, 0.5), (0.5, 1.1)])
def test_impossible_bounds_are_refused(bounds):
    with pytest.raises(ConfigError, match="use 0 <= start < stop <= 1"):
        SplitFraction(*bounds)


@pytest.mark.parametrize(
    ("fractions", "message"),
    [
        ({"train": None, "val": "abc"}, "dataset.fractions.val=abc: use a share from 0 to 1"),
        ({"train": None, "val": 1.5}, "dataset.fractions.val=1.5: use a share from 0 to 1"),
        ({"train": None, "val": -0.1}, "dataset.fractions.val=-0.1: use a share from 0 to 1"),
        ({"train": 0.8, "val": 0.3}, "the shares add up to more than 1"),
    ],
)
def test_F2_what_is_no_share_is_refused_at_its_key(fractions, message):
    with pytest.raises(ConfigError, match=message):
        fill_fractions(fractions)
