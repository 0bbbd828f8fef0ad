"""The one room that knows FFCV: its fields, operations and orders, as this package's own; its loader and its writer.

See `ffcv_hydra.foreign`.
"""

import ffcv_hydra.ffcv_bridge.careful_import  # noqa: F401  (before anything of FFCV)

from ffcv_hydra.ffcv_bridge.adapting import adapt
from ffcv_hydra.ffcv_bridge.loader import Loader
from ffcv_hydra.ffcv_bridge.writer import DatasetWriter

__all__ = ["DatasetWriter", "Loader", "adapt"]
