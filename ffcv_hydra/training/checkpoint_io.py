"""Checkpoints that are there as a whole or not at all."""

from pathlib import Path
from typing import Any

from lightning_fabric.plugins import TorchCheckpointIO

from ffcv_hydra.atomic_file import save_whole


class AtomicCheckpointIO(TorchCheckpointIO):
    """Lightning's, but files are written beside their place and renamed: a full disk leaves the former checkpoint."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        """Save to a local path, which raises `WriteError` where it is impossible, or as Lightning does to a URL."""
        if "://" in str(path) or storage_options is not None:
            super().save_checkpoint(checkpoint, path, storage_options)
        else:
            save_whole(checkpoint, Path(path))
