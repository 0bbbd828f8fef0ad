"""Detection of objects around any network that answers by the cells of a grid."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from ffcv_hydra.errors import ConfigError
from ffcv_hydra.models.average_precision import AveragePrecision
from ffcv_hydra.models.box_grid import Found, assigned, best, loss_sum, split
from ffcv_hydra.models.class_labels import check_range
from ffcv_hydra.models.components import built_network
from ffcv_hydra.models.evaluated import EvaluatedModule
from ffcv_hydra.models.images import unit_images


class Detector(EvaluatedModule):
    """Train a network to find boxes and their classes, one per cell of a grid and without anchors, as FCOS does.

    A batch is a tuple `(images, boxes, labels, ...)`: images `(N, C, H, W)`, floats or `uint8` (scaled to [0, 1]);
    boxes `(N, most, 4)` with lengths `(N,)`, left, top, right and bottom in pixels; classes `(N, most)` with the same
    lengths, whole numbers: `PaddedArray`s, as fields of any number of items give them. Or lists of tensors of these, as
    `ToList` gives them; or one list of dictionaries of `boxes` and `labels`, as `to_targets` makes. Boxes around
    crowds are left out, as torchvision's references do, where an entry `crowd` of the dictionaries tells of them, or an
    output `crowd` (N, most) behind the classes of a batch that is as an `FFCVDataModule` gives it.

    Logs `train_loss`, and for validation and test the loss (a mean over the cells that answer for a box, and one more
    for each image) and the mean average precision: `val_loss`, `val_map`, `val_map_50`, and `val_ap/CLASS`, by class.
    Predicts `boxes` (N, max_detections, 4), `scores` (N, max_detections) and `labels` (N, max_detections), the best
    first; from where no more are found, scores are 0 and labels -1.

    Args:
        backbone: returns outputs `(N, num_classes + 4, h, w)` for images `(N, C, H, W)`, a grid of square cells: logits
            of the classes, and how far its box goes from the cell's centre to the left, top, right and bottom, in cells
            and before a softplus. Or a plain dictionary with its `_target_`.
        num_classes: number of classes; there is none for the background.
        optimizer: plain dictionary with a `_target_`, such as `{"_target_": "torch.optim.AdamW", "lr": 1e-3}`.
        scheduler: plain dictionary with a `_target_`, see `ffcv_hydra.models.optimization`; None for a constant rate.
        min_score: boxes below it are not told.
        max_overlap: intersection over union that two boxes of one class may have.
        max_detections: that are told per image.

    Raises:
        ConfigError: arguments that do not fit together, or pycocotools is not installed; in a step, a batch of another
            kind.
    """

    plain_arguments: ClassVar[tuple[str, ...]] = ("optimizer", "scheduler")

    def __init__(
        self,
        backbone: nn.Module | Mapping[str, Any],
        num_classes: int,
        optimizer: Mapping[str, Any],
        scheduler: Mapping[str, Any] | None = None,
        min_score: float = 0.05,
        max_overlap: float = 0.6,
        max_detections: int = 100,
    ) -> None:
        super().__init__()
        self.save_hyperparameters(ignore=["backbone"] if isinstance(backbone, nn.Module) else [])
        self.backbone = built_network(backbone)
        self.num_classes = num_classes
        self.optimizer = optimizer
        self.scheduler = scheduler
        self.min_score = min_score
        self.max_overlap = max_overlap
        self.max_detections = max_detections
        self.measure({"map": AveragePrecision(num_classes, max_detections)})

    def check_batch(self, batch: Sequence[Any]) -> None:
        """Refuse what is no batch of boxes, or has classes out of range, by a `ConfigError`."""
        if len(batch) > 1:
            _, labels, exists = _targets(batch)
            boxes, classes = map(_padded, _both(batch))
            if boxes is None or classes is None or not torch.equal(boxes[1], classes[1]):
                raise ConfigError("a sample has another number of boxes than of classes; store as many of both")
            check_range(labels[exists], self.num_classes)

    def on_before_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        if not self.trainer.predicting:
            data: Any = getattr(self.trainer, "datamodule", None)
            stage: Any = self.trainer.state.stage
            names = data.output_names(stage.dataloader_prefix) if hasattr(data, "output_names") else ()
            self.check_batch(batch)
            batch = _without_crowds(batch, names or ())
        return batch

    def forward(self, images: Tensor) -> Tensor:
        """Return outputs `(N, num_classes + 4, h, w)` for images `(N, C, H, W)`."""
        outputs = self.backbone(unit_images(images, self.dtype))
        if outputs.ndim != 4 or outputs.shape[1] != self.num_classes + 4:
            raise ConfigError(
                f"model.backbone gives {tuple(outputs.shape)} for images {tuple(images.shape)}; the detector needs "
                f"(N, num_classes + 4, h, w), with model.num_classes={self.num_classes}"
            )
        return outputs

    def training_step(self, batch: Sequence[Any], batch_idx: int) -> Tensor:
        loss, _ = self._loss(self(batch[0]), batch)
        self.log("train_loss", loss, prog_bar=True)
        return loss

    def predict_step(self, batch: Sequence[Any], batch_idx: int) -> dict[str, Tensor]:
        images = batch[0]
        shape = (len(images), self.max_detections)
        boxes, scores = (torch.zeros(*shape, *items, device=images.device) for items in ((4,), ()))
        labels = torch.full(shape, -1, device=images.device)
        for row, found in enumerate(self._found(self(images), images)):
            count = len(found.scores)
            boxes[row, :count], scores[row, :count], labels[row, :count] = found.boxes, found.scores, found.labels
        return {"boxes": boxes, "scores": scores, "labels": labels}

    def evaluate(self, batch: Sequence[Any], stage: str) -> dict[str, list[dict[str, Tensor]]]:
        outputs = self(batch[0])
        boxes, labels, exists = _targets(batch)
        truth = [{"boxes": b[e], "labels": c[e]} for b, c, e in zip(boxes, labels, exists, strict=True)]
        found = [vars(one) for one in self._found(outputs, batch[0])]
        self.evaluations[stage].update(*self._loss(outputs, batch), found, truth)  # type: ignore[operator]
        return {"found": found, "truth": truth}

    def _found(self, outputs: Tensor, images: Tensor) -> list[Found]:
        height, width = images.shape[2:]
        logits, boxes, _ = split(outputs, height)
        return [
            best(*one, (height, width), self.min_score, self.max_overlap, self.max_detections)
            for one in zip(logits, boxes, strict=True)
        ]

    def _loss(self, outputs: Tensor, batch: Sequence[Any]) -> tuple[Tensor, Tensor]:
        """The mean over the cells that answer for a box and the images, and how many these are."""
        height = batch[0].shape[2]
        boxes, labels, exists = _targets(batch)
        logits, found, centres = split(outputs, height)
        which = assigned(centres, boxes, exists, height / outputs.shape[2])
        count = (which >= 0).sum() + len(which)
        return loss_sum(logits, found, which, boxes, labels) / count, count


def _targets(batch: Sequence[Any]) -> tuple[Tensor, Tensor, Tensor]:
    """Boxes float32 `(N, most, 4)`, classes int64 `(N, most)`, and bool `(N, most)`, which there are.

    Raises:
        ConfigError: the batch holds none.
    """
    padded = [one for one in map(_padded, _both(batch)) if one is not None and len(one[0]) == len(batch[0])]
    fits = len(padded) == 2 and padded[0][0].shape == (*padded[1][0].shape, 4)
    if not fits or padded[1][0].is_floating_point():
        raise ConfigError(
            "the detector needs images, boxes (N, most, 4) with lengths and classes (N, most) with lengths, in this "
            "order: store boxes as BoundingBoxesField, and their classes as RaggedArrayField int64 of items []"
        )
    (boxes, lengths), (labels, _) = padded
    exists = torch.arange(boxes.shape[1], device=boxes.device) < lengths[:, None]
    return boxes.float(), labels.long(), exists


def _without_crowds(batch: Sequence[Any], names: Sequence[str]) -> Sequence[Any]:
    """The batch, checked, without boxes around crowds, if an output or an entry of the dictionaries is called `crowd`.

    Raises:
        ConfigError: a sample has not one number of `crowd` for each box.
    """
    targets: Any = batch[1] if len(batch) > 1 else None
    is_told = isinstance(targets, list) and all(isinstance(one, Mapping) and "crowd" in one for one in targets)
    if not is_told and ("crowd" not in names[3:] or len(names) != len(batch)):
        return batch
    both = _both(batch)
    padded: list[Any] = [*map(_padded, both)]
    labels, lengths = padded[1]
    crowds = _padded([one["crowd"] for one in targets] if is_told else batch[names.index("crowd")])
    if crowds is None or crowds[0].shape != labels.shape or not torch.equal(crowds[1], lengths):
        raise ConfigError("a sample has another number of 'crowd' than of boxes; store one number for each box")
    kept = (torch.arange(labels.shape[1], device=lengths.device) < lengths[:, None]) & (crowds[0] == 0)
    first, counts = (~kept).byte().argsort(dim=1, stable=True), kept.sum(1)

    def of_kept(items: Any, data: Tensor) -> Any:
        data = data.take_along_dim(first.view(*first.shape, *[1] * (data.ndim - 2)), 1)
        if hasattr(items, "lengths"):
            return items._replace(data=data, lengths=counts)
        return [row[:count] for row, count in zip(data, counts.tolist(), strict=True)]

    boxes, classes = (of_kept(items, data) for items, (data, _) in zip(both, padded, strict=True))
    if not is_told:
        return [batch[0], boxes, classes, *batch[3:]]
    rows = zip(targets, boxes, classes, strict=True)
    return [batch[0], [{**one, "boxes": b, "labels": c} for one, b, c in rows], *batch[2:]]


def _both(batch: Sequence[Any]) -> Sequence[Any]:
    """What a batch has of boxes, and of classes; nothing if it is no tuple or list."""
    if not isinstance(batch, Sequence):
        return ()
    targets = batch[1] if len(batch) > 1 else None
    if isinstance(targets, list) and all(isinstance(one, Mapping) and {"boxes", "labels"} <= {*one} for one in targets):
        return [[one[name] for one in targets] for name in ("boxes", "labels")]
    return batch[1:3]


def _padded(items: Any) -> tuple[Tensor, Tensor] | None:
    """(N, most, ...) and the lengths (N,), of a `PaddedArray` or a list of tensors of one kind; None for all else."""
    if hasattr(items, "lengths"):
        return items.data, items.lengths
    is_list = isinstance(items, list) and len({one.shape[1:] for one in items if isinstance(one, Tensor)}) == 1
    if not is_list or not all(isinstance(one, Tensor) for one in items):
        return None
    lengths = torch.tensor([len(one) for one in items], device=items[0].device)
    return nn.utils.rnn.pad_sequence(items, batch_first=True), lengths
