"""What kernels take of stored images, and of the parts of them that decoders want."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ffcv_hydra.beton.fields.image_fields import ReadBox
from ffcv_hydra.kernels.images.windows import ADDRESS, RESULT_BYTES

_COLUMNS = ("offsets", "sizes", "modes", "heights", "widths", "keys")


@dataclass(frozen=True)
class StoredImages:
    """N images of one field.

    Attributes:
        data: uint8, the file or a part of it.
        offsets, sizes: int64 (N,), where each lies in `data`, in bytes.
        modes: uint8 (N,), how it is stored.
        heights, widths: int64 (N,), in pixels.
        keys: uint64 (N,), of the samples.
        channels, dtype: of the field's pixels.
        read_box: what reads parts of them; None where kernels do.
        tile: the side, in pixels, of tiles that kernels read, and `read_box` only tells what is wrong with them; or 0.
    """

    data: np.ndarray
    offsets: np.ndarray
    sizes: np.ndarray
    modes: np.ndarray
    heights: np.ndarray
    widths: np.ndarray
    keys: np.ndarray
    channels: int
    dtype: np.dtype
    read_box: ReadBox | None = None
    tile: int = 0

    def one(self, position: int) -> StoredImages:
        """One of them."""
        return replace(self, **{name: getattr(self, name)[position : position + 1] for name in _COLUMNS})

    def stored(self, position: int) -> np.ndarray:
        """uint8 (num_bytes,): the bytes of one of them.

        Raises:
            ValueError: they are not within `data`.
        """
        begin, size = int(self.offsets[position]), int(self.sizes[position])
        if not 0 <= begin <= begin + size <= len(self.data):
            raise ValueError("its bytes are not in the file")
        return self.data[begin : begin + size]


@dataclass(frozen=True)
class Views:
    """V parts of each of N images, resampled, one per decoder.

    Attributes:
        windows: int64 (V, N, 9), as `kernels.geometry.resize.resize_window` takes them.
        interpolations: int64 (V,), the kernels' numbers of them.
        scales: int64 (V, N), 1, 2, 4 or 8: how many times smaller than it is a JPEG is decoded.
        targets: int64 (V, TARGET_COLUMNS), as `kernels.images.windows` takes them.
    """

    windows: np.ndarray
    interpolations: np.ndarray
    scales: np.ndarray
    targets: np.ndarray

    def of_image(self, position: int, chosen: np.ndarray) -> Views:
        """Those of one image that are chosen, bool (V,)."""
        targets = self.targets[chosen]
        targets[:, ADDRESS] += position * targets[:, RESULT_BYTES]
        one = slice(position, position + 1)
        return Views(self.windows[chosen, one], self.interpolations[chosen], self.scales[chosen, one], targets)

    def box(self) -> np.ndarray:
        """int64 (4,): top, left, bottom, right of the smallest box around all of them, which are of one image."""
        corner, size = self.windows[:, 0, :2], self.windows[:, 0, 2:4]
        return np.concatenate([corner.min(axis=0), (corner + size).max(axis=0)])
