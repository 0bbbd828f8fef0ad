"""The samples that were mistaken, as pictures: decoded from the betons that the run read."""

import base64
import io
from collections.abc import Sequence

import numpy as np
from PIL import Image

from ffcv_hydra.collection.mixture import Mixture
from ffcv_hydra.errors import FFCVHydraError, root_cause
from ffcv_hydra.preview.pictures import picture, value_range
from ffcv_hydra.preview.stored import stored_images
from ffcv_hydra.report.evaluation import Data

_SMALL = 64
"""Pixels of a side: pictures up to it are kept as they are, others as JPEG."""

Pictures = list[np.ndarray]
"""uint8 (H, W, 3), at most 256 pixels wide and high."""


def stored_pictures(data: Data | None, sample_ids: Sequence[int]) -> tuple[Pictures, str | None]:
    """The samples as they are stored; none, and why, where they cannot be had, as when the beton is gone."""
    if data is None or not data["betons"] or data["image"] is None:
        return [], "the run did not read stored images"
    ids = np.array(sample_ids, dtype=np.int64)
    betons = data["betons"]
    try:
        images = stored_images(betons[0] if len(betons) == 1 else Mixture(betons), data["image"], ids, None)
    except FFCVHydraError as error:
        return [], str(error)
    except Exception as error:  # a page without pictures says more than no page
        return [], root_cause(error)
    limits = value_range(images)
    return [(255 * picture(_three_channels(image), *limits) + 0.5).astype(np.uint8) for image in images], None


def _three_channels(image: np.ndarray) -> np.ndarray:
    """Of many channels the first three, of two the first."""
    return image if image.shape[2] in (1, 3) else image[..., : 3 if image.shape[2] > 3 else 1]


def data_uri(pixels: np.ndarray) -> str:
    """A picture as text for a page: PNG if it is small, else JPEG."""
    is_small = max(pixels.shape[:2]) <= _SMALL
    kind = "png" if is_small else "jpeg"
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind, **({} if is_small else {"quality": 85}))
    return f"data:image/{kind};base64,{base64.b64encode(file.getvalue()).decode()}"
