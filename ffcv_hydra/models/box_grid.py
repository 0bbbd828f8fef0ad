"""Boxes at the cells of a grid over the image, as FCOS has them (Tian et al., 2019): from outputs to boxes and back."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional
from torchvision.ops import batched_nms, box_area, generalized_box_iou_loss

REACH = 1.5  # cells from a box's centre within which cells answer for it
BOX_WEIGHT = 2.0  # of the loss of boxes, next to that of scores
CANDIDATES = 1000  # best ones of an image, of which overlapping ones are left out


@dataclass(frozen=True)
class Found:
    """What is found in one image, the best first.

    Attributes:
        boxes: float (k, 4), left, top, right and bottom in pixels.
        scores: float (k,), 0 to 1.
        labels: int64 (k,), numbers of classes.
    """

    boxes: Tensor
    scores: Tensor
    labels: Tensor


def split(outputs: Tensor, height: int) -> tuple[Tensor, Tensor, Tensor]:
    """What a network says of each cell.

    Args:
        outputs: (N, num_classes + 4, h, w).
        height: of the images, in pixels.

    Returns:
        Logits (N, h * w, num_classes); boxes (N, h * w, 4) in pixels, not clipped; centres of the cells (h * w, 2), x
        and y in pixels.
    """
    stride = height / outputs.shape[2]
    y, x = (stride * (torch.arange(side, device=outputs.device) + 0.5) for side in outputs.shape[2:])
    centres = torch.cartesian_prod(y, x).flip(1)
    flat = outputs.float().flatten(2).transpose(1, 2)  # with 16 bits, boxes would be rounded to whole pixels
    left_top, right_bottom = (stride * functional.softplus(flat[..., -4:])).split(2, dim=2)
    boxes = torch.cat([centres - left_top, centres + right_bottom], dim=2)
    return flat[..., :-4], boxes, centres


def assigned(centres: Tensor, boxes: Tensor, exists: Tensor, stride: float) -> Tensor:
    """Which box each cell answers for: the smallest of those around its centre whose own centre is near.

    Args:
        centres: (P, 2) of the cells.
        boxes: (N, most, 4).
        exists: bool (N, most), which boxes there are.
        stride: pixels from cell to cell.

    Returns:
        int64 (N, P); -1 for none.
    """
    if not boxes.shape[1]:
        return torch.full((len(boxes), len(centres)), -1, device=boxes.device)
    to_sides = torch.cat([centres[:, None] - boxes[:, None, :, :2], boxes[:, None, :, 2:] - centres[:, None]], dim=3)
    to_middle = (centres[:, None] - (boxes[:, None, :, :2] + boxes[:, None, :, 2:]) / 2).abs().amax(dim=3)
    fits = (to_sides.amin(dim=3) > 0) & (to_middle < REACH * stride) & exists[:, None]
    areas = (boxes[..., 2:] - boxes[..., :2]).prod(dim=2)[:, None].expand(fits.shape)
    smallest, which = torch.where(fits, areas, torch.inf).min(dim=2)
    return torch.where(smallest < torch.inf, which, -1)


def loss_sum(logits: Tensor, found: Tensor, which: Tensor, boxes: Tensor, labels: Tensor) -> Tensor:
    """The loss of a batch, summed over its cells.

    A cell's score for the class of its box learns how well its own box fits that, and all others 0, by the quality
    focal loss (Li et al., 2020); its box learns by the generalised IoU.

    Args:
        logits: (N, P, num_classes).
        found: boxes (N, P, 4).
        which: int64 (N, P), see `assigned`.
        boxes: (N, most, 4), those to be found.
        labels: int64 (N, most).
    """
    image, cell = (which >= 0).nonzero(as_tuple=True)
    number = which[image, cell]
    ours, theirs = found[image, cell], boxes[image, number]
    scores = torch.zeros_like(logits)
    scores[image, cell, labels[image, number]] = _iou(ours.detach(), theirs)
    entropy = functional.binary_cross_entropy_with_logits(logits, scores, reduction="none")
    of_classes = ((scores - logits.sigmoid()).square() * entropy).sum()
    return of_classes + BOX_WEIGHT * generalized_box_iou_loss(ours, theirs, reduction="sum")


def _iou(first: Tensor, second: Tensor) -> Tensor:
    """The intersection over union of boxes (k, 4), pair by pair: (k,)."""
    left_top, right_bottom = first[:, :2].maximum(second[:, :2]), first[:, 2:].minimum(second[:, 2:])
    common = (right_bottom - left_top).clamp(min=0).prod(dim=1)
    return common / (box_area(first) + box_area(second) - common).clamp(min=1e-6)


def best(
    logits: Tensor, boxes: Tensor, size: tuple[int, int], min_score: float, max_overlap: float, most: int
) -> Found:
    """What is found in one image: of boxes of a class that overlap, the best one only.

    Args:
        logits: (P, num_classes).
        boxes: (P, 4).
        size: height and width of the image, to which boxes are clipped.
        min_score: that is told.
        max_overlap: intersection over union that two boxes of a class may have.
        most: that are told.
    """
    scores, places = logits.sigmoid().flatten().topk(min(CANDIDATES, logits.numel()))
    places = places[scores >= min_score]
    scores, cells, labels = scores[: len(places)], places // logits.shape[1], places % logits.shape[1]
    height, width = size
    boxes = boxes[cells].clamp(min=0).minimum(boxes.new_tensor([width, height, width, height]))
    kept = batched_nms(boxes, scores, labels, max_overlap)[:most]
    return Found(boxes[kept], scores[kept], labels[kept])
