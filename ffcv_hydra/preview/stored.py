"""Samples as the file holds them, whatever a pipeline does to them."""

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import numpy as np

from ffcv_hydra.beton import Beton
from ffcv_hydra.beton.fields.scalar_fields import FloatField, IntField
from ffcv_hydra.collection.mixture import Readable
from ffcv_hydra.collection.shards import opened
from ffcv_hydra.loader import Loader
from ffcv_hydra.operations import Resize
from ffcv_hydra.operations.to_tensor import ToTensor
from ffcv_hydra.pipeline import DISABLED

LONGEST_SIDE = 256  # pixels of a shown image; larger ones are reduced


def stored_images(
    path: Readable, name: str, ids: np.ndarray, custom_fields: Mapping[str, Any] | None
) -> list[np.ndarray]:
    """The whole images of a field, each (H, W, C) of the field's dtype; reduced to 256 pixels if they are larger.

    Args:
        path: the beton.
        name: of the field, an image field, see `is_image`.
        ids: int64 (N,), of the samples.
        custom_fields: field classes by field name, for types that FFCV does not know.
    """
    beton = opened(path, custom_fields)
    stored = beton.field_metadata(name)[ids]
    places = defaultdict(list)
    for place, (height, width) in enumerate(zip(stored["height"].tolist(), stored["width"].tolist(), strict=True)):
        share = min(1.0, LONGEST_SIDE / max(height, width))
        places[max(1, round(height * share)), max(1, round(width * share))].append(place)
    images: list[np.ndarray] = [np.empty(0)] * len(ids)
    for size, at in places.items():
        pipelines: dict[str, Any] = {**dict.fromkeys(beton.fields, DISABLED), name: [Resize(size), ToTensor()]}
        loader = Loader(path, len(at), pipelines=pipelines, indices=ids[at], num_workers=1, custom_fields=custom_fields)
        [(batch,)] = loader
        for place, image in zip(at, batch.numpy(), strict=True):
            images[place] = image
    return images


def stored_numbers(beton: Beton, ids: np.ndarray) -> list[str]:
    """For each sample, its ints and floats by name, such as 'label: 3'; empty if there are none."""
    scalars = [name for name, field in beton.fields.items() if isinstance(field, IntField | FloatField)]
    columns = [(name, beton.field_metadata(name)[ids].reshape(-1).tolist()) for name in scalars]
    return [", ".join(f"{name}: {values[row]:.6g}" for name, values in columns) for row in range(len(ids))]
