"""From what a pipeline gave in some epochs to the columns of a contact sheet."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from ffcv_hydra.beton import Beton, MaskField
from ffcv_hydra.beton.fields.base import Field
from ffcv_hydra.beton.fields.image_fields import OwnImageField, is_image
from ffcv_hydra.loader.plan.request import Request, request
from ffcv_hydra.pipeline import FFCVPipelineManager
from ffcv_hydra.preview.drawing import Column
from ffcv_hydra.preview.marks import Mark, Places, places_of
from ffcv_hydra.preview.pictures import as_images, as_masks, overlay, picture, shown_channels, value_range
from ffcv_hydra.preview.stored import captions_of, stored_images, stored_values
from ffcv_hydra.preview.targets import soft_targets

Batches = Mapping[int, Mapping[str, Any]]
"""By epoch and output name, the tensor or the list of views that the pipeline gave."""


Views = list[list[np.ndarray]]
"""Arrays by epoch and view: (N, H, W, C) images or (N, H, W) masks."""


@dataclass
class _Shown:
    """An output of images, of masks, or of images with what lies over them; and the fields that are read."""

    request: Request
    images: Views | None = None
    image_field: str | None = None
    masks: Views | None = None
    mask_field: str | None = None
    places: list[Places] = field(default_factory=list)


def columns_of(
    manager: FFCVPipelineManager, beton: Beton, ids: np.ndarray, batches: Batches, channels: Sequence[int] = ()
) -> tuple[list[Column], list[str]]:
    """The columns, and notes on them to stand below.

    Each output of images gets a group of columns: the whole images as they are stored, and what each epoch made of
    them, views side by side. A mask is laid over the images that it is joint with, or over the only ones there are, if
    the sizes agree, and otherwise shown on its own. Boxes, points and polygons are drawn over the images that they are
    joint with, or the only ones. All other outputs are left out; none at all is an empty list.

    Args:
        manager: of the stage.
        beton: that the stage reads.
        ids: int64 (N,), the samples.
        batches: what the stage's pipeline made of them.
        channels: of images of other than 1 or 3 channels, those that are shown as red, green and blue, or as grey.

    Raises:
        ConfigError: images have no such channels.
    """
    columns: list[Column] = []
    notes: list[str] = []
    shown = _shown(manager, beton, batches, channels)
    for one in shown:
        group = _stored_column(manager, beton, one, ids, channels)
        group += _epoch_columns(one, batches, notes, beton.class_names)
        if len(shown) > 1:
            for column in group:
                column.title = f"{one.request.output}\n{column.title}"
        group[0].begins_group = True
        columns += group
    return columns, notes


def _shown(manager: FFCVPipelineManager, beton: Beton, batches: Batches, channels: Sequence[int]) -> list[_Shown]:
    """The outputs of images, each with the masks that belong to it, and the masks that belong to none."""
    images: list[_Shown] = []
    masks: list[_Shown] = []
    requests = request(manager.pipeline_transforms or {}, beton)
    for one in requests:
        name = one.reads if isinstance(one.reads, str) else ""  # else it starts from another pipeline's result
        stored = beton.fields.get(name)
        as_arrays = as_masks if isinstance(stored, MaskField) else partial(_as_shown, stored, channels)
        values = [outputs[one.output] for outputs in batches.values()]
        found = [[as_arrays(view) for view in (value if one.views is not None else [value])] for value in values]
        arrays = [[array for array in views if array is not None] for views in found]
        if not all(len(kept) == len(views) > 0 for kept, views in zip(arrays, found, strict=True)):
            continue
        if isinstance(stored, MaskField):
            masks.append(_Shown(one, masks=arrays, mask_field=name))
        else:
            images.append(_Shown(one, arrays, name if stored is not None and is_image(stored) else None))
    alone = []
    for mask in masks:
        joint = [one for one in images if one.request.joint_with == mask.request.joint_with]
        owners = [one for one in joint or images[: len(images) == 1] if _sizes(one.images) == _sizes(mask.masks)]
        for owner in owners:
            owner.masks, owner.mask_field = mask.masks, mask.mask_field
        alone += [] if owners else [mask]
    for places in places_of(requests, beton):
        joint = [one for one in images if one.request.joint_with == places.request.joint_with]
        for owner in joint or images[: len(images) == 1]:
            owner.places.append(places)
    return images + alone


def _as_shown(field: Field | None, channels: Sequence[int], batch: Any) -> np.ndarray | None:
    images = as_images(batch, field.channels if isinstance(field, OwnImageField) else None)
    return None if images is None else shown_channels(images, channels)


def _sizes(arrays: Views | None) -> list[list[tuple[int, ...]]]:
    return [[array.shape[:3] for array in views] for views in arrays or []]


def _stored_column(
    manager: FFCVPipelineManager, beton: Beton, one: _Shown, ids: np.ndarray, channels: Sequence[int]
) -> list[Column]:
    """The images as they are in the file, with numbers and classes below; nothing if they come from no field."""
    if one.images is not None and one.image_field is None:
        return []
    images, masks = (
        None if name is None else stored_images(manager.file_path, name, ids, manager.custom_fields)
        for name in (one.image_field, one.mask_field)
    )
    images = None if images is None else [shown_channels(image, channels) for image in images]
    if masks is not None:
        masks = [mask[..., 0] for mask in masks]
    captions = captions_of(beton, ids, one.mask_field, masks or [])
    pictures = _pictures(images, masks, value_range(images or []))
    marks = _stored_marks(manager, beton, one, ids, pictures)
    return [Column("stored", pictures, captions if any(captions) else [], marks=marks)]


def _stored_marks(
    manager: FFCVPipelineManager, beton: Beton, one: _Shown, ids: np.ndarray, pictures: Sequence[np.ndarray]
) -> list[list[Mark]]:
    """What lies on the stored images, in pixels of the pictures of them, which may be smaller."""
    if not one.places or one.image_field is None:
        return []
    reads = {output: field for places in one.places for output, field in places.reads.items()}
    values = stored_values(manager.file_path, [*reads.values()], ids, manager.custom_fields)
    outputs = {output: values[field] for output, field in reads.items()}
    heights = beton.field_metadata(one.image_field)[ids]["height"]
    found = _marks(one.places, len(ids), outputs, beton.class_names)
    scales = [len(picture) / height for picture, height in zip(pictures, heights, strict=True)]
    return [[mark.scaled(scale) for mark in marks] for marks, scale in zip(found, scales, strict=True)]


def _marks(places: Iterable[Places], count: int, outputs: Mapping[str, Any], *of_marks: Any) -> list[list[Mark]]:
    """For each of `count` samples, the marks of all these outputs; see `Places.marks`."""
    found = [one.marks(outputs, *of_marks) or [[]] * count for one in places]
    return [sum(of_sample, []) for of_sample in zip(*found, strict=True)]


def _epoch_columns(one: _Shown, batches: Batches, notes: list[str], class_names: Sequence[str] | None) -> list[Column]:
    """A column for each view of each epoch; one epoch only if they are all the same."""
    arrays = one.images or one.masks or []
    everything = [array for views in arrays for array in views]
    limits = value_range(everything)
    if one.images is not None and limits not in ((0.0, 255.0), (0.0, 1.0)):
        shown = f"shown from {limits[0]:.4g} (black) to {limits[1]:.4g} (white)"
        notes.append(f"{one.request.output}: {everything[0].dtype}, {shown}")
    constant = all(
        np.array_equal(first, view) for views in arrays[1:] for first, view in zip(arrays[0], views, strict=True)
    )
    columns = []
    for place, (epoch, outputs) in enumerate(list(batches.items())[: 1 if constant else None]):
        for number in range(len(arrays[place])):
            images, masks = (None if given is None else given[place][number] for given in (one.images, one.masks))
            when = "each epoch" if constant and len(batches) > 1 else f"epoch {epoch}"
            view = f", view {number}" if one.request.views is not None else ""
            pictures = _pictures(images, masks, limits)
            captions = soft_targets(outputs, class_names)
            which = number if one.request.views is not None else None
            marks = _marks(one.places, len(pictures), outputs, class_names, which)
            columns.append(Column(when + view, pictures, captions, bool(view) and number == 0, marks))
    return columns


def _pictures(
    images: Iterable[np.ndarray] | None, masks: Iterable[np.ndarray] | None, limits: tuple[float, float]
) -> list[np.ndarray]:
    if images is None:
        assert masks is not None
        return [overlay(np.zeros((*mask.shape, 3)), mask, opacity=1) for mask in masks]
    shown = [picture(image, *limits) for image in images]
    return shown if masks is None else [overlay(one, mask) for one, mask in zip(shown, masks, strict=True)]
