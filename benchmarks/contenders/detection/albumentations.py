"""albumentations' transforms in torch's DataLoader, and OpenCV as the decoder."""

import cv2
import numpy as np
import torch

from benchmarks.boxes import JITTER, STILL, Augment, loaded
from benchmarks.contenders.transforms.albumentations import PACKAGES as PACKAGES
from benchmarks.contenders.transforms.albumentations import STEPS, A, decode
from benchmarks.work import Epochs, Work


def batches(work: Work) -> Epochs:
    """Epochs of the loader."""
    return loaded(work, decode, augment(work))


def augment(work: Work) -> Augment:
    """What `boxes.loaded` wants."""
    random = [] if work.name == STILL else [A.HorizontalFlip(p=0.5), STEPS["jitter"](**JITTER)]
    letter_box = [A.LongestMaxSize(work.size), A.PadIfNeeded(work.size, work.size, border_mode=cv2.BORDER_CONSTANT)]
    steps = A.Compose([*letter_box, *random], bbox_params=A.BboxParams("pascal_voc", label_fields=["labels"]))

    def run(image: np.ndarray, boxes: np.ndarray, labels: np.ndarray) -> tuple[torch.Tensor, ...]:
        made = steps(image=image, bboxes=boxes, labels=labels)
        places = np.asarray(made["bboxes"], np.float32).reshape(-1, 4), np.asarray(made["labels"], np.int64)
        return tuple(map(torch.from_numpy, (made["image"], *places)))

    return run
