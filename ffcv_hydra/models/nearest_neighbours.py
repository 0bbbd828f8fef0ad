"""How well features tell classes apart, without training anything on them."""

import torch
from torch import Tensor
from torch.nn import functional
from torchmetrics import Metric

TEMPERATURE = 0.07  # of the votes, as in the paper
SIMILARITIES = 1 << 24  # at most so many at once: 64 MiB


class NearestNeighbourAccuracy(Metric):
    """Accuracy of classifying each sample by its nearest other samples, over all batches and ranks.

    The `neighbours` most similar other samples (cosine) vote for their labels with weights exp(similarity / 0.07), as
    in Wu et al., "Unsupervised feature learning via non-parametric instance discrimination", 2018. The samples are
    their own bank, each left out for itself, so that nothing but the evaluated split is needed.

    Args:
        num_classes: labels are in [0, num_classes).
        neighbours: how many samples vote; at most all others do.
    """

    features: list[Tensor]
    labels: list[Tensor]

    def __init__(self, num_classes: int, neighbours: int = 10) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.neighbours = neighbours
        self.add_state("features", default=[], dist_reduce_fx="cat")
        self.add_state("labels", default=[], dist_reduce_fx="cat")

    def update(self, features: Tensor, labels: Tensor) -> None:
        """Add a batch: features (N, D), labels int64 (N,)."""
        self.features.append(functional.normalize(features.float(), dim=1))
        self.labels.append(labels)

    def compute(self) -> Tensor:
        """The share of samples whose neighbours vote for their label; a scalar, 0 for a single sample."""
        # all batches of one rank, or what the synchronisation of ranks has put together
        features = torch.cat(self.features) if isinstance(self.features, list) else self.features
        labels = torch.cat(self.labels) if isinstance(self.labels, list) else self.labels
        count = len(labels)
        if count < 2:
            return features.new_zeros(())
        hits = torch.zeros((), dtype=torch.int64, device=features.device)
        for rows in torch.arange(count, device=features.device).split(max(1, SIMILARITIES // count)):
            similarities = features[rows] @ features.T
            similarities[torch.arange(len(rows)), rows] = -torch.inf
            found, neighbours = similarities.topk(min(self.neighbours, count - 1), dim=1)
            votes = torch.zeros(len(rows), self.num_classes, device=features.device)
            votes.scatter_add_(1, labels[neighbours], (found / TEMPERATURE).exp())
            hits += (votes.argmax(dim=1) == labels[rows]).sum()
        return hits / count
