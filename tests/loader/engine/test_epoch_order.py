from types import SimpleNamespace

import numpy as np
import pytest

from ffcv_hydra.beton import Beton
from ffcv_hydra.errors import LoaderError
from ffcv_hydra.loader import Loader
from ffcv_hydra.loader.engine.epoch_order import EpochOrder
from ffcv_hydra.ordering import PositionalOrdering, QuasiRandom, Sequential

EVERYWHERE = np.arange(90)


class Shared(EpochOrder):
    """Another pass puts its epoch there whenever this one has put its own."""

    others = None

    @property
    def _known(self):
        return self.others

    @_known.setter
    def _known(self, known):
        pass


def test_F39_two_passes_of_different_epochs_keep_their_orders(beton):
    loader = Loader(beton, 8, ordering=QuasiRandom(), pipelines={"image": "disabled"})
    expected = [loader.passes.order.ids(epoch, EVERYWHERE).tolist() for epoch in (0, 1)]
    order = Shared(Beton(beton), loader.indices, QuasiRandom(), 0)
    loader.passes.order.ids(0, EVERYWHERE)
    order.others = loader.passes.order._known
    for _ in range(2):
        assert [order.ids(epoch, EVERYWHERE).tolist() for epoch in (0, 1)] == expected


class BackwardsByPosition(PositionalOrdering):
    def ids(self, samples, epoch, positions):
        return samples.at(len(samples) - 1 - positions)


class SwappedAsAWhole(BackwardsByPosition):
    def sample_order(self, samples, epoch):
        return samples.indices.reshape(-1, 2)[:, ::-1].ravel()


class Beyond(PositionalOrdering):
    def ids(self, samples, epoch, positions):
        return positions + len(samples)


def order_of(ordering, count=4, indices=None) -> EpochOrder:
    file = SimpleNamespace(num_samples=count)
    return EpochOrder(file, range(count) if indices is None else np.array(indices), ordering, seed=3)


def test_nothing_is_made_for_samples_that_are_not_asked_for():
    count = 10**15  # an array of them fits nowhere
    order = order_of(BackwardsByPosition(), count)
    batches = [np.array([7, 8]), np.array([count - 1])]
    (ids, keys), (last, last_key) = order.samples(2, batches)
    assert ids.tolist() == [count - 8, count - 9] and last.tolist() == [0]
    assert len({*keys.tolist(), *last_key.tolist()}) == 3
    assert order.ids(2, np.array([5])).tolist() == [count - 6]
    assert order_of(Sequential(), count).ids(0, np.array([count - 2])).tolist() == [count - 2]


def test_an_order_by_position_goes_through_the_indices():
    assert order_of(BackwardsByPosition(), 10, [3, 1, 8]).ids(0, np.arange(3)).tolist() == [8, 1, 3]


def test_indices_that_come_twice_have_keys_of_their_own_by_whatever_position():
    order = order_of(BackwardsByPosition(), 10, [3, 1, 3, 3])
    keys = [key.item() for position in (3, 1, 0) for _, key in order.samples(0, [np.array([position])])]
    assert len(set(keys)) == 3


def test_a_class_derived_from_an_order_by_position_is_asked_for_its_whole_order():
    order = order_of(SwappedAsAWhole())
    assert order.ids(0, np.arange(4)).tolist() == [1, 0, 3, 2]


def test_ids_that_are_not_in_the_file_are_refused_by_position_too():
    with pytest.raises(LoaderError, match="Beyond gave 2 ids for 2 samples, or unknown ids"):
        order_of(Beyond()).ids(0, np.arange(2))


def test_blocks_are_made_where_samples_are_read(monkeypatch):
    class Files(SimpleNamespace):
        def extents(self, name):
            return np.arange(self.num_samples) * 100, None

    file = Files(num_samples=1000, fields=["data"], page_size=1000, further_pointers=([], []))
    file.first_ids = np.arange(0, 1001, 20)
    made = []
    block = QuasiRandom.block
    monkeypatch.setattr(QuasiRandom, "block", lambda *args: (made.append(args[-1]), block(*args))[1])
    order = EpochOrder(file, range(1000), QuasiRandom(2), seed=3)
    whole = QuasiRandom(2).sample_order(order.sample_set, 4)
    assert sorted(whole) == list(range(1000)) and made == [0, 1, 2, 3, 4, 5, 6]
    del made[:]
    for positions in ([170, 3, 159], [0], [161, 200], [999, 960, 959], [500]):
        assert order.ids(4, np.array(positions)).tolist() == whole[positions].tolist()
    assert made == [0, 1, 5, 6, 3]  # the last ones are kept
    twice = EpochOrder(file, np.array([5, 700, 5]), QuasiRandom(2), seed=3)
    assert sorted(twice.ids(0, np.arange(3)).tolist()) == [5, 5, 700]
