"""Samples as the file holds them, whatever a pipeline does to them."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
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
from ffcv_hydra.printable import printable

LABEL = "label"  # what datasets call the field of classes
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
        for place, image in zip(at, _only_batch(loader)[0].numpy(), strict=True):
            images[place] = image
    return images


def stored_values(
    path: Readable, names: Sequence[str], ids: np.ndarray, custom_fields: Mapping[str, Any] | None
) -> dict[str, Any]:
    """What the default pipelines of some fields give for the samples `ids`, int64 (N,), by the fields' names."""
    beton = opened(path, custom_fields)
    pipelines: dict[str, Any] = {**dict.fromkeys(beton.fields, DISABLED), **dict.fromkeys(names)}
    loader = Loader(path, len(ids), pipelines=pipelines, indices=ids, num_workers=1, custom_fields=custom_fields)
    return dict(zip(loader.output_names, _only_batch(loader), strict=True))


def _only_batch(loader: Loader) -> tuple[Any, ...]:
    batch = loader.peek()  # one rank shows what all have evaluated, so that it reads for all is no mistake
    assert batch is not None
    return batch


def captions_of(beton: Beton, ids: np.ndarray, mask_field: str | None, masks: Sequence[np.ndarray]) -> list[str]:
    """For each sample, a line with its name, if it has one, and one with its numbers, 'label: dog, weight: 0.5'.

    Args:
        beton: the beton.
        ids: int64 (N,), of the samples.
        mask_field: the field of the masks that are shown, if there are any.
        masks: of each sample, the (H, W) classes; those that occur are named.
    """
    scalars = [name for name, field in beton.fields.items() if isinstance(field, IntField | FloatField)]
    columns = {name: beton.field_metadata(name)[ids].reshape(-1).tolist() for name in scalars}
    of_classes = class_field(beton)
    captions = []
    for row, sample in enumerate(ids.tolist()):
        parts = [
            f"{name}: {in_words(values[row], beton.class_names) if name == of_classes else format(values[row], '.6g')}"
            for name, values in columns.items()
        ]
        if mask_field is not None:
            named = beton.class_names if of_classes is None else None  # else they are the labels' names
            found = [in_words(number, named) for number in np.unique(masks[row]).tolist() if number]
            parts.append(f"{mask_field}: {', '.join(found)}")
        name = beton.sample_name(sample)
        captions.append("\n".join([*([printable(name).replace("\n", " ")] if name else []), ", ".join(parts)]).strip())
    return captions


def class_field(beton: Beton) -> str | None:
    """The field of numbers of classes: `label`, or else the only one of whole numbers."""
    found = [name for name, field in beton.fields.items() if isinstance(field, IntField)]
    return LABEL if LABEL in found else found[0] if len(found) == 1 else None


def in_words(number: int, class_names: Sequence[str] | None) -> str:
    """What a class is called, or else its number."""
    return printable(class_names[number]) if class_names and 0 <= number < len(class_names) else str(number)
