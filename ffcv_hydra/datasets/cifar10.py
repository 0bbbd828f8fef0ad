"""CIFAR-10, by way of torchvision."""

from __future__ import annotations

from typing import Any

from ffcv_hydra.datasets.torchvision_splits import TorchvisionSplits


class CIFAR10(TorchvisionSplits):
    """32 x 32 RGB images of ten classes: 50,000 for training, 10,000 for testing, see `TorchvisionSplits`."""

    title = "CIFAR-10"
    folder = "cifar-10-batches-py"

    def _torchvision(self) -> Any:
        from torchvision.datasets import CIFAR10

        return CIFAR10
