"""From what pipelines give to pictures that can be shown: float arrays (H, W, 3) in [0, 1]."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from ffcv_hydra.errors import ConfigError

CHANNELS = (1, 3)
MIN_SIDE = 4  # pixels; a smaller array is taken for numbers, not for an image
VOID = 255
# Colours of classes 1 to 10, then again: Paul Tol's "bright" and "vibrant" schemes, told apart on most backgrounds.
PALETTE = np.array(
    [
        [238, 102, 119], [34, 136, 51], [204, 187, 68], [102, 204, 238], [170, 51, 119],
        [238, 119, 51], [0, 153, 136], [238, 51, 119], [68, 119, 170], [187, 204, 51],
    ]
) / 255  # fmt: skip


def as_images(batch: Any, num_channels: int | None = None) -> np.ndarray | None:
    """A batch of images, channels first or last, as (N, H, W, C); None if it is none, with C 1, 3 or `num_channels`."""
    array, known = _as_array(batch), {*CHANNELS, num_channels}
    if array is None or array.ndim != 4:
        return None
    if array.shape[3] not in known:
        array = array.transpose(0, 2, 3, 1)
    return array if array.shape[3] in known and min(array.shape[1:3]) >= MIN_SIDE else None


def shown_channels(image: np.ndarray, chosen: Sequence[int] = ()) -> np.ndarray:
    """(..., 1 or 3) of an image or a batch of some (..., C): the channels that are chosen, or else the first ones.

    Raises:
        ConfigError: it has no such channel.
    """
    count = image.shape[-1]
    if chosen and count not in CHANNELS:
        if not all(0 <= channel < count for channel in chosen):
            numbers = ",".join(map(str, chosen))
            raise ConfigError(f"--channels {numbers}: images have {count} channels; choose of 0 to {count - 1}")
        return image[..., list(chosen)]
    return image if count in CHANNELS else image[..., : 3 if count > 3 else 1]


def as_masks(batch: Any) -> np.ndarray | None:
    """A batch of masks, with or without an axis of one channel, as class ids (N, H, W); None if it is none."""
    array = _as_array(batch)
    if array is not None and array.ndim == 4 and 1 in (array.shape[1], array.shape[3]):
        array = array[:, 0] if array.shape[1] == 1 else array[..., 0]
    return array if array is not None and array.ndim == 3 and array.dtype.kind in "iu" else None


def value_range(images: Sequence[np.ndarray]) -> tuple[float, float]:
    """The values to be shown as black and white: 0 and the most for bytes and unit floats, else what occurs.

    Args:
        images: arrays of one dtype and of any shapes; none count as bytes.
    """
    dtype = images[0].dtype if images else np.uint8
    if dtype == np.uint8:
        return 0.0, 255.0
    finite = [image[np.isfinite(image)] for image in images]
    low = min((float(values.min()) for values in finite if values.size), default=0.0)
    high = max((float(values.max()) for values in finite if values.size), default=1.0)
    if images[0].dtype.kind in "fb" and low >= 0 and high <= 1:
        return 0.0, 1.0
    return low, high if high > low else low + 1


def picture(image: np.ndarray, low: float, high: float) -> np.ndarray:
    """One image (H, W, C) as float (H, W, 3), `low` as 0 and `high` as 1; what is not finite as 0."""
    image = shown_channels(image)
    scaled = (np.nan_to_num(image.astype(np.float64), posinf=high, neginf=low) - low) / (high - low)
    return np.broadcast_to(np.clip(scaled, 0, 1), (*image.shape[:2], 3))


def overlay(background: np.ndarray, mask: np.ndarray, opacity: float = 0.6) -> np.ndarray:
    """`background` (H, W, 3) with each class of `mask` (H, W) but 0 in a colour of its own; 255 (void) is white."""
    colours = np.where((mask == VOID)[..., None], 1.0, PALETTE[(mask - 1) % len(PALETTE)])
    return np.where((mask != 0)[..., None], (1 - opacity) * background + opacity * colours, background)


def _as_array(batch: Any) -> np.ndarray | None:
    if isinstance(batch, torch.Tensor):
        batch = batch.detach().cpu()
        return (batch.float() if batch.is_floating_point() else batch).numpy()
    return batch if isinstance(batch, np.ndarray) and batch.dtype.kind in "biuf" else None
