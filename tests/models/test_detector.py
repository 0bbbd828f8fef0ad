"""The detector: what it learns, finds and measures, and what it refuses."""

from types import SimpleNamespace

import pytest
import torch
from pytorch_lightning.trainer.states import RunningStage
from torch import nn

from ffcv_hydra.errors import ConfigError
from ffcv_hydra.models import DetectionNet, Detector
from ffcv_hydra.models import average_precision as module
from ffcv_hydra.operations import to_targets
from ffcv_hydra.operations.kept_items import to_list
from ffcv_hydra.operations.padded import PaddedArray

pytest.importorskip("pycocotools")
ADAM = {"_target_": "torch.optim.Adam", "lr": 1e-2}


class Outputs(nn.Module):
    """Answers whatever it was given."""

    def __init__(self, outputs):
        super().__init__()
        self.outputs = nn.Parameter(outputs)

    def forward(self, images):
        return self.outputs[: len(images)]


def squares(count=16, most=2):
    """Images with a bright square of one of two colours, the boxes and classes; the first image is empty."""
    random = torch.Generator().manual_seed(0)
    images = 0.2 * torch.rand(count, 3, 32, 32, generator=random)
    boxes, labels = torch.zeros(count, most, 4), torch.zeros(count, most, dtype=torch.int64)
    lengths = torch.ones(count, dtype=torch.int64)
    lengths[0] = 0
    for index in range(1, count):
        left, top = torch.randint(0, 20, (2,), generator=random).tolist()
        boxes[index, 0], labels[index, 0] = torch.tensor([left, top, left + 12, top + 12]), index % 2
        images[index, index % 2, top : top + 12, left : left + 12] += 0.8
    return images, PaddedArray(boxes, lengths), PaddedArray(labels, lengths)


def evaluated(model, *batches):
    for batch in batches:
        model.validation_step(batch, 0)
    return model.evaluations["val"].end()


def perfect(batch, num_classes=2, stride=8):
    """A detector whose outputs tell the boxes of a batch exactly."""
    images, boxes, labels = batch
    side = images.shape[2] // stride
    outputs = torch.full((len(images), num_classes + 4, side, side), -9.0)
    for row, length in enumerate(boxes.lengths.tolist()):
        for box, label in zip(boxes.data[row, :length], labels.data[row, :length].tolist(), strict=True):
            x, y = (int(middle // stride) for middle in ((box[0] + box[2]) / 2, (box[1] + box[3]) / 2))
            centre = stride * torch.tensor([x + 0.5, y + 0.5])
            distances = torch.cat([centre - box[:2], box[2:] - centre]) / stride
            outputs[row, label, y, x] = 9.0
            outputs[row, num_classes:, y, x] = distances.expm1().log()  # the inverse of a softplus
    return Detector(Outputs(outputs), num_classes, ADAM)


def test_the_loss_falls_and_boxes_are_found():
    torch.manual_seed(0)
    batch, model = squares(), Detector(DetectionNet(2, width=4), 2, ADAM)
    model.log = lambda *arguments, **options: None
    optimizer = torch.optim.Adam(model.parameters(), 1e-2)
    losses = []
    for _ in range(60):
        optimizer.zero_grad()
        losses.append(model.training_step(batch, 0))
        losses[-1].backward()
        optimizer.step()
    assert losses[-1] < 0.3 * losses[0]
    assert evaluated(model.eval(), batch)["map_50"] > 0.9


def test_what_is_exact_has_a_precision_of_one_and_is_predicted():
    batch = squares()
    model = perfect(batch)
    values = evaluated(model, batch)
    assert values["map"] == values["map_50"] == pytest.approx(1.0)
    assert values["ap"].tolist() == pytest.approx([1.0, 1.0])
    found = model.predict_step(batch, 0)
    assert {name: tuple(value.shape) for name, value in found.items()} == {
        "boxes": (16, 100, 4), "scores": (16, 100), "labels": (16, 100),
    }  # fmt: skip
    assert torch.allclose(found["boxes"][1:, 0], batch[1].data[1:, 0], atol=1e-4)
    assert found["labels"][1:, 0].equal(batch[2].data[1:, 0])
    assert (found["labels"][0] == -1).all() and (found["labels"][1:, 1:] == -1).all()


@pytest.mark.parametrize("of", ["lists", "dictionaries"])
def test_lists_say_the_same_as_padded_arrays(of):
    images, *padded = batch = squares()
    boxes, labels = map(to_list, padded)
    targets = [to_targets(boxes=boxes, labels=labels)] if of == "dictionaries" else [boxes, labels]
    model = Detector(DetectionNet(2, width=2), 2, ADAM).eval()
    model.check_batch((images, *targets))
    assert evaluated(model, (images, *targets))["loss"] == evaluated(model, batch)["loss"]
    assert evaluated(perfect(batch), (images, *targets))["map"] == pytest.approx(1.0)
    wrong = [dict(one, labels=one["labels"][:0]) for one in to_targets(boxes=boxes, labels=labels)]
    for other in (wrong, labels, [*boxes[:-1], "box"], targets[0][1:]):
        with pytest.raises(ConfigError, match="another number of boxes than of classes|the detector needs images"):
            model.check_batch((images, other, *targets[1:]))


@pytest.fixture
def before_transfer(monkeypatch):
    """A detector's `on_before_batch_transfer`, in a validation whose outputs are boxes, labels and crowds."""
    data = SimpleNamespace(output_names=lambda stage: ("image", "boxes", "labels", "crowd") if stage == "val" else None)
    state = SimpleNamespace(stage=RunningStage.SANITY_CHECKING)
    monkeypatch.setattr(Detector, "trainer", SimpleNamespace(predicting=False, datamodule=data, state=state))
    return lambda batch: Detector(DetectionNet(2, width=2), 2, ADAM).on_before_batch_transfer(batch, 0)


@pytest.mark.parametrize("of", ["arrays", "lists", "dictionaries"])
def test_boxes_around_crowds_are_left_out(before_transfer, of):
    images, boxes, labels = squares(3)
    lengths = torch.tensor([0, 2, 1])
    crowd = torch.tensor([[0, 0], [0, 1], [1, 0]])
    padded = [PaddedArray(data, lengths) for data in (boxes.data, labels.data, crowd)]
    lists = [to_list(one) for one in padded]
    targets = {
        "arrays": padded, "lists": lists,
        "dictionaries": [to_targets(boxes=lists[0], labels=lists[1], crowd=lists[2])],
    }[of]  # fmt: skip
    batch = before_transfer((images, *targets))
    if of == "arrays":
        assert all(isinstance(one, PaddedArray) for one in batch[1:])
        batch = [images, *map(to_list, batch[1:])]
    found = [batch[1][place]["boxes"] if of == "dictionaries" else batch[1][place] for place in range(3)]
    assert [one.tolist() for one in found] == [[], boxes.data[1, :1].tolist(), []]


def test_the_boxes_that_are_no_crowds_keep_their_order_and_classes(before_transfer):
    images, lengths = torch.rand(2, 3, 8, 8), torch.tensor([4, 2])
    data = torch.arange(32.0).reshape(2, 4, 4), torch.tensor([[1, 0, 1, 0]] * 2), torch.tensor([[1, 0, 0, 1]] * 2)
    _, boxes, labels, _ = before_transfer((images, *(PaddedArray(one, lengths) for one in data)))
    assert boxes.lengths.tolist() == labels.lengths.tolist() == [2, 1]
    assert boxes.data[0, :2].equal(data[0][0, 1:3]) and boxes.data[1, 0].equal(data[0][1, 1])
    assert [row.tolist() for row in to_list(labels)] == [[0, 1], [0]]


def test_batches_of_another_kind_are_told_before_crowds_are_looked_for(before_transfer):
    images, boxes, labels = squares(2)
    plain = (images, boxes.data, labels.data, labels.data)
    for batch in (plain, {"image": images, "boxes": boxes, "labels": labels, "crowd": labels}, (images, boxes)):
        with pytest.raises(ConfigError, match="the detector needs images"):
            before_transfer(batch)
    other = PaddedArray(labels.data, labels.lengths + 1)
    for crowd in (labels.data, other):
        with pytest.raises(ConfigError, match="another number of 'crowd' than of boxes"):
            before_transfer((images, boxes, labels, crowd))
    assert before_transfer((images, boxes, labels)) == (images, boxes, labels)  # no crowd came with these


def test_the_loss_of_evaluations_is_the_same_however_batches_are_cut():
    batch = squares()
    torch.manual_seed(1)
    model = Detector(DetectionNet(2, width=2), 2, ADAM).eval()
    parts = [
        tuple(PaddedArray(*(part[rows] for part in one)) if isinstance(one, tuple) else one[rows] for one in batch)
        for rows in (slice(0, 1), slice(1, 5), slice(5, 16))  # the first has no box at all
    ]
    assert evaluated(model, *parts)["loss"] == pytest.approx(float(evaluated(model, batch)["loss"]), rel=1e-5)


def test_a_class_that_does_not_occur_has_no_precision():
    images, boxes, labels = squares()
    values = evaluated(perfect((images, boxes, labels), num_classes=3), (images, boxes, labels))
    assert values["ap"][:2].tolist() == pytest.approx([1.0, 1.0])
    assert values["ap"][2].isnan()
    empty = PaddedArray(boxes.data, torch.zeros_like(boxes.lengths)), PaddedArray(labels.data, boxes.lengths * 0)
    assert evaluated(Detector(DetectionNet(3, width=2), 3, ADAM).eval(), (images, *empty))["map"].isnan()


def test_no_image_of_a_file_may_have_a_box():
    images = torch.rand(2, 3, 16, 16)
    none = torch.zeros(2, dtype=torch.int64)
    batch = images, PaddedArray(torch.zeros(2, 0, 4), none), PaddedArray(torch.zeros(2, 0, dtype=torch.int64), none)
    model = Detector(DetectionNet(2, width=2), 2, ADAM)
    model.log = lambda *arguments, **options: None
    assert model.training_step(batch, 0).isfinite()


def test_batches_of_another_kind_are_refused():
    images, boxes, labels = squares(2)
    model = Detector(DetectionNet(2, width=2), 2, ADAM)
    model.check_batch((images, boxes, labels))
    for batch in ((images, boxes), (images, labels, boxes), (images, boxes.data, labels.data)):
        with pytest.raises(ConfigError, match="in this order: store boxes as BoundingBoxesField"):
            model.check_batch(batch)
    with pytest.raises(ConfigError, match="another number of boxes than of classes"):
        model.check_batch((images, boxes, PaddedArray(labels.data, labels.lengths + 1)))
    with pytest.raises(ConfigError, match="a label of 8 with model.num_classes=2"):
        model.check_batch((images, boxes, PaddedArray(labels.data + 7, labels.lengths)))


def test_a_network_of_other_outputs_is_refused():
    model = Detector(nn.Conv2d(3, 5, 8, 8), 2, ADAM)
    with pytest.raises(ConfigError, match=r"model.backbone gives \(2, 5, 4, 4\).*num_classes \+ 4"):
        model(torch.rand(2, 3, 32, 32))


def test_without_pycocotools_one_line_says_what_to_install(monkeypatch):
    def absent(*arguments, **options):
        raise ModuleNotFoundError("needs pycocotools")

    monkeypatch.setattr(module.MeanAveragePrecision, "__init__", absent)
    with pytest.raises(ConfigError, match=r"pip install 'ffcv_hydra\[detection\]'"):
        Detector(DetectionNet(2, width=2), 2, ADAM)
