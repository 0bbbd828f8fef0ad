"""Test-time augmentation by mirrored and shifted images."""

import torch
from torch import Tensor, nn
from torch.nn import functional


class EvaluationViews(nn.Module):
    """In training its backbone; in evaluation the mean of what that gives for an image, its mirror image, and shifts.

    Args:
        backbone: from images (N, C, H, W) to outputs that can be averaged, such as logits.
        shift: pixels that images are also moved by, to the upper left and to the lower right, with reflected borders;
            these two have half the weight together, as in airbench (Jordan, arXiv:2404.00498). 0: mirrors only.
    """

    def __init__(self, backbone: nn.Module, shift: int = 0) -> None:
        super().__init__()
        self.backbone = backbone
        self.shift = shift

    def forward(self, images: Tensor) -> Tensor:
        if self.training:
            return self.backbone(images)
        if not self.shift:
            return self._mirrored(images)
        height, width = images.shape[2:]
        padded = functional.pad(images, [self.shift] * 4, "reflect")
        moved = [padded[..., by : by + height, by : by + width] for by in (0, 2 * self.shift)]
        return self._mirrored(images) / 2 + torch.stack([self._mirrored(view) for view in moved]).mean(0) / 2

    def _mirrored(self, images: Tensor) -> Tensor:
        return (self.backbone(images) + self.backbone(images.flip(3))) / 2
