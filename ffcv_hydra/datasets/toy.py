"""Small made-up datasets, one per kind of field; the same for the same seed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    import torch

GRID = 4  # colours per side of a toy image, blended in between


class _Toy:
    is_constant = True

    def __init__(self, num_samples: int = 256, size: int = 32, seed: int = 0) -> None:
        self.num_samples = num_samples
        self.size = size
        self.seed = seed

    def __len__(self) -> int:
        return self.num_samples

    def _generator(self, index: int) -> np.random.Generator:
        if not 0 <= index < self.num_samples:
            raise IndexError(f"index {index} is not in a dataset of {self.num_samples} samples")
        return np.random.default_rng([self.seed, index])


class ToyImages(_Toy):
    """Smooth coloured images and their index.

    Args:
        num_samples: Length of the dataset.
        size: Height and width of an image, in pixels.
        seed: Another seed gives other images.
    """

    def __getitem__(self, index: int) -> tuple[Image.Image, int]:
        colours = self._generator(index).integers(0, 256, (GRID, GRID, 3), dtype=np.uint8)
        image = Image.fromarray(colours).resize((self.size, self.size), Image.Resampling.BICUBIC)
        return image, int(index)


class ToyArrays(_Toy):
    """float32 arrays (size,) of normal numbers, and their index.

    Args:
        num_samples: Length of the dataset.
        size: Length of an array.
        seed: Another seed gives other arrays.
    """

    def __getitem__(self, index: int) -> tuple[np.ndarray, int]:
        return self._generator(index).standard_normal(self.size, dtype=np.float32), int(index)


class ToyTensorsAndJson(_Toy):
    """float32 tensors (size,) of normal numbers, and dicts with their index and a text.

    Args:
        num_samples: Length of the dataset.
        size: Length of a tensor.
        seed: Another seed gives other tensors.
    """

    def __getitem__(self, index: int) -> tuple[torch.Tensor, dict[str, Any]]:
        import torch  # slow to load

        values = self._generator(index).standard_normal(self.size, dtype=np.float32)
        return torch.from_numpy(values), {"index": int(index), "text": f"sample {index}"}
