"""Images that kernels are tried on, and torchvision's answer to the same question."""

import ctypes
import mmap
from collections.abc import Callable

import cv2
import numpy as np
import pytest
import torch
from sklearn.datasets import load_sample_images


def _pictures() -> list[np.ndarray]:
    random = np.random.default_rng(0)
    photographs = load_sample_images().images
    gradient = np.linspace(0, 255, 37 * 53).reshape(37, 53)
    return [
        cv2.resize(photographs[0], (97, 61), interpolation=cv2.INTER_AREA),
        cv2.resize(photographs[1], (50, 64), interpolation=cv2.INTER_AREA),
        random.integers(0, 256, (31, 45, 3), dtype=np.uint8),
        random.integers(90, 131, (33, 20, 3), dtype=np.uint8),
        np.stack([gradient, gradient[::-1], gradient[:, ::-1]], axis=2).astype(np.uint8),
        np.repeat(random.integers(0, 256, (20, 21, 1), dtype=np.uint8), 3, axis=2),
        np.full((9, 7, 3), 200, dtype=np.uint8),
        np.zeros((5, 6, 3), dtype=np.uint8),
        random.integers(0, 256, (3, 3, 3), dtype=np.uint8),
        random.integers(0, 256, (2, 5, 3), dtype=np.uint8),
        random.integers(0, 256, (1, 1, 3), dtype=np.uint8),
    ]


@pytest.fixture(scope="session")
def pictures() -> list[np.ndarray]:
    """uint8 (H, W, C): photographs, noise, gradients, flat and tiny ones, of odd sizes, with one and three channels."""
    coloured = _pictures()
    return coloured + [np.ascontiguousarray(picture[:, :, 1:2]) for picture in coloured]


@pytest.fixture(scope="session")
def as_torchvision() -> Callable[..., np.ndarray]:
    """A functional transform of torchvision on an array (H, W, C), by a tensor (C, H, W)."""

    def call(transform: Callable[..., torch.Tensor], picture: np.ndarray, *args, **kwargs) -> np.ndarray:
        tensor = torch.from_numpy(np.ascontiguousarray(picture.transpose(2, 0, 1)))
        return transform(tensor, *args, **kwargs).numpy().transpose(1, 2, 0)

    return call


@pytest.fixture(scope="session")
def place_before_guard_page() -> Callable[[bytes], np.ndarray]:
    """Copies bytes to where a read behind their end ends the process."""
    page = mmap.PAGESIZE
    memory = np.frombuffer(mmap.mmap(-1, 16 * page), dtype=np.uint8, count=15 * page)
    guard = ctypes.c_void_p(memory.ctypes.data + memory.nbytes)
    assert ctypes.CDLL(None).mprotect(guard, ctypes.c_size_t(page), 0) == 0

    def place(content: bytes) -> np.ndarray:
        data = memory[len(memory) - len(content) :]
        data[:] = np.frombuffer(bytes(content), dtype=np.uint8)
        return data

    return place
