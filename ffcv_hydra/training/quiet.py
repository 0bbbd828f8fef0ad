"""Leaves out of a run's output what libraries say about themselves rather than about the run."""

import logging
import warnings

_ADVERTISEMENT = "\N{ELECTRIC LIGHT BULB} Tip:"
_LIBRARY_DEPRECATIONS = (r".*isinstance\(treespec, LeafSpec\).*",)


def _keep(record: logging.LogRecord) -> bool:
    return not record.getMessage().startswith(_ADVERTISEMENT)


def hide_library_chatter() -> None:
    """Drop Lightning's tips for other products, and its deprecation warnings about its own code."""
    logging.getLogger("pytorch_lightning.utilities.rank_zero").addFilter(_keep)
    for message in _LIBRARY_DEPRECATIONS:
        warnings.filterwarnings("ignore", message=message)
