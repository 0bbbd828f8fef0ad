"""A field that has the index, to keep something of each sample between epochs, and a part that is read."""

import sys

import numpy as np
import torch
from ffcv import DatasetWriter, Loader
from ffcv.fields import BytesField, IntField, JSONField, RGBImageField, TorchTensorField
from ffcv.fields.basics import IntDecoder
from ffcv.fields.rgb_image import CenterCropRGBImageDecoder
from ffcv.loader import OrderOption
from ffcv.transforms import Squeeze, ToDevice, ToTensor, ToTorchImage


class Indexed:
    """The items of a dataset, and where they are in it."""

    def __init__(self, dataset):
        self.dataset = dataset

    def __len__(self):
        return len(self.dataset)

    def __getitem__(self, index):
        return (*self.dataset[index], int(index))


class Photos:
    def __len__(self):
        return 24

    def __getitem__(self, index):
        image = np.full((20 + index, 30, 3), index, np.uint8)
        return image, torch.full((2,), index), {"name": f"{index:03}.jpg"}, np.frombuffer(b"%03d" % index, np.uint8)


def arguments():
    cpu = torch.device("cpu")
    pipelines = {
        "image": [CenterCropRGBImageDecoder((8, 8), 1.0), ToTensor(), ToDevice(cpu, non_blocking=True), ToTorchImage()],
        "index": [IntDecoder(), ToTensor(), Squeeze(), ToDevice(cpu)],
    }
    return {"num_workers": 2, "os_cache": True, "pipelines": pipelines, "drop_last": False}


def main(path):
    fields = {
        "image": RGBImageField(write_mode="raw", max_resolution=30),
        "tensor": TorchTensorField(torch.int64, (2,)),
        "record": JSONField(),
        "name": BytesField(),
        "index": IntField(),
    }
    writer = DatasetWriter(path, fields, page_size=1 << 22, num_workers=2)
    writer.from_indexed_dataset(Indexed(Photos()), indices=list(range(23, -1, -1)), chunksize=5)
    loader = Loader(path, 7, order=OrderOption.RANDOM, seed=9, **arguments())
    bank = torch.zeros(24)
    seen = []
    for _ in range(2):
        for image, tensor, record, name, index in loader:
            assert image.shape[1:] == (3, 8, 8) and (image == index[:, None, None, None]).all()
            assert torch.equal(tensor, index[:, None].expand(-1, 2))
            assert [one["name"] for one in JSONField.unpack(record)] == [
                f"{number:03}.jpg" for number in index.tolist()
            ]
            assert [bytes(one.tolist()) for one in name] == [b"%03d" % number for number in index.tolist()]
            bank[index] += 1
            seen += index.tolist()
    assert (bank == 2).all() and len(loader) == 4
    few = Loader(path, 4, order=OrderOption.SEQUENTIAL, indices=np.arange(12), **arguments())
    assert [index for *_, indices in few for index in indices.tolist()] == list(range(23, 11, -1))
    print("index_field", seen)


if __name__ == "__main__":
    main(sys.argv[1] + "/index_field.beton")
