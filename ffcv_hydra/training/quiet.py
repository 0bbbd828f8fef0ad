"""Leaves out of a run's output what libraries say about themselves rather than about the run."""

import logging
import warnings

from ffcv_hydra.lightning_internals import CHATTER, CHATTING_LOGGERS

_WARNINGS = (
    r".*isinstance\(treespec, LeafSpec\).*",  # a deprecation in Lightning's own code
    # the models look at labels before these are on the device, and data modules of ours have no such hook
    r"You have overridden `on_before_batch_transfer` in `LightningModule` .*",
    r"The dirpath has changed from .*",  # a run that goes on from another one's checkpoint has a folder of its own
)


def _keep(record: logging.LogRecord) -> bool:
    return not record.getMessage().startswith(CHATTER)


def hide_library_chatter() -> None:
    """Drop Lightning's tips for other products, and what it says of a run that is as it should be."""
    for name in CHATTING_LOGGERS:
        logging.getLogger(name).addFilter(_keep)
    for message in _WARNINGS:
        warnings.filterwarnings("ignore", message=message)
