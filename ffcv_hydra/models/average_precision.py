"""The mean average precision of detections, as COCO counts it."""

import torch
from torch import Tensor
from torchmetrics.detection import MeanAveragePrecision

from ffcv_hydra.errors import ConfigError


class AveragePrecision(MeanAveragePrecision):
    """torchmetrics' metric of boxes in three values.

    They are `map` (the mean over the thresholds 0.5 to 0.95 of the intersection over union, and over the classes that
    occur), `map_50` (at 0.5) and `ap`, float32 (num_classes,), by class; NaN where a class does not occur.

    Args:
        num_classes: how many there are.
        most: detections of an image that count, the best ones.

    Raises:
        ConfigError: pycocotools, which counts, is not installed.
    """

    def __init__(self, num_classes: int, most: int = 100) -> None:
        try:
            super().__init__(class_metrics=True, max_detection_thresholds=[1, 10, most])
        except ModuleNotFoundError as error:
            raise ConfigError("the mAP needs pycocotools: pip install 'ffcv_hydra[detection]'") from error
        self.num_classes = num_classes
        self.warn_on_many_detections = False

    def compute(self) -> dict[str, Tensor]:
        """The values, by name."""
        found = super().compute()
        values = {name: torch.where(found[name] < 0, torch.nan, found[name]) for name in ("map", "map_50")}
        ap = torch.full((self.num_classes,), torch.nan)
        of_classes = found["map_per_class"].reshape(-1)
        ap[found["classes"].reshape(-1).long()] = torch.where(of_classes < 0, torch.nan, of_classes)
        return {**values, "ap": ap}
