"""From batches of JSON and text fields back to Python values."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np

from ffcv_hydra.loaded_torch import is_tensor

if TYPE_CHECKING:
    import torch


def unpack_json(batch: torch.Tensor | np.ndarray) -> list[Any]:
    """The values of a batch of a JSON field.

    Args:
        batch: uint8 (N, longest) as the loader gives it, on any device; each row ends at its first zero byte.

    Returns:
        N values.
    """
    rows = batch.cpu().numpy() if is_tensor(batch) else batch
    return [json.loads(row.tobytes().split(b"\0", 1)[0]) for row in rows]


def unpack_text(batch: tuple[torch.Tensor | np.ndarray, torch.Tensor | np.ndarray]) -> list[str]:
    """The texts of a batch of a text field.

    Args:
        batch: `PaddedBytes` as the loader gives it: uint8 (N, longest) and int64 (N,), on any device.

    Returns:
        N texts.
    """
    data, lengths = (part.cpu().numpy() if is_tensor(part) else part for part in batch)
    return [row[:length].tobytes().decode() for row, length in zip(data, lengths, strict=True)]
