"""This package's loader and writer under FFCV's names, for the whole process."""

import functools
import importlib
import json
import os
from collections.abc import Callable
from typing import Any

from ffcv_hydra.ffcv_bridge.loader import EpochIterator, Loader
from ffcv_hydra.ffcv_bridge.operations import FFCVOperation
from ffcv_hydra.ffcv_bridge.writer import DatasetWriter

_PLACES = {
    Loader: ("ffcv", "ffcv.loader", "ffcv.loader.loader"),
    EpochIterator: ("ffcv.loader.loader", "ffcv.loader.epoch_iterator"),
    DatasetWriter: ("ffcv", "ffcv.writer"),
}


def stand_in() -> None:
    """Put them wherever FFCV has its own, and have them tell that they were made where `run-ffcv` says."""
    for kind, modules in _PLACES.items():
        for module in modules:
            setattr(importlib.import_module(module), kind.__name__, kind)
    for kind in (Loader, DatasetWriter):
        kind.__init__ = telling(vars(kind)["__init__"], kind.__name__)  # type: ignore[method-assign]


def telling(make: Callable[..., None], what: str) -> Callable[..., None]:
    """`make`, of which each call is told where `run-ffcv` says."""
    records = os.environ.get("FFCV_HYDRA_RUN_FFCV", "").partition(":")[2]
    if not records or hasattr(make, "__wrapped__"):  # FFCV may be imported anew
        return make

    @functools.wraps(make)
    def make_and_tell(self: Any, *arguments: Any, **named: Any) -> None:
        make(self, *arguments, **named)
        plan = self.plan if isinstance(self, Loader) else None
        kept = [node.operation.name for node in plan.nodes if isinstance(node.operation, FFCVOperation)] if plan else []
        told = {"what": what, "process": os.getpid(), "replaced": sorted(plan.replaced) if plan else [], "kept": kept}
        if "run-ffcv" in os.path.realpath(records):  # the program goes on, and has not closed it
            with open(records, "a") as file:
                file.write(json.dumps(told) + "\n")  # at once: other processes write there, too

    return make_and_tell
