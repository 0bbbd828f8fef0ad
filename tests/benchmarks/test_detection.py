from collections.abc import Iterator
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
import torch

from benchmarks import child
from benchmarks.boxes import LEAST_SIDE, MOST, STILL, boxes_of
from benchmarks.child import cost_of_places, places
from benchmarks.contenders.detection import ours, torchvision
from benchmarks.detection import different
from benchmarks.work import Epochs, Work

# conversions are given photographs that are not yet decoded, and are not closed
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


def test_made_up_boxes_lie_in_their_photographs():
    for index in range(2 * MOST):
        boxes, labels = boxes_of(index, 333, 500)
        assert boxes.dtype == np.float32 and labels.dtype == np.int64 and len(labels) == len(boxes) == 1 + index % MOST
        assert (boxes >= 0).all() and (boxes <= [500, 333, 500, 333]).all()
        assert (boxes[:, 2:] - boxes[:, :2] > LEAST_SIDE - 0.01).all()


def test_a_letter_box_without_randomness_is_the_same_with_torchvision(children):
    work, said = Work(STILL, 8, 4, 96, workers=1), []
    pictures = [next(iter(library.batches(work)))[0].float() for library in (ours, torchvision)]
    assert (pictures[0] - pictures[1]).abs().mean() < 2  # their JPEG decoders are others
    assert torch.equal(next(iter(ours.images(work)))[0].float(), pictures[0])  # whose cost is compared
    for library in (ours, torchvision):
        places(library, work, said.append)
    mine, theirs = (one["places"] for one in said)
    assert [np.shape(values) for values in mine] == [(4, 8, 4), (4, 8), (4,)] and mine[2] == [1, 2, 3, 4]
    assert different({"ours": mine, "torchvision": theirs}) == []
    boxes = np.array(theirs[0]) + 0.02
    assert different({"ours": mine, "one": [boxes, *theirs[1:]], "other": [theirs[0][:1], *theirs[1:]]}) == [
        "one",
        "other",
    ]


def test_the_cost_of_boxes_is_the_median_of_epochs_behind_the_first(monkeypatch):
    now = [0.0]

    def lasting(seconds: list[float]) -> Epochs:
        of_epochs = iter(seconds)

        def epoch() -> Iterator[tuple[torch.Tensor, ...]]:
            now[0] += next(of_epochs)
            return iter(())

        return Epochs(epoch)

    monkeypatch.setattr(child, "time", SimpleNamespace(process_time=lambda: now[0]))
    contender, said = ModuleType("contender"), []
    others = child.EPOCHS_FOR_COST - 1
    contender.batches = lambda work: lasting([90, *[3] * others, 8])
    contender.images = lambda work: lasting([1, *[2] * others, 1])
    cost_of_places(contender, Work(STILL, 8, 4, 96), said.append)
    assert said == [{"percent": 50}]
