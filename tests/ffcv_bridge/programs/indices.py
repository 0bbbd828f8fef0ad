"""Operations that are told the samples' indices: labels are replaced by a table, in parallel, and values computed."""

import sys
from dataclasses import replace

import numpy as np
from ffcv.fields import FloatField, IntField
from ffcv.fields.decoders import FloatDecoder, IntDecoder
from ffcv.loader import Loader, OrderOption
from ffcv.pipeline.allocation_query import AllocationQuery
from ffcv.pipeline.compiler import Compiler
from ffcv.pipeline.operation import Operation
from ffcv.transforms import ToTensor
from ffcv.writer import DatasetWriter

TABLE = np.random.default_rng(0).integers(0, 10, 40)


class Relabel(Operation):
    def __init__(self, table):
        super().__init__()
        self.table = table

    def declare_state_and_memory(self, previous_state):
        return previous_state, None

    def generate_code(self):
        table, each = self.table, Compiler.get_iterator()

        def relabel(labels, _, indices):
            for place in each(labels.shape[0]):
                if indices[place] % 2 == 0:
                    labels[place] = table[indices[place]]
            return labels

        relabel.is_parallel = True
        relabel.with_indices = True
        return relabel


class Sine(Operation):
    """Of the value, and of the index that it is of."""

    def declare_state_and_memory(self, previous_state):
        return replace(previous_state, shape=(2,)), AllocationQuery((2,), previous_state.dtype)

    def generate_code(self):
        def sines(values, destination, indices):
            for place in range(values.shape[0]):
                destination[place, 0] = np.sin(values[place, 0])
                destination[place, 1] = np.sin(indices[place])
            return destination[: values.shape[0]]

        sines.with_indices = True
        return sines


def main(path):
    samples = [(label, label / 2) for label in range(40)]
    DatasetWriter(path, {"label": IntField(), "value": FloatField()}, num_workers=1).from_indexed_dataset(samples)
    pipelines = {
        "label": [IntDecoder(), Relabel(TABLE), ToTensor()],
        "value": [FloatDecoder(), Sine(), ToTensor()],
    }
    chosen = np.arange(5, 40)
    loader = Loader(
        path, batch_size=10, num_workers=2, order=OrderOption.RANDOM, seed=1, indices=chosen, pipelines=pipelines
    )
    seen = []
    for epoch in range(2):
        order = np.random.default_rng(1 + epoch).permutation(chosen)[:30]
        batches = [(labels.numpy().copy(), values.numpy().copy()) for labels, values in loader]
        labels, values = (np.concatenate(parts) for parts in zip(*batches, strict=True))
        assert np.array_equal(labels[:, 0], np.where(order % 2, order, TABLE[order]))
        assert np.allclose(values, np.stack([np.sin(order / 2), np.sin(order)], 1))
        seen += labels[:, 0].tolist()
    print("indices", seen)


if __name__ == "__main__":
    main(sys.argv[1] + "/indices.beton")
