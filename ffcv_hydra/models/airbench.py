"""The network of airbench for CIFAR-10 (Jordan, "94% on CIFAR-10 in 3.29 Seconds on a Single GPU")."""

from typing import Any

import torch
from torch import Tensor, distributed, nn

from ffcv_hydra.models.evaluation_views import EvaluationViews

WHITENED = 2  # height and width of the patches of the first layer, in pixels
WHITENING_EPS = 5e-4
BATCH_NORM = {"eps": 1e-12, "momentum": 0.4}
LOGIT_SCALE = 1 / 9


def airbench94(num_classes: int, width: int = 64) -> nn.Module:
    """An `AirbenchNet` that is evaluated on images that are mirrored and shifted by a pixel, too."""
    return EvaluationViews(AirbenchNet(num_classes, width), shift=1)


class AirbenchNet(nn.Module):
    """A whitening layer, three groups of two convolutions, and a linear layer: images (N, 3, 32, 32) to logits.

    See arXiv:2404.00498.

    The first layer is made from the images it sees first in training, whose patches of 2 x 2 pixels it whitens, and
    then stays, but for its bias. The other convolutions begin as the identity where their sizes allow it; of batch
    normalisations only the biases are learned.

    Args:
        num_classes: number of logits.
        width: channels of the first group; the others have four times as many.
    """

    is_whitened: Tensor

    def __init__(self, num_classes: int, width: int = 64) -> None:
        super().__init__()
        self.whiten = nn.Conv2d(3, 2 * 3 * WHITENED**2, WHITENED)
        self.whiten.weight.requires_grad = False
        assert self.whiten.bias is not None
        nn.init.zeros_(self.whiten.bias)
        self.register_buffer("is_whitened", torch.tensor(False))
        self.groups = nn.Sequential(
            _group(2 * 3 * WHITENED**2, width), _group(width, 4 * width), _group(4 * width, 4 * width)
        )
        self.head = nn.Sequential(nn.MaxPool2d(3), nn.Flatten(), nn.Linear(4 * width, num_classes, bias=False))

    def forward(self, images: Tensor) -> Tensor:
        if self.training:
            self._whiten_once(images)
        return self.head(self.groups(nn.functional.gelu(self.whiten(images)))) * LOGIT_SCALE

    @torch.compiler.disable
    @torch.no_grad()
    def _whiten_once(self, images: Tensor) -> None:
        if self.is_whitened:
            return
        patches = images.float().unfold(2, WHITENED, 1).unfold(3, WHITENED, 1)  # (N, 3, rows, columns, 2, 2)
        flat = patches.permute(0, 2, 3, 1, 4, 5).flatten(3).flatten(0, 2)
        covariance = flat.T @ flat / len(flat)
        if distributed.is_initialized():
            distributed.all_reduce(covariance)  # all ranks go on from the same weights
            covariance /= distributed.get_world_size()
        values, vectors = torch.linalg.eigh(covariance)
        filters = (vectors / (values + WHITENING_EPS).sqrt()).T.flip(0).unflatten(1, (3, WHITENED, WHITENED))
        self.whiten.weight.copy_(torch.cat([filters, -filters]))
        self.is_whitened.fill_(True)


def _group(in_channels: int, out_channels: int) -> nn.Sequential:
    return nn.Sequential(
        _convolution(in_channels, out_channels),
        nn.MaxPool2d(2),
        _normalisation(out_channels),
        nn.GELU(),
        _convolution(out_channels, out_channels),
        _normalisation(out_channels),
        nn.GELU(),
    )


def _convolution(in_channels: int, out_channels: int) -> nn.Conv2d:
    convolution = nn.Conv2d(in_channels, out_channels, 3, padding="same", bias=False)
    nn.init.dirac_(convolution.weight.data[:in_channels])
    return convolution


def _normalisation(channels: int) -> nn.BatchNorm2d:
    options: dict[str, Any] = BATCH_NORM
    normalisation = nn.BatchNorm2d(channels, **options)
    normalisation.weight.requires_grad = False
    return normalisation
