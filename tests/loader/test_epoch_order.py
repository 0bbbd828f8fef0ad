from ffcv_hydra.beton import Beton
from ffcv_hydra.loader import Loader
from ffcv_hydra.loader.epoch_order import EpochOrder
from ffcv_hydra.ordering import Random


class Shared(EpochOrder):
    """Another pass puts epoch 0 there whenever this one has looked."""

    @property
    def _known(self):
        known, vars(self)["_now"] = vars(self).get("_now"), vars(self).get("_of_epoch_0")
        return known

    @_known.setter
    def _known(self, known):
        vars(self)["_now"] = known


def test_F39_two_passes_of_different_epochs_keep_their_orders(beton):
    loader = Loader(beton, 8, ordering=Random(), pipelines={"image": "disabled"})
    order = Shared(Beton(beton), loader.indices, Random(), 0)
    of_epoch_0, of_epoch_1 = (loader._order.ids(epoch).tolist() for epoch in (0, 1))
    loader._order.ids(0)
    vars(order)["_of_epoch_0"] = loader._order._known
    for _ in range(3):
        assert order.ids(1).tolist() == of_epoch_1
        assert order.ids(0).tolist() == of_epoch_0
