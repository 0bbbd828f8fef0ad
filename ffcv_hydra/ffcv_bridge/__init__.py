"""The one room that knows FFCV: its fields, operations and orders, as this package's own; see `ffcv_hydra.foreign`."""

import ffcv_hydra.ffcv_bridge.careful_import  # noqa: F401  (before anything of FFCV)

from ffcv_hydra.ffcv_bridge.adapting import adapt

__all__ = ["adapt"]
