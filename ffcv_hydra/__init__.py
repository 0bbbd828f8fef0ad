"""Feed and train vision models in PyTorch, from configs: FFCV, Lightning and Hydra, made to fit together."""

import importlib
from typing import TYPE_CHECKING, Any

import ffcv_hydra.lightning_copies_internals  # noqa: F401  (to see when a trainer looks at a loader)
from ffcv_hydra.imports import without_collecting

if TYPE_CHECKING:
    from ffcv_hydra.building.data import build_datamodule
    from ffcv_hydra.cli.composition import compose
    from ffcv_hydra.collection.mixture import Mixture
    from ffcv_hydra.conversion import create_beton_wrapper
    from ffcv_hydra.dataloader import as_dataloader
    from ffcv_hydra.datamodule import FFCVDataModule
    from ffcv_hydra.loader import Loader
    from ffcv_hydra.operations import DivideImage255
    from ffcv_hydra.pipeline import FFCVPipelineManager
    from ffcv_hydra.training import build_model, train

# Imported on first use: `--help` and shell completion would otherwise wait for torch, Lightning and FFCV.
_WHERE = {
    "DivideImage255": "ffcv_hydra.operations",
    "FFCVDataModule": "ffcv_hydra.datamodule",
    "FFCVPipelineManager": "ffcv_hydra.pipeline",
    "Loader": "ffcv_hydra.loader",
    "Mixture": "ffcv_hydra.collection.mixture",
    "as_dataloader": "ffcv_hydra.dataloader",
    "build_datamodule": "ffcv_hydra.building.data",
    "build_model": "ffcv_hydra.training",
    "compose": "ffcv_hydra.cli.composition",
    "create_beton_wrapper": "ffcv_hydra.conversion",
    "train": "ffcv_hydra.training",
}

__all__ = [
    "DivideImage255",
    "FFCVDataModule",
    "FFCVPipelineManager",
    "Loader",
    "Mixture",
    "as_dataloader",
    "build_datamodule",
    "build_model",
    "compose",
    "create_beton_wrapper",
    "train",
]


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module 'ffcv_hydra' has no attribute '{name}'")
    with without_collecting():
        return getattr(importlib.import_module(_WHERE[name]), name)
