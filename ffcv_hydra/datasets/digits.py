"""Scikit-learn's bundled handwritten digits: real data without a download."""

from __future__ import annotations

import numpy as np
from PIL import Image

from ffcv_hydra.errors import ConfigError

VAL_FRACTION = 0.1
TEST_FRACTION = 0.2
SPLITS = ("train", "val", "test")


class Digits:
    """1,797 handwritten digits (8x8 grey levels, enlarged) as RGB images, with labels 0 to 9.

    70 % are for training, 10 % for validation, 20 % for testing; each split has the classes in the same proportions.

    Args:
        split: `train`, `val` or `test`.
        size: Height and width of an image, in pixels.
        seed: Draws the split.

    Raises:
        ConfigError: for another split.
    """

    is_constant = True

    def __init__(self, split: str, size: int = 32, seed: int = 0) -> None:
        from sklearn.datasets import load_digits  # slow to import, and only needed to build the dataset
        from sklearn.model_selection import train_test_split

        if split not in SPLITS:
            raise ConfigError(f"digits has no split {split!r}; use one of {', '.join(SPLITS)}")
        digits = load_digits()
        rest, test = train_test_split(
            np.arange(len(digits.target)), test_size=TEST_FRACTION, stratify=digits.target, random_state=seed
        )
        val_share = VAL_FRACTION / (1 - TEST_FRACTION)
        train, val = train_test_split(rest, test_size=val_share, stratify=digits.target[rest], random_state=seed)
        chosen = {"train": train, "val": val, "test": test}[split]
        self.size = size
        self.classes = [str(name) for name in digits.target_names]
        self._images = np.round(digits.images[chosen] * (255 / 16)).astype(np.uint8)
        self._labels = digits.target[chosen]

    def __len__(self) -> int:
        return len(self._labels)

    def __getitem__(self, index: int) -> tuple[Image.Image, int]:
        image = Image.fromarray(self._images[index]).resize((self.size, self.size), Image.Resampling.BICUBIC)
        return image.convert("RGB"), int(self._labels[index])
