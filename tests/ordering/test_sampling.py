"""Drawing with replacement."""

from types import SimpleNamespace

import numpy as np
import pytest

from ffcv_hydra.beton.fields.rgb_image_field import RGBImageField
from ffcv_hydra.beton.fields.scalar_fields import FloatField, IntField
from ffcv_hydra.errors import LoaderError
from ffcv_hydra.ordering import ClassBalanced, SampleSet, Weighted

COUNT = 400
LABELS = np.repeat([0, 1, 7], [300, 80, 20])


def samples(seed: int = 3, indices=None) -> SampleSet:
    columns = {"label": LABELS, "weight": np.linspace(0, 1, COUNT), "image": np.zeros(COUNT)}
    reader = SimpleNamespace(
        path="some.beton",
        num_samples=COUNT,
        fields={"label": IntField(), "weight": FloatField(), "image": RGBImageField()},
        field_metadata=columns.__getitem__,
    )
    chosen = np.arange(COUNT) if indices is None else np.asarray(indices)
    return SampleSet(chosen, seed, lambda ids: ids * 0, reader)


def drawn(ordering, epochs: int, **options) -> np.ndarray:
    return np.concatenate([ordering.sample_order(samples(**options), epoch) for epoch in range(epochs)])


def test_an_epoch_has_as_many_draws_as_samples_and_is_a_pure_function_of_seed_and_epoch():
    for ordering in (ClassBalanced(), Weighted("weight")):
        order = ordering.sample_order(samples(), 2)
        assert order.shape == (COUNT,)
        ordering.sample_order(samples(), 3)
        assert np.array_equal(order, ordering.sample_order(samples(), 2))
        assert not np.array_equal(order, ordering.sample_order(samples(), 3))
        assert not np.array_equal(order, ordering.sample_order(samples(seed=4), 2))


def test_each_class_comes_equally_often_and_so_does_each_of_its_samples():
    order = drawn(ClassBalanced(), 150)
    counts = np.array([(LABELS[order] == label).sum() for label in (0, 1, 7)])
    expected = len(order) / 3
    assert ((counts - expected) ** 2 / expected).sum() < 27  # chi-square, 2 degrees: p < 1e-6 beyond
    of_seven = np.bincount(order[LABELS[order] == 7] - 380, minlength=20)
    expected = of_seven.sum() / 20
    assert ((of_seven - expected) ** 2 / expected).sum() < 65  # 19 degrees: p < 1e-6 beyond


@pytest.mark.parametrize("indices", [None, np.arange(290, 390)])
@pytest.mark.parametrize("ordering", [ClassBalanced(), Weighted("weight")], ids=["class balanced", "weighted"])
def test_frequencies_are_how_often_samples_come_on_the_mean(ordering, indices):
    order = drawn(ordering, 400, indices=indices)
    counted = np.bincount(order, minlength=COUNT)[samples(indices=indices).indices] / 400
    expected = ordering.frequencies(samples(indices=indices))
    assert np.abs(counted - expected).max() < 6 * np.sqrt(expected.max() / 400)
    assert expected.sum() == pytest.approx(len(expected))


def test_only_the_classes_among_the_indices_count():
    order = drawn(ClassBalanced(), 20, indices=np.arange(290, 390))
    assert order.min() >= 290 and order.max() < 390
    assert np.mean(LABELS[order] == 0) == pytest.approx(1 / 3, abs=0.04)


@pytest.mark.parametrize("kind", ["field", "list", "file"])
def test_samples_come_in_proportion_to_their_weights(kind, tmp_path):
    weights = np.linspace(0, 1, COUNT)
    np.save(tmp_path / "weights.npy", weights)
    given = {"field": "weight", "list": weights.tolist(), "file": str(tmp_path / "weights.npy")}[kind]
    order = drawn(Weighted(given), 100)
    assert (order != 0).all()  # a weight of 0 is never drawn
    tenths = np.bincount(order // 40, minlength=10)
    expected = len(order) * weights.reshape(10, 40).sum(1) / weights.sum()
    assert ((tenths - expected) ** 2 / expected).sum() < 45  # 9 degrees: p < 1e-6 beyond


def test_weights_of_zero_at_the_end_are_never_drawn():
    weights = [1.0] * 10 + [0.0] * (COUNT - 10)
    assert drawn(Weighted(weights), 100).max() == 9


@pytest.mark.parametrize(
    ("ordering", "message"),
    [
        (ClassBalanced("lable"), "ClassBalanced: some.beton has no field 'lable' of one number; it has label$"),
        (Weighted("image"), "no field 'image' of one number; it has label, weight"),
        (Weighted([1.0, 2.0]), r"the list has the shape \(2,\); give one weight for each of 400 samples"),
        (Weighted([-1.0] * COUNT), "the list holds a weight below 0"),
        (Weighted([0.0] * COUNT), "or zeros alone"),
        (Weighted([float("nan")] * COUNT), "or no number"),
        (Weighted("missing.npy"), "missing.npy cannot be read"),
    ],
)
def test_weights_that_cannot_be_used_are_refused_in_one_line(ordering, message):
    with pytest.raises(LoaderError, match=message) as found:
        ordering.sample_order(samples(), 0)
    assert "\n" not in str(found.value)
