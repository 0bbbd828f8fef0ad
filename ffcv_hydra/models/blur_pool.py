"""Blurring before strides, against aliasing: Zhang, "Making CNNs Shift-Invariant Again" (arXiv:1904.11486)."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from ffcv_hydra.models.evaluation_views import EvaluationViews


class BlurPoolConv2d(nn.Conv2d):
    """A convolution whose input (N, C, H, W) is smoothed by a binomial 3 x 3 filter first, each channel for itself.

    Its weights have the names that they have without the filter, so that those of the plain network load.

    Args:
        conv: the convolution, whose weights it takes over.
    """

    blur: Tensor

    def __init__(self, conv: nn.Conv2d) -> None:
        names = ("kernel_size", "stride", "padding", "dilation", "groups", "padding_mode")
        options = {name: getattr(conv, name) for name in names}
        # on meta no weights are drawn
        super().__init__(conv.in_channels, conv.out_channels, bias=False, device="meta", **options)
        self.weight, self.bias = conv.weight, conv.bias
        line = torch.tensor([1.0, 2.0, 1.0]) / 4
        blur = torch.outer(line, line).expand(conv.in_channels, 1, 3, 3).clone()
        self.register_buffer("blur", blur, persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        blur = self.blur.to(images.dtype)
        return super().forward(functional.conv2d(images, blur, padding=1, groups=self.in_channels))


def with_blur_pool(backbone: nn.Module, least_channels: int = 16) -> nn.Module:
    """Smooth the input of each convolution with a stride; returns `backbone`, changed.

    Args:
        backbone: any network.
        least_channels: convolutions of fewer input channels stay, as the first one does, which sees the image.
    """
    for name, child in backbone.named_children():
        if isinstance(child, nn.Conv2d) and max(child.stride) > 1 and child.in_channels >= least_channels:
            setattr(backbone, name, BlurPoolConv2d(child))
        else:
            with_blur_pool(child, least_channels)
    return backbone


def ffcv_resnet(arch: str, num_classes: int) -> nn.Module:
    """The networks of FFCV's ImageNet recipes: torchvision's with blurred strides, evaluated on mirrored images, too.

    Args:
        arch: its name in `torchvision.models`, such as `resnet18`.
        num_classes: number of logits.
    """
    from torchvision import models  # slow to import

    return EvaluationViews(with_blur_pool(models.get_model(arch, num_classes=num_classes)))
