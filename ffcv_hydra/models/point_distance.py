"""How far points are from where they should be."""

import torch
from torch import Tensor
from torchmetrics import Metric


class PointDistance(Metric):
    """Two values over all points that are labelled, of all samples alike.

    They are `distance`, the mean in pixels, and `pck`, the share of correct key points: those that are near.

    Args:
        near: pixels up to which a point is correct.
    """

    full_state_update = False
    count: Tensor
    distance: Tensor
    correct: Tensor

    def __init__(self, near: float) -> None:
        super().__init__()
        self.near = near
        for name in ("count", "distance", "correct"):
            self.add_state(name, torch.tensor(0.0, dtype=torch.float64), dist_reduce_fx="sum")

    def update(self, found: Tensor, points: Tensor) -> None:
        """Add points `(N, K, 2)` as they are found, and `(N, K, 3)` as they are, with visibility."""
        distances = torch.linalg.vector_norm(found - points[..., :2], dim=2)[points[..., 2] > 0]
        self.count += distances.numel()
        self.distance += distances.sum()
        self.correct += (distances <= self.near).sum()

    def compute(self) -> dict[str, Tensor]:
        """The values, by name; NaN if no point is labelled."""
        return {"distance": (self.distance / self.count).float(), "pck": (self.correct / self.count).float()}
