"""Seeing what a pipeline does to samples: `python -m ffcv_hydra preview`."""

from ffcv_hydra.preview.contact_sheet import preview as preview
