"""From batches of JSON fields back to Python values."""

import json
from typing import Any

import numpy as np
import torch


def unpack_json(batch: torch.Tensor | np.ndarray) -> list[Any]:
    """The values of a batch of a JSON field.

    Args:
        batch: uint8 (N, longest) as the loader gives it, on any device; each row ends at its first zero byte.

    Returns:
        N values.
    """
    rows = batch.cpu().numpy() if isinstance(batch, torch.Tensor) else batch
    return [json.loads(row.tobytes().split(b"\0", 1)[0]) for row in rows]
