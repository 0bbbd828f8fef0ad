"""From a config to a finished run: what `run.py` calls."""

from ffcv_hydra.training.build import build_model as build_model
from ffcv_hydra.training.run import train as train
