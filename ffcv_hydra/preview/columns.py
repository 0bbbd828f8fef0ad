"""From what a pipeline gave in some epochs to the columns of a contact sheet."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ffcv_hydra.beton import Beton, MaskField
from ffcv_hydra.beton.fields.image_fields import is_image
from ffcv_hydra.loader.plan.request import Request, request
from ffcv_hydra.pipeline import FFCVPipelineManager
from ffcv_hydra.preview.drawing import Column
from ffcv_hydra.preview.pictures import as_images, as_masks, overlay, picture, value_range
from ffcv_hydra.preview.stored import stored_images, stored_numbers
from ffcv_hydra.preview.targets import soft_targets

Batches = Mapping[int, Mapping[str, Any]]
"""By epoch and output name, the tensor or the list of views that the pipeline gave."""


@dataclass
class _Shown:
    """One output: arrays by epoch and view, (N, H, W, C) images or (N, H, W) masks."""

    request: Request
    arrays: list[list[np.ndarray]]
    mask: "_Shown | None" = None

    @property
    def is_mask(self) -> bool:
        """Whether it is masks, and not images."""
        return self.arrays[0][0].ndim == 3

    @property
    def reads(self) -> str | None:
        """The field it is read from; None if it starts from another pipeline's result."""
        return self.request.reads if isinstance(self.request.reads, str) else None


def columns_of(
    manager: FFCVPipelineManager, beton: Beton, ids: np.ndarray, batches: Batches
) -> tuple[list[Column], list[str]]:
    """The columns, and notes on them to stand below.

    Each output of images gets a group of columns: the whole images as they are stored, and what each epoch made of
    them, views side by side. A mask is laid over the images that it is joint with, or over the only ones there are, if
    the sizes agree, and otherwise shown on its own. All other outputs are left out; none at all is an empty list.

    Args:
        manager: of the stage.
        beton: that the stage reads.
        ids: int64 (N,), the samples.
        batches: what the stage's pipeline made of them.
    """
    images, masks = _images_and_masks(manager, beton, batches)
    alone = _attach(images, masks)
    columns: list[Column] = []
    notes: list[str] = []
    shown = [*images, *alone]
    for one in shown:
        group = _stored_column(manager, beton, one, ids) + _epoch_columns(one, batches, notes)
        if len(shown) > 1:
            for column in group:
                column.title = f"{one.request.output}\n{column.title}"
        group[0].begins_group = True
        columns += group
    return columns, notes


def _images_and_masks(
    manager: FFCVPipelineManager, beton: Beton, batches: Batches
) -> tuple[list[_Shown], list[_Shown]]:
    images: list[_Shown] = []
    masks: list[_Shown] = []
    for one in request(manager.pipeline_transforms or {}, beton):
        field = beton.fields.get(one.reads) if isinstance(one.reads, str) else None
        is_mask = isinstance(field, MaskField)
        found = []
        for outputs in batches.values():
            value = outputs[one.output]
            views = value if one.views is not None else [value]
            found.append([as_masks(view) if is_mask else as_images(view) for view in views])
        arrays = [[array for array in views if array is not None] for views in found]
        if all(len(kept) == len(views) > 0 for kept, views in zip(arrays, found, strict=True)):
            (masks if is_mask else images).append(_Shown(one, arrays))
    return images, masks


def _attach(images: Sequence[_Shown], masks: Sequence[_Shown]) -> list[_Shown]:
    """Give each mask to the images that it belongs to; returns the masks that belong to none."""
    alone = []
    for mask in masks:
        joint = [one for one in images if one.request.joint_with == mask.request.joint_with]
        owners = [one for one in joint or list(images)[: len(images) == 1] if _fits(one, mask)]
        for owner in owners:
            owner.mask = mask
        if not owners:
            alone.append(mask)
    return alone


def _fits(image: _Shown, mask: _Shown) -> bool:
    shapes = [[[array.shape[:3] for array in views] for views in one.arrays] for one in (image, mask)]
    return shapes[0] == shapes[1]


def _stored_column(manager: FFCVPipelineManager, beton: Beton, one: _Shown, ids: np.ndarray) -> list[Column]:
    """The images as they are in the file, with numbers and classes below; nothing if they come from no field."""
    if one.reads is None or not is_image(beton.fields[one.reads]):
        return []
    captions = [[text] if text else [] for text in stored_numbers(beton, ids)]
    images: list[np.ndarray] | None = None
    masks: list[np.ndarray] | None = None
    if not one.is_mask:
        images = stored_images(manager.file_path, one.reads, ids, manager.custom_fields)
    mask = one if one.is_mask else one.mask
    if mask is not None and mask.reads is not None:
        masks = [image[..., 0] for image in stored_images(manager.file_path, mask.reads, ids, manager.custom_fields)]
        for lines, classes in zip(captions, masks, strict=True):
            lines.append(f"{mask.reads}: {', '.join(str(number) for number in np.unique(classes) if number)}")
    texts = [", ".join(lines) for lines in captions]
    return [Column("stored", _pictures(images, masks, value_range(images or [])), texts if any(texts) else [])]


def _epoch_columns(one: _Shown, batches: Batches, notes: list[str]) -> list[Column]:
    """A column for each view of each epoch; one epoch only if they are all the same."""
    everything = [array for views in one.arrays for array in views]
    limits = value_range(everything)
    dtype = everything[0].dtype
    if not one.is_mask and limits not in ((0.0, 255.0), (0.0, 1.0)):
        notes.append(f"{one.request.output}: {dtype}, shown from {limits[0]:.4g} (black) to {limits[1]:.4g} (white)")
    constant = all(
        np.array_equal(first, view)
        for views in one.arrays[1:]
        for first, view in zip(one.arrays[0], views, strict=True)
    )
    columns = []
    for place, (epoch, outputs) in enumerate(list(batches.items())[: 1 if constant else None]):
        for number, array in enumerate(one.arrays[place]):
            masks = array if one.is_mask else None if one.mask is None else one.mask.arrays[place][number]
            when = "each epoch" if constant and len(batches) > 1 else f"epoch {epoch}"
            view = f", view {number}" if one.request.views is not None else ""
            pictures = _pictures(None if one.is_mask else list(array), None if masks is None else list(masks), limits)
            columns.append(
                Column(when + view, pictures, soft_targets(outputs), begins_group=number == 0 and bool(view))
            )
    return columns


def _pictures(
    images: Sequence[np.ndarray] | None, masks: Sequence[np.ndarray] | None, limits: tuple[float, float]
) -> list[np.ndarray]:
    if images is None:
        assert masks is not None
        return [overlay(np.zeros((*mask.shape, 3)), mask, opacity=1) for mask in masks]
    shown = [picture(image, *limits) for image in images]
    return shown if masks is None else [overlay(one, mask) for one, mask in zip(shown, masks, strict=True)]
