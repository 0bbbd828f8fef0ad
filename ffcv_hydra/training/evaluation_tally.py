"""What an evaluation counts of a classifier: which class was taken for which, and the worst mistakes."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

MOST_CLASSES = 1000
"""Of which pairs are counted: of more, only how many samples each class has, and how many of them are right."""

MOST_PAIRS = 10_000
"""That are told: all pairs of a hundred classes."""

NUM_MISTAKES = 24


class EvaluationTally:
    """Counts predictions against labels where they are, on the device, without waiting for it.

    Args:
        num_classes: of them, C.
        device: of logits and labels.
    """

    def __init__(self, num_classes: int, device: torch.device) -> None:
        counts_pairs = num_classes <= MOST_CLASSES
        self.num_classes = num_classes
        self._pairs = torch.zeros(num_classes**2 if counts_pairs else 0, dtype=torch.int64, device=device)
        self._counts = torch.zeros(2, num_classes, dtype=torch.int64, device=device)
        # a row for each mistake: its loss and the probabilities of what was predicted and of what is true
        self._values = torch.full((NUM_MISTAKES, 3), -1.0, device=device)
        self._places = torch.full((NUM_MISTAKES, 3), -1, dtype=torch.int64, device=device)  # id, label, predicted

    def update(self, logits: Tensor, labels: Tensor, sample_ids: Tensor | None) -> None:
        """Count a batch: logits (N, C), labels (N,) and ids (N,), int64; labels out of range are not counted.

        Without ids, mistakes are not kept.
        """
        is_known = (labels >= 0) & (labels < self.num_classes)
        labels, predicted = labels.clamp(0, self.num_classes - 1), logits.argmax(1)
        is_right = is_known & (predicted == labels)
        self._counts[0].index_add_(0, labels, is_known.long())
        self._counts[1].index_add_(0, labels, is_right.long())
        if len(self._pairs):
            self._pairs.index_add_(0, labels * self.num_classes + predicted, is_known.long())
        if sample_ids is None:
            return
        logs = logits.float().log_softmax(1)
        of_label, of_predicted = (logs.gather(1, one[:, None])[:, 0] for one in (labels, predicted))
        loss = torch.where(is_known & ~is_right, -of_label, -1.0).nan_to_num(nan=-1.0)
        values = torch.stack([loss, of_predicted.exp(), of_label.exp()], 1)
        places = torch.stack([sample_ids, labels, predicted], 1)
        self._keep_worst(torch.cat([self._values, values]), torch.cat([self._places, places]))

    def _keep_worst(self, values: Tensor, places: Tensor) -> None:
        worst = values[:, 0].topk(NUM_MISTAKES).indices
        self._values, self._places = values[worst], places[worst]

    def gather(self, total: Callable[[Tensor], Tensor], everyones: Callable[[Tensor], Tensor]) -> None:
        """Count what all ranks did; each of them calls this.

        Args:
            total: gives the sum over the ranks of a tensor.
            everyones: gives the tensors (K, ...) of all ranks, (world_size, K, ...).
        """
        self._counts = total(self._counts)
        self._pairs = total(self._pairs) if len(self._pairs) else self._pairs
        self._keep_worst(everyones(self._values).flatten(0, 1), everyones(self._places).flatten(0, 1))

    def described(self) -> dict[str, Any]:
        """Plain values: see `counted`; and `mistakes`, the worst first, each with its id, label and what was predicted.

        A mistake is the worse the less probable the model holds what is true.
        """
        pairs = self._pairs.view(self.num_classes, -1) if len(self._pairs) else None
        rows = zip(self._values.tolist(), self._places.tolist(), strict=True)
        mistakes = [
            {"id": place[0], "label": place[1], "predicted": place[2], "probability": values[1], "of_label": values[2]}
            for values, place in rows
            if place[0] >= 0 and values[0] > 0
        ]
        return {**counted(self._counts[0], self._counts[1], pairs), "mistakes": mistakes}


def counted(counts: Tensor, correct: Tensor, pairs: Tensor | None) -> dict[str, Any]:
    """Counts (C,) and a matrix (C, C), a row for each true class, in little room.

    `counts` and `correct` are by class; `confused` has `[label, predicted, count]` for the wrong pairs that there are,
    the most frequent first, at most 10,000; None if pairs are not known.
    """
    confused = None
    if pairs is not None:
        wrong = pairs.detach().cpu().clone()
        wrong.fill_diagonal_(0)
        most = min(MOST_PAIRS, int(wrong.count_nonzero()))
        found, places = wrong.flatten().topk(most)
        confused = [
            [place // len(wrong), place % len(wrong), count]
            for place, count in zip(places.tolist(), found.tolist(), strict=True)
        ]
    return {"counts": counts.tolist(), "correct": correct.tolist(), "confused": confused}
