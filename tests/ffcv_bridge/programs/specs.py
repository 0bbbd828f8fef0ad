"""Several outputs of one field: a teacher's and a student's view of an image, and the image as it is."""

import sys

import numpy as np
import torch
from ffcv.fields import IntField, RGBImageField
from ffcv.fields.decoders import CenterCropRGBImageDecoder, IntDecoder, SimpleRGBImageDecoder
from ffcv.loader import Loader
from ffcv.pipeline.pipeline_spec import PipelineSpec
from ffcv.transforms import Convert, NormalizeImage, RandomHorizontalFlip, Squeeze, ToTensor, ToTorchImage
from ffcv.writer import DatasetWriter


class Pictures:
    def __len__(self):
        return 20

    def __getitem__(self, index):
        return np.random.default_rng(index).integers(0, 256, (16, 16, 3), dtype=np.uint8), index % 3


def main(path):
    fields = {"image": RGBImageField(write_mode="smart"), "label": IntField()}
    DatasetWriter(path, fields, num_workers=2).from_indexed_dataset(Pictures())
    label = [IntDecoder(), ToTensor(), Squeeze()]
    mean, std = np.array([1.0, 2, 3]), np.array([10.0, 20, 30])
    pipelines = {
        "image": [SimpleRGBImageDecoder(), ToTensor(), ToTorchImage(), Convert(torch.float32)],
        "flipped": PipelineSpec("image", transforms=[RandomHorizontalFlip(1.0), ToTensor(), ToTorchImage()]),
        "crop": PipelineSpec(
            "image", decoder=CenterCropRGBImageDecoder((8, 8), 0.5),
            transforms=[NormalizeImage(mean, std, np.float32), ToTensor(), ToTorchImage()],
        ),
        "label": label,
        "again": PipelineSpec("label", transforms=[IntDecoder(), ToTensor()]),
    }  # fmt: skip
    count = 0
    for image, label, flipped, crop, again in Loader(path, 4, num_workers=2, pipelines=pipelines):
        for place in range(4):
            expected, number = Pictures()[count + place]
            expected = torch.from_numpy(expected).permute(2, 0, 1)
            assert torch.equal(image[place], expected.float()) and torch.equal(flipped[place], expected.flip(-1))
            middle = (expected[:, 4:12, 4:12].numpy() - mean[:, None, None]) / std[:, None, None]
            assert np.allclose(crop[place].numpy(), middle, atol=1e-5)
            assert label[place] == again[place, 0] == number
        count += len(image)
    assert count == 20
    print("specs", count)


if __name__ == "__main__":
    main(sys.argv[1] + "/specs.beton")
