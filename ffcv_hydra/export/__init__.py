"""A trained model for programs that have nothing of ours: `mode=export`."""

from ffcv_hydra.export.preprocessing import describe as describe
from ffcv_hydra.export.programs import export as export
