"""Lightning's checkpoints, with a `last.ckpt` that is the last."""

from collections.abc import Mapping
from typing import Any

from ffcv_hydra.errors import ConfigError
from ffcv_hydra.lightning_internals import CheckpointOfTheLast


class ModelCheckpoint(CheckpointOfTheLast):
    """Lightning's, with the same arguments; `save_last` saves after each evaluation and at the end of the training."""

    def check_monitored(self, candidates: Mapping[str, Any]) -> None:
        """Raise `ConfigError` if `monitor` was not logged."""
        if self.save_top_k and self.monitor not in (None, *candidates):
            logged = ", ".join(sorted(set(candidates) - {"epoch", "step"})) or "nothing"
            raise ConfigError(
                f"monitor={self.monitor} of a ModelCheckpoint (optimized_metric, if callbacks.checkpoint.monitor is as "
                f"shipped) was not logged; the run logged {logged}"
            )
