"""Arrays of any length, with a field and a decoder of the program's own, which is derived from `Operation` alone."""

import sys
from dataclasses import replace

import numpy as np
import torch
from ffcv.fields import Field, IntField
from ffcv.fields.base import ARG_TYPE
from ffcv.loader import Loader, OrderOption
from ffcv.pipeline.allocation_query import AllocationQuery
from ffcv.pipeline.compiler import Compiler
from ffcv.pipeline.operation import Operation
from ffcv.transforms import ToTensor
from ffcv.writer import DatasetWriter


class RaggedDecoder(Operation):
    def declare_state_and_memory(self, previous_state):
        longest = int(self.metadata["length"].max())
        state = replace(previous_state, jit_mode=True, shape=(longest, self.field.columns), dtype=np.dtype("float32"))
        return state, AllocationQuery(state.shape, state.dtype)

    def generate_code(self):
        read, each, columns = self.memory_read, Compiler.get_iterator(), self.field.columns

        def decode(indices, destination, metadata, storage_state):
            for place in each(indices.shape[0]):
                stored = metadata[indices[place]]
                rows = read(stored["pointer"], storage_state).view(np.float32).reshape(-1, columns)
                destination[place, : rows.shape[0]] = rows
                destination[place, rows.shape[0] :] = -1
            return destination[: indices.shape[0]]

        decode.is_parallel = True
        return decode


class RaggedField(Field):
    def __init__(self, columns):
        self.columns = columns

    @property
    def metadata_type(self):
        return np.dtype([("pointer", "<u8"), ("length", "<u4")])

    @staticmethod
    def from_binary(binary):
        return RaggedField(int(binary[0]))

    def to_binary(self):
        binary = np.zeros(1, dtype=ARG_TYPE)[0]
        binary[0][0] = self.columns
        return binary

    def encode(self, destination, value, malloc):
        destination["length"] = len(value)
        destination["pointer"], data = malloc(value.nbytes)
        data[:] = value.reshape(-1).view(np.uint8)

    def get_decoder_class(self):
        return RaggedDecoder


class Boxes:
    def __len__(self):
        return 30

    def __getitem__(self, index):
        return index, np.arange(4 * (index % 4 + 1), dtype="float32").reshape(-1, 4) + np.float32(index)


def main(path):
    DatasetWriter(path, {"index": IntField(), "boxes": RaggedField(4)}, num_workers=2).from_indexed_dataset(Boxes())
    pipelines = {"boxes": [RaggedDecoder(), ToTensor()]}
    loader = Loader(
        path, batch_size=8, num_workers=2, order=OrderOption.RANDOM, seed=3, drop_last=False, pipelines=pipelines,
        custom_fields={"boxes": RaggedField},
    )  # fmt: skip
    seen = []
    for indices, boxes in loader:
        for index, found in zip(indices.flatten().tolist(), boxes, strict=True):
            expected = torch.from_numpy(Boxes()[index][1])
            assert torch.equal(found[: len(expected)], expected) and (found[len(expected) :] == -1).all()
            seen.append(index)
    assert sorted(seen) == list(range(30))
    print("ragged", seen)


if __name__ == "__main__":
    main(sys.argv[1] + "/ragged.beton")
