"""Whether the model logs what a config watches, told by the trial before the training."""

from collections.abc import Mapping
from typing import Any

import pytorch_lightning as pl

from ffcv_hydra.errors import ConfigError

_OF_VALIDATION = ("val_", "val/", "valid")  # others may be logged by the training, which comes later


class WatchedMetrics(pl.Callback):
    """Looks at what the sanity check's batches have logged.

    Args:
        config: of a run; its `optimized_metric`, and `monitor` of its callbacks and of the model's scheduler, are
            metrics to be logged.
    """

    def __init__(self, config: Mapping[str, Any]) -> None:
        nodes = {f"callbacks.{name}": node for name, node in (config.get("callbacks") or {}).items()}
        nodes["model.scheduler"] = config["model"].get("scheduler")
        watched = {"optimized_metric": config.get("optimized_metric")}
        watched |= {f"{key}.monitor": node.get("monitor") for key, node in nodes.items() if isinstance(node, Mapping)}
        self.watched = {key: name for key, name in watched.items() if str(name).startswith(_OF_VALIDATION)}

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Raise `ConfigError` where a metric of the validation that is watched is not there after its first batch."""
        missing = {key: name for key, name in self.watched.items() if name not in trainer.callback_metrics}
        if trainer.sanity_checking and missing:
            settings = ", ".join(f"{key}={name}" for key, name in missing.items())
            logged = ", ".join(sorted(trainer.callback_metrics)) or "nothing"
            raise ConfigError(
                f"{settings}: {type(pl_module).__name__} does not log it, its first validation batch logged {logged}; "
                "log it or watch another metric (trainer.num_sanity_val_steps=0 leaves this trial out)"
            )
