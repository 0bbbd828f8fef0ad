"""torchvision's transforms, version 2, of its `tv_tensors`, in torch's DataLoader."""

import numpy as np
import torch
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional
from torchvision.tv_tensors import BoundingBoxes, Image

from benchmarks.boxes import JITTER, STILL, Augment, loaded
from benchmarks.contenders.transforms.torchvision import PACKAGES as PACKAGES
from benchmarks.contenders.transforms.torchvision import decode
from benchmarks.work import Epochs, Work


def batches(work: Work) -> Epochs:
    """Epochs of the loader."""
    return loaded(work, decode, augment(work))


def augment(work: Work) -> Augment:
    """What `boxes.loaded` wants."""
    random = v2.Identity() if work.name == STILL else v2.Compose([v2.RandomHorizontalFlip(), v2.ColorJitter(**JITTER)])

    def run(image: torch.Tensor, boxes: np.ndarray, labels: np.ndarray) -> tuple[torch.Tensor, ...]:
        height, width = image.shape[1:]
        places = BoundingBoxes(torch.from_numpy(boxes), format="XYXY", canvas_size=(height, width))
        factor = work.size / max(height, width)
        size = [round(height * factor), round(width * factor)]
        above, before = ((work.size - side) // 2 for side in size)
        padding = [before, above, work.size - size[1] - before, work.size - size[0] - above]
        both = (functional.pad(functional.resize(one, size), padding) for one in (Image(image), places))
        moved = (one.as_subclass(torch.Tensor) for one in random(*both))
        return *moved, torch.from_numpy(labels)

    return run
