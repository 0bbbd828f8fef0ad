"""Patches of 13 spectral channels, made of scikit-learn's two photographs: what satellites see, without a download."""

from __future__ import annotations

import numpy as np

from ffcv_hydra.datasets.digits import SPLITS
from ffcv_hydra.errors import ConfigError

CHANNELS = 13
_RGB = np.array([650, 550, 450])  # nanometres
_SPLITS_AT = (0.0, 0.6, 0.75, 1.0)  # of the photographs' width: splits have no pixel in common
_REFLECTANCE = 10_000  # what stands for 1, as in products of Sentinel-2
_NOISE = 80.0  # standard deviation
_CONTRAST = 0.25  # by which a material changes what is below it, in each channel


class SpectralPatches:
    """Parts of photographs as 13 channels of uint16, of which a disc is made of one of several materials.

    The channels lie evenly from 450 to 650 nm: the photograph's colours with what lies between them, and noise. A
    material makes each channel a little brighter or darker, in a way of its own that takes many channels to see.
    An item is (uint16 (size, size, 13) image, number of the material).

    Args:
        split: `train`, `val` or `test`.
        num_patches: Length of the dataset.
        size: Height and width of a patch, in pixels.
        num_classes: How many materials there are.
        seed: Draws materials and patches.

    Raises:
        ConfigError: for another split.
    """

    is_constant = True

    def __init__(
        self, split: str, num_patches: int = 1000, size: int = 48, num_classes: int = 6, seed: int = 0
    ) -> None:
        from sklearn.datasets import load_sample_images  # slow to import, and only needed to build the dataset

        if split not in SPLITS:
            raise ConfigError(f"spectral_patches has no split {split!r}; use one of {', '.join(SPLITS)}")
        place = SPLITS.index(split)
        self.split, self.num_patches, self.size, self.seed = split, num_patches, size, seed
        self.classes = [f"material {number}" for number in range(num_classes)]
        self._photos = [
            photo[:, slice(*(round(edge * photo.shape[1]) for edge in _SPLITS_AT[place : place + 2]))] / 255
            for photo in load_sample_images().images
        ]
        wavelengths = np.linspace(_RGB.min(), _RGB.max(), CHANNELS)
        self._mix = np.stack([np.interp(wavelengths, _RGB[::-1], one) for one in np.eye(3)[:, ::-1]])
        self._materials = np.random.default_rng(seed).choice([-1, 1], (num_classes, CHANNELS)) * _CONTRAST

    def __len__(self) -> int:
        return self.num_patches

    def __getitem__(self, index: int) -> tuple[np.ndarray, int]:
        if not 0 <= index < self.num_patches:
            raise IndexError(f"index {index} is not in a dataset of {self.num_patches} patches")
        random = np.random.default_rng([self.seed, SPLITS.index(self.split), index])
        photo, label = self._photos[random.integers(len(self._photos))], int(random.integers(len(self.classes)))
        top, left = (int(random.integers(side - self.size + 1)) for side in photo.shape[:2])
        image = photo[top : top + self.size, left : left + self.size] @ self._mix
        radius = self.size * random.uniform(0.15, 0.3)
        rows, columns = np.ogrid[: self.size, : self.size]
        middle = random.uniform(radius, self.size - radius, 2)
        image[(rows - middle[0]) ** 2 + (columns - middle[1]) ** 2 < radius**2] *= 1 + self._materials[label]
        image = image * _REFLECTANCE + random.normal(0, _NOISE, image.shape)
        return np.clip(np.round(image), 0, 65535).astype(np.uint16), label
