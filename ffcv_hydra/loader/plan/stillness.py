"""Whether a torch module leaves what is in an image where it is, found out by trying."""

import torch
from torch import nn

_CENTRES = ((0.25, 0.35), (0.6, 0.85))  # of two blocks, as shares of the sides; mirrored or turned, they lie elsewhere


def keeps_places(
    module: nn.Module, shape: tuple[int, ...], dtype: torch.dtype, device: torch.device, sides_are_last: bool
) -> bool:
    """Whether two blocks of an image that change places are all that changes in what a module makes of the image.

    So it is with what changes values or blurs a little, by statistics of the whole image or not.

    Args:
        module: one that draws nothing.
        shape, dtype, device: of one sample that it takes.
        sides_are_last: whether height and width are the last axes of a sample, and not the first ones.

    Returns:
        False also for a module that fails.
    """
    height, width = shape[-2:] if sides_are_last else shape[:2]
    blocks = [_block(height, width, centre, 12, 0) for centre in _CENTRES]
    surroundings = [_block(height, width, centre, 12, 8) for centre in _CENTRES]
    try:
        with torch.no_grad():
            results = [
                module(_batch(pair, shape, dtype, sides_are_last).to(device)).cpu().double()
                for pair in (blocks, blocks[::-1])
            ]
        difference = (results[0] - results[1]).abs()
        if tuple(difference.shape[-2:]) != (height, width):
            difference = difference.movedim((1, 2), (-2, -1))
        changes = difference.reshape(-1, height, width).amax(0)
    except Exception:
        return False
    most = changes.max()
    if not most.isfinite() or (changes * ~(surroundings[0] | surroundings[1])).max() > 0.02 * most:
        return False
    return all(
        _centroid(block).sub(_centroid(changes * around)).abs().max() < 0.25
        for block, around in zip(blocks, surroundings, strict=True)
        if (changes * around).any()
    )


def _block(height: int, width: int, centre: tuple[float, float], part: int, margin: int) -> torch.Tensor:
    """bool (H, W): a block of a 12th of each side to both sides of its centre, and, with a margin, an 8th more."""
    inside = []
    for side, share in zip((height, width), centre, strict=True):
        reach = max(1, side // part) + (max(1, side // margin) if margin else 0)
        middle = int(share * side)
        places = torch.arange(side)
        inside.append((places >= middle - reach) & (places < middle + reach))
    return inside[0][:, None] & inside[1]


def _batch(
    blocks: list[torch.Tensor], shape: tuple[int, ...], dtype: torch.dtype, sides_are_last: bool
) -> torch.Tensor:
    """Two samples with a dark and a bright block, between which all else is."""
    image = torch.linspace(0.3, 0.7, blocks[0].numel()).view(blocks[0].shape)
    image[blocks[0]], image[blocks[1]] = 0.0, 1.0
    if not dtype.is_floating_point:  # of numbers of classes there may be few
        image = (image * 255).round() if dtype == torch.uint8 else image.round()
    if not sides_are_last:
        image = image.view(*image.shape, *[1] * (len(shape) - 2))
    return image.to(dtype).expand(2, *shape).clone()


def _centroid(weights: torch.Tensor) -> torch.Tensor:
    """(2,): the mean row and column of weights (H, W)."""
    weights = weights.double()
    return torch.stack([
        (weights.sum(1) * torch.arange(weights.shape[0])).sum(), (weights.sum(0) * torch.arange(weights.shape[1])).sum()
    ]) / weights.sum()  # fmt: skip
