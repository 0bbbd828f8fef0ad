"""Decoding with OpenCV, for the contenders that leave it to their user: the fastest way that Python has of itself."""

import cv2
import numpy as np
import torch

from benchmarks.work import Work, box, flipped

cv2.setNumThreads(0)  # the contenders' workers are the parallelism


def decode(jpeg: bytes, work: Work) -> torch.Tensor:
    """uint8 (H, W, 3), RGB: part of an image, resampled to the work's size, perhaps mirrored."""
    image = cv2.imdecode(np.frombuffer(jpeg, dtype=np.uint8), cv2.IMREAD_COLOR_RGB)
    top, left, height, width = box(work, *image.shape[:2])
    part = image[top : top + height, left : left + width]
    shrinks = max(height, width) > work.size
    resized = cv2.resize(part, (work.size, work.size), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
    return torch.from_numpy(cv2.flip(resized, 1) if flipped(work) else resized)


def as_torch_images(batch: torch.Tensor) -> torch.Tensor:
    """(N, 3, H, W) in channels_last memory, of (N, H, W, 3)."""
    return batch.permute(0, 3, 1, 2)
