"""Which checkpoint a run starts from, and whether it fits the model."""

import pickle
from collections.abc import Collection
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities.model_helpers import is_overridden

from ffcv_hydra.errors import ConfigError
from ffcv_hydra.training.slurm import requeued_checkpoint


def find_checkpoint(ckpt_path: str | None, mode: str, run_dir: Path) -> Path | None:
    """Return the checkpoint to resume (mode "fit") or to evaluate, None for none.

    Raises:
        ConfigError: `ckpt_path` is given and is no file.
    """
    if ckpt_path is None:
        return requeued_checkpoint(run_dir) if mode == "fit" else None
    path = Path(ckpt_path).expanduser().absolute()
    if not path.is_file():
        raise ConfigError(f"ckpt_path={ckpt_path}: no such file; checkpoints are in a run's folder, under checkpoints/")
    return path


def check_checkpoint(path: Path, model: pl.LightningModule, weights_only: bool = True) -> None:
    """Check that the checkpoint's weights are those of such a model.

    Only names and shapes are read. Models that load what does not match (`strict_loading=False`, or an own
    `on_load_checkpoint`) are not checked. With `weights_only`, a checkpoint with objects in it is refused.

    Raises:
        ConfigError: the file is no checkpoint, or one of another model.
    """
    try:
        checkpoint = torch.load(path, map_location="cpu", weights_only=weights_only, mmap=True)
        weights = checkpoint["state_dict"]
    except (pickle.UnpicklingError, ImportError, AttributeError) as error:
        reason = " ".join(str(error).split())
        if not weights_only:
            raise ConfigError(f"ckpt_path={path}: an object in it cannot be made again: {reason}") from error
        raise ConfigError(
            f"ckpt_path={path}: holds more than plain data, which may run code when it is loaded; if it is one of your "
            f"own, add trust_checkpoint=true ({reason[:200]})"
        ) from error
    except (RuntimeError, OSError, EOFError, KeyError, TypeError, ValueError) as error:
        raise ConfigError(f"ckpt_path={path}: not a checkpoint of a LightningModule") from error
    if not model.strict_loading or is_overridden("on_load_checkpoint", model, pl.LightningModule):
        return
    own: dict[str, Any] = model.state_dict()
    differences = {
        "missing": own.keys() - weights.keys(),
        "unexpected": weights.keys() - own.keys(),
        "of another shape": {name for name in own.keys() & weights.keys() if own[name].shape != weights[name].shape},
    }
    if any(differences.values()):
        reason = ", ".join(f"{kind} {_briefly(names)}" for kind, names in differences.items() if names)
        raise ConfigError(f"ckpt_path={path}: a checkpoint of another model than {type(model).__name__}: {reason}")


def _briefly(names: Collection[str]) -> str:
    shown = sorted(names)[:2]
    more = len(names) - len(shown)
    return " and ".join(shown) + (f" ({more} more)" if more else "")
