"""A small U-Net for segmentation (Ronneberger, Fischer and Brox, 2015)."""

import torch
from torch import Tensor, nn

from ffcv_hydra.models.small_conv_net import conv_stage


class UNet(nn.Module):
    """A contracting path, an expanding one, and connections between them at each scale.

    `(N, in_channels, H, W)` floats in, logits `(N, num_classes, H, W)` out; H and W are multiples of 2 ** depth. Unlike
    in the paper, convolutions are padded and batch-normalised, and images grow by nearest-neighbour upsampling. With
    the default width and depth it has 0.5 million parameters.

    Args:
        num_classes: number of logits per pixel.
        in_channels: channels of the images.
        width: channels at full resolution; each halving of the resolution has twice as many.
        depth: how often the resolution is halved.
    """

    def __init__(self, num_classes: int, in_channels: int = 3, width: int = 16, depth: int = 3) -> None:
        super().__init__()
        widths = [width * 2**level for level in range(depth + 1)]
        inputs = [in_channels, *widths[:-1]]
        self.down = nn.ModuleList(conv_stage(before, after) for before, after in zip(inputs, widths, strict=True))
        self.up = nn.ModuleList(conv_stage(3 * after, after) for after in widths[:-1])
        self.head = nn.Conv2d(width, num_classes, 1)

    def forward(self, images: Tensor) -> Tensor:
        features, kept = images, []
        for stage in self.down[:-1]:
            features = stage(features)
            kept.append(features)
            features = nn.functional.max_pool2d(features, 2)
        features = self.down[-1](features)
        for stage, same_size in zip(reversed(self.up), reversed(kept), strict=True):
            features = nn.functional.interpolate(features, scale_factor=2.0)
            features = stage(torch.cat([same_size, features], dim=1))
        return self.head(features)
