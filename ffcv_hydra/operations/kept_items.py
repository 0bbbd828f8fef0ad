"""Items that go with boxes, once some of these are dropped; and batches as lists, as detectors take them."""

from typing import Any

import torch

from ffcv_hydra.errors import PipelineError
from ffcv_hydra.kernels.geometry.places import HEADER
from ffcv_hydra.kernels.geometry.polygons import BOXES
from ffcv_hydra.operations.operation import State
from ffcv_hydra.operations.padded import PaddedArray, SplitPrefixed
from ffcv_hydra.operations.tensor_operation import TensorOperation, check_is_tensor


class KeptItems(SplitPrefixed):
    """`SplitPrefixed` for a field that follows boxes: of the items that go with boxes which are kept.

    It is run by the thread that takes the batch, once the boxes are there; without boxes in the batch all are kept.
    """

    def apply_beside(self, batch: torch.Tensor, boxes: torch.Tensor) -> PaddedArray:
        """The items of uint8 rows (N, B), kept as the boxes of rows (N, C) of `FollowedBoxes` are."""
        data, given = self.apply(batch)
        lengths, words = boxes.view(torch.int64)[:, 0].clone(), boxes.view(torch.int32)
        longest = (words.shape[1] - HEADER) // 5
        indices = words[:, HEADER + 4 * longest : HEADER + 5 * longest].long()
        if not self.field.is_one_each:
            of_boxes = data[..., 0].long()
            numbers = of_boxes // BOXES * (longest // self.num_sources) + of_boxes % BOXES
            return _polygons_of(indices, lengths, numbers, data, given)
        kept = data[torch.arange(len(data))[:, None], indices]
        beyond = torch.arange(longest) >= lengths[:, None]
        return PaddedArray(kept.masked_fill_(beyond.view(*beyond.shape, *[1] * (kept.ndim - 2)), 0), lengths)


def _polygons_of(
    indices: torch.Tensor, counts: torch.Tensor, boxes: torch.Tensor, corners: torch.Tensor, lengths: torch.Tensor
) -> PaddedArray:
    """The corners of polygons of boxes that are kept, with the numbers that these have now.

    Args:
        indices: int64 (N, most boxes), the numbers that the kept ones had.
        counts: int64 (N,), of them.
        boxes: int64 (N, longest), the numbers of the corners' boxes then.
        corners: float32 (N, longest, 4), padded, of `PolygonsField`.
        lengths: int64 (N,), of them.
    """
    samples, places = (torch.arange(indices.shape[1]) < counts[:, None]).nonzero(as_tuple=True)
    numbers = torch.full_like(indices, -1)
    numbers[samples, indices[samples, places]] = places
    samples, places = (torch.arange(corners.shape[1]) < lengths[:, None]).nonzero(as_tuple=True)
    numbers = numbers[samples, boxes[samples, places]]
    samples, places, numbers = (values[numbers >= 0] for values in (samples, places, numbers))
    left = torch.bincount(samples, minlength=len(corners))
    behind = torch.arange(len(samples)) - (left.cumsum(0) - left)[samples]
    kept = torch.zeros_like(corners)
    kept[samples, behind] = corners[samples, places]
    kept[samples, behind, 0] = numbers.to(kept.dtype)
    return PaddedArray(kept, left)


class ToList(TensorOperation):
    """From `PaddedArray` or `PaddedBytes` to the list of N tensors, each (n, ...) as long as its sample's value.

    Alone in a pipeline it comes behind the field's default operations.
    """

    def after(self, before: State) -> State:
        """Of one sample, with an axis for the longest."""
        check_is_tensor(before)
        return before

    def apply(self, batch: Any) -> list[torch.Tensor]:
        """The tensors, views of the batch."""
        return to_list(batch)


def to_list(batch: Any) -> list[torch.Tensor]:
    """The list of N tensors of a `PaddedArray` or `PaddedBytes`. Raises `PipelineError` for anything else."""
    if not isinstance(getattr(batch, "lengths", None), torch.Tensor):
        given = type(batch).__name__
        raise PipelineError(f"ToList takes values with their lengths, as SplitPrefixed gives; got {given}")
    return [data[:length] for data, length in zip(batch.data, batch.lengths.tolist(), strict=True)]


def to_targets(**outputs: Any) -> list[dict[str, torch.Tensor]]:
    """What torchvision's detectors take in training: a dictionary per sample, of boxes, labels and more.

    Args:
        outputs: of a batch, by the names that the dictionaries have: `PaddedArray`s, or lists of N tensors.
    """
    lists = [value if isinstance(value, list) else to_list(value) for value in outputs.values()]
    return [dict(zip(outputs, sample, strict=True)) for sample in zip(*lists, strict=True)]
