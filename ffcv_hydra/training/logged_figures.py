"""Figures of evaluations, for the loggers that show pictures."""

import logging
from collections.abc import Sequence

import numpy as np
from pytorch_lightning.loggers import Logger, TensorBoardLogger

from ffcv_hydra.errors import root_cause
from ffcv_hydra.report.evaluation import Evaluation
from ffcv_hydra.report.figures import evaluation_figures

log = logging.getLogger(__name__)


def log_figures(loggers: Sequence[Logger], evaluation: Evaluation, stage: str, step: int) -> None:
    """Give the figures of a stage's evaluation to TensorBoard and to loggers with a `log_image`, as Lightning's W&B's.

    That it fails is told, and changes nothing about the run.
    """
    shown_by = [logger for logger in loggers if isinstance(logger, TensorBoardLogger) or hasattr(logger, "log_image")]
    if not shown_by or stage not in evaluation["evaluations"]:
        return
    try:
        found, data = evaluation["evaluations"][stage], evaluation["data"].get(stage)
        for name, pixels in evaluation_figures(found, data, evaluation["class_names"]).items():
            for logger in shown_by:
                _log(logger, f"{stage}/{name}", pixels, step)
    except Exception as error:
        log.warning("the figures of %s could not be logged: %s", stage, root_cause(error))


def _log(logger: Logger, name: str, pixels: np.ndarray, step: int) -> None:
    if isinstance(logger, TensorBoardLogger):
        logger.experiment.add_image(name, pixels, step, dataformats="HWC")
    else:
        logger.log_image(key=name, images=[pixels], step=step)  # type: ignore[attr-defined]
