from ffcv_hydra.beton import Beton
from ffcv_hydra.loader import Loader
from ffcv_hydra.loader.engine.epoch_order import EpochOrder
from ffcv_hydra.ordering import Random


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
    loader = Loader(beton, 8, ordering=Random(), pipelines={"image": "disabled"})
    expected = [loader.passes.order.ids(epoch).tolist() for epoch in (0, 1)]
    order = Shared(Beton(beton), loader.indices, Random(), 0)
    loader.passes.order.ids(0)
    order.others = loader.passes.order._known
    for _ in range(2):
        assert [order.ids(epoch).tolist() for epoch in (0, 1)] == expected
