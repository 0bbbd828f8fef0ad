"""A small convolutional network that finds things at the cells of a grid."""

import torch
from torch import Tensor, nn

from ffcv_hydra.models.small_conv_net import conv_stage


class DetectionNet(nn.Module):
    """A convolution of stride 2, two stages with a pooling each, and a head that looks at the 8 x 8 pixels of a cell.

    `(N, in_channels, H, W)` floats in, `(N, num_classes + 4, H / 8, W / 8)` out, see `Detector`; H and W are multiples
    of 8. A cell sees 81 pixels around itself, so that things should not be much larger, nor less than 16 pixels apart.
    With the default width it has 0.35 million parameters.

    Args:
        num_classes: number of logits of a cell.
        in_channels: channels of the images.
        width: channels at half the resolution; the stages have twice and four times as many.
    """

    def __init__(self, num_classes: int, in_channels: int = 3, width: int = 16) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(in_channels, width, 3, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(inplace=True),
            conv_stage(width, 2 * width),
            nn.MaxPool2d(2),
            conv_stage(2 * width, 4 * width),
            nn.MaxPool2d(2),
            conv_stage(4 * width, 4 * width),
        )
        self.classes = _head(4 * width, num_classes, -4.6)  # 1 %: nearly all cells are empty (Lin et al., 2017)
        self.distances = _head(4 * width, 4, 0.0)

    def forward(self, images: Tensor) -> Tensor:
        features = self.features(images)
        return torch.cat([self.classes(features), self.distances(features)], dim=1)


def _head(in_channels: int, out_channels: int, bias: float) -> nn.Sequential:
    """Two convolutions, the last of which begins with this bias."""
    last = nn.Conv2d(in_channels, out_channels, 1)
    nn.init.constant_(last.bias, bias)  # type: ignore[arg-type]
    return nn.Sequential(
        nn.Conv2d(in_channels, in_channels, 3, padding=1, bias=False),
        nn.BatchNorm2d(in_channels),
        nn.ReLU(inplace=True),
        last,
    )
