"""Folds of a beton's samples."""

import numpy as np
import pytest

from ffcv_hydra.datasets import Fold, SplitFraction
from ffcv_hydra.errors import ConfigError
from ffcv_hydra.loader import Loader


class Labelled:
    """A beton as `Fold` sees it."""

    def __init__(self, labels):
        self.labels, self.num_samples = np.asarray(labels), len(labels)
        self.fields, self.version, self.manifest = {"label": None}, None, None

    def field_metadata(self, name):
        return self.labels


def parts(folds, held_out, samples, **options):
    return [Fold(fold, folds, held_out, **options)(samples).tolist() for fold in range(folds)]


@pytest.mark.parametrize(("samples", "folds"), [(10, 2), (11, 5), (7, 7)])
def test_folds_have_nothing_in_common_and_together_all(samples, folds):
    held_out, others = parts(folds, True, samples), parts(folds, False, samples)
    assert sorted(sum(held_out, [])) == list(range(samples))
    assert max(map(len, held_out)) - min(map(len, held_out)) <= 1
    for part, rest in zip(held_out, others, strict=True):
        assert sorted(part + rest) == list(range(samples)) and rest == sorted(rest)


def test_the_seed_says_which_sample_is_in_which_fold():
    assert parts(3, True, 30, seed=1) == parts(3, True, 30, seed=1) != parts(3, True, 30, seed=2)


def test_each_fold_has_as_much_of_each_class():
    labels = np.random.default_rng(0).permutation([0] * 50 + [1] * 33 + [7] * 10)
    counts = [np.bincount(labels[Fold(fold, 5, True).of_beton(Labelled(labels))], minlength=8) for fold in range(5)]
    assert np.ptp(counts, axis=0).max() <= 1


def test_labels_that_are_no_classes_are_shuffled_as_if_there_were_none():
    assert np.array_equal(Fold(0, 4, True).of_beton(Labelled(range(40))), Fold(0, 4, True)(40))
    assert np.array_equal(Fold(0, 4, True).of_beton(Labelled(np.zeros((40, 2), int))), Fold(0, 4, True)(40))


@pytest.mark.parametrize("of", [[5, 3, 8, 30, 31, 32], SplitFraction(0, 0.5, seed=0)], ids=["ids", "share"])
def test_what_is_divided_may_be_a_part(of):
    ids = np.asarray(of(40) if callable(of) else of)
    beton = Labelled([0] * 40)
    beton.version = 10**6
    for found in (lambda fold: fold(40), lambda fold: fold.of_beton(beton)):
        held_out = [found(Fold(fold, 3, True, of=of)).tolist() for fold in range(3)]
        assert sorted(sum(held_out, [])) == sorted(ids.tolist())


def test_a_loader_reads_a_fold(beton):
    pipelines = {"image": "disabled"}
    ids = [Loader(beton, 4, pipelines=pipelines, indices=Fold(fold, 3, True)).indices for fold in range(3)]
    assert sorted(np.concatenate(ids)) == list(range(90))


@pytest.mark.parametrize(("fold", "folds"), [(0, 1), (5, 5), (-1, 5)])
def test_a_fold_that_there_is_not_is_refused(fold, folds):
    with pytest.raises(ConfigError, match=f"fold {fold} of {folds}"):
        Fold(fold, folds, True)


@pytest.mark.parametrize("of", [[0, 1, 7, 2, 7], lambda num_samples: np.array([7, 7, 1, 0])])
def test_a_sample_that_is_given_twice_is_refused(of):
    for found in (lambda fold: fold(9), lambda fold: fold.of_beton(Labelled([0] * 9))):
        with pytest.raises(ConfigError, match="sample 7 is given twice, and would be in two folds"):
            found(Fold(0, 2, True, of=of))


def test_more_folds_than_samples_are_refused():
    with pytest.raises(ConfigError, match="3 samples are too few for 5 folds; lower dataset.folds"):
        Fold(0, 5, True)(3)
