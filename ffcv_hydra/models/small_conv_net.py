"""A small convolutional network for small images."""

from typing import Any

from torch import Tensor, nn

from ffcv_hydra.models.evaluation_views import EvaluationViews


class SmallConvNet(nn.Module):
    """Three stages of two 3x3 convolutions, each with batch normalisation; global average pooling; a linear layer.

    Made for images of 8 to 64 pixels a side: `(N, in_channels, H, W)` floats in, logits `(N, num_classes)` out. With
    the default width it has 0.29 million parameters.

    Args:
        num_classes: number of logits.
        in_channels: channels of the images.
        width: channels of the first stage; the next ones have twice and four times as many.
        dropout: probability of zeroing a pooled feature while training.
    """

    def __init__(self, num_classes: int, in_channels: int = 3, width: int = 32, dropout: float = 0.2) -> None:
        super().__init__()
        self.features = nn.Sequential(
            conv_stage(in_channels, width),
            nn.MaxPool2d(2),
            conv_stage(width, 2 * width),
            nn.MaxPool2d(2),
            conv_stage(2 * width, 4 * width),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
        )
        self.head = nn.Sequential(nn.Dropout(dropout), nn.Linear(4 * width, num_classes))

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.features(images))


def conv_stage(in_channels: int, out_channels: int) -> nn.Sequential:
    """Two 3x3 convolutions of the same resolution, each with batch normalisation and a ReLU."""
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, 3, padding=1, bias=False),
        nn.BatchNorm2d(out_channels),
        nn.ReLU(inplace=True),
        nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False),
        nn.BatchNorm2d(out_channels),
        nn.ReLU(inplace=True),
    )


def mirrored_conv_net(num_classes: int, **options: Any) -> EvaluationViews:
    """A `SmallConvNet` that is evaluated on each image and its mirror image."""
    return EvaluationViews(SmallConvNet(num_classes, **options))
