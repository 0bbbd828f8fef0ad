"""A `Loader` that is derived: of more arguments, with an order of its own, and batches as dictionaries."""

import sys

import numpy as np
from ffcv.fields import IntField, NDArrayField
from ffcv.loader import Loader, OrderOption
from ffcv.writer import DatasetWriter


class DictLoader(Loader):
    """Gives `{name: column}`, and every class as often as the rarest one."""

    def __init__(self, *args, names, classes, **kwargs):
        self.classes = classes
        super().__init__(*args, order=OrderOption.RANDOM, **kwargs)
        self.names = names

    def next_traversal_order(self):
        order = super().next_traversal_order()
        of_order = self.classes[order]
        least = np.bincount(of_order).min()
        kept = np.concatenate([np.flatnonzero(of_order == one)[:least] for one in np.unique(of_order)])
        return order[np.sort(kept)]

    def __iter__(self):
        for batch in super().__iter__():
            yield dict(zip(self.names, batch, strict=True))


def main(path):
    classes = np.array([0] * 30 + [1] * 10 + [2] * 20)
    samples = [(number, np.array(number / 4, dtype="float32")) for number in classes]
    fields = {"label": IntField(), "value": NDArrayField(np.dtype("float32"), (1,))}
    DatasetWriter(path, fields, num_workers=2).from_indexed_dataset(samples)
    loader = DictLoader(path, 6, num_workers=2, seed=5, names=["label", "value"], classes=classes)
    assert len(loader) == 5 and loader.reader.num_samples == 60 and loader.drop_last
    seen = []
    for epoch in range(3):
        assert loader.next_epoch == epoch
        labels = []
        for batch in loader:
            assert (batch["value"] * 4 == batch["label"]).all()
            labels += batch["label"].flatten().tolist()
        assert np.bincount(labels).tolist() == [10, 10, 10]
        seen += labels
    print("subclass", seen)


if __name__ == "__main__":
    main(sys.argv[1] + "/subclass.beton")
