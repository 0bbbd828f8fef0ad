"""Soft targets, as mixing images makes them, in words."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from ffcv_hydra.preview.stored import in_words


def soft_targets(outputs: Mapping[str, Any], class_names: Sequence[str] | None = None) -> list[str]:
    """For each sample, the classes of outputs that hold shares of classes, such as 'label: cat 70%, dog 30%'.

    Args:
        outputs: tensors by output name; those that are no floats (N, K) with rows that sum to 1 are left out.
        class_names: by number; None for their numbers.

    Returns:
        (N,) texts; empty if no output is left.
    """
    texts: list[list[str]] = []
    for name, value in outputs.items():
        if not isinstance(value, torch.Tensor) or value.ndim != 2 or not value.is_floating_point():
            continue
        shares = value.detach().cpu().float().numpy()
        if shares.shape[1] < 2 or shares.min() < 0 or not np.allclose(shares.sum(axis=1), 1, atol=1e-3):
            continue
        texts.append([f"{name}: {_shares_in_words(row, class_names)}" for row in shares])
    return [", ".join(parts) for parts in zip(*texts, strict=True)]


def _shares_in_words(shares: np.ndarray, class_names: Sequence[str] | None) -> str:
    largest = [number for number in np.argsort(-shares, kind="stable")[:2] if shares[number] >= 0.005]
    return ", ".join(f"{in_words(number, class_names)} {shares[number]:.0%}" for number in largest)
