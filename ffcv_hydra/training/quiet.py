"""Leaves out of a run's output what libraries say about themselves rather than about the run."""

import logging
import warnings

_ADVERTISEMENT = "\N{ELECTRIC LIGHT BULB} Tip:"
_WARNINGS = (
    r".*isinstance\(treespec, LeafSpec\).*",  # a deprecation in Lightning's own code
    # the models look at labels before these are on the device, and data modules of ours have no such hook
    r"You have overridden `on_before_batch_transfer` in `LightningModule` .*",
    r"The dirpath has changed from .*",  # a run that goes on from another one's checkpoint has a folder of its own
)


def _keep(record: logging.LogRecord) -> bool:
    return not record.getMessage().startswith(_ADVERTISEMENT)


def hide_library_chatter() -> None:
    """Drop Lightning's tips for other products, and its warnings about what is as it should be."""
    logging.getLogger("pytorch_lightning.utilities.rank_zero").addFilter(_keep)
    for message in _WARNINGS:
        warnings.filterwarnings("ignore", message=message)
