"""Which checkpoint a run starts from, and whether it fits the model."""

import logging
import pickle
from collections.abc import Collection
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities import rank_zero_only
from pytorch_lightning.utilities.model_helpers import is_overridden

from ffcv_hydra.errors import ConfigError
from ffcv_hydra.models import Classifier
from ffcv_hydra.run_folder import CHECKPOINTS, RESULT, read_result
from ffcv_hydra.training.slurm import newest_last, requeued_checkpoint

WHICH = ("last", "best")
"""Words for a checkpoint of a run: the newest one, and the one that `result.json` calls the best."""

NEWEST_OF = "outputs"
"""Where the newest run is looked for if one of these words is given alone."""

log = logging.getLogger(__name__)


def find_checkpoint(ckpt_path: str | None, mode: str, run_dir: Path) -> Path | None:
    """Return the checkpoint to resume (mode "fit") or to evaluate, None for none.

    Args:
        ckpt_path: as `checkpoint_of` takes it; of a run's folder a fit takes the last checkpoint, all else the best.
        mode: of the run.
        run_dir: its folder.

    Raises:
        ConfigError: `ckpt_path` is given and there is no such checkpoint.
    """
    if ckpt_path is None:
        return requeued_checkpoint(run_dir) if mode == "fit" else None
    return checkpoint_of(ckpt_path, "last" if mode == "fit" else "best", "ckpt_path")


def checkpoint_of(given: str, which: str, key: str) -> Path:
    """Return the checkpoint that is meant by a file, a run's folder, or a folder of runs, which is its newest run.

    Args:
        given: the path; with `/last` or `/best` behind a folder it says itself which checkpoint is meant, and as these
            words alone it is of the newest run in `outputs`.
        which: `last` or `best`, if `given` does not say.
        key: of the config, for errors.

    Raises:
        ConfigError: there is no such file, or no run that has such a checkpoint.
    """
    told = f"{key}={given}"
    path = folder = Path(given).expanduser().absolute()
    if path.is_file():
        return path
    if path.name in WHICH and not path.exists():
        folder, which = path.parent / NEWEST_OF if given in WHICH else path.parent, path.name
    if not folder.is_dir():
        advice = f"give a checkpoint, or a run's folder, which has them under {CHECKPOINTS}/"
        raise ConfigError(f"{told}: no such file or folder; {advice}")
    run = _newest_run(folder, told)
    found = newest_last(run) if which == "last" else _best_of(run)
    if found is None:
        has = ", ".join(sorted(other.name for other in run.glob(f"{CHECKPOINTS}/*.ckpt")))
        raise ConfigError(f"{told}: {run} has no {which} checkpoint, but {has}: name one of these")
    rank_zero_only(log.info)("%s is %s", told, found)
    return found


def _newest_run(folder: Path, told: str) -> Path:
    """The folder, if it is a run's, else the run in it whose checkpoints were written last."""
    pattern = f"{CHECKPOINTS}/*.ckpt"
    found = [path for depth in ("", "*/", "*/*/", "*/*/*/") for path in folder.glob(f"{depth}{pattern}")]
    if not found:
        raise ConfigError(f"{told}: {folder} is no run's folder, and no run in it has checkpoints")
    own = [path for path in found if path.parent.parent == folder]
    return max(own or found, key=lambda path: path.stat().st_mtime).parent.parent


def _best_of(run: Path) -> Path | None:
    """What the run's `result.json` calls its best, wherever its folder is now; before its end `best*.ckpt`."""
    best = read_result(run / RESULT).get("best_checkpoint")
    known = [run / CHECKPOINTS / Path(best).name] if best else []
    found = [path for path in known if path.is_file()] or list(run.glob(f"{CHECKPOINTS}/best*.ckpt"))
    return max(found, key=lambda path: path.stat().st_mtime, default=None)


def read_weights_file(key: str, path: Path, weights_only: bool) -> Any:
    """What `torch.save` has put into a file, on the CPU; tensors are read when they are looked at.

    Args:
        key: of the config, and what it says, for errors.
        path: the file.
        weights_only: whether one with objects in it is refused.

    Raises:
        ConfigError: it is no such file, or holds objects that are refused or cannot be made again.
    """
    try:
        return torch.load(path, map_location="cpu", weights_only=weights_only, mmap=True)
    except (pickle.UnpicklingError, ImportError, AttributeError) as error:
        reason = " ".join(str(error).split())
        if not weights_only:
            raise ConfigError(f"{key}: an object in it cannot be made again: {reason}") from error
        raise ConfigError(
            f"{key}: holds more than plain data, which may run code when it is loaded; if it is one of your own, add "
            f"trust_checkpoint=true ({reason[:200]})"
        ) from error
    except (RuntimeError, OSError, EOFError, ValueError) as error:
        raise ConfigError(f"{key}: not a file of weights that torch.save has written") from error


def check_checkpoint(path: Path, model: pl.LightningModule, weights_only: bool = True, is_resumed: bool = True) -> None:
    """Check that the checkpoint's weights are those of such a model.

    A classifier that is to be evaluated, not `is_resumed`, gets room for class weights that its training has counted.

    Only names and shapes are read. Models that load what does not match (`strict_loading=False`, or an own
    `on_load_checkpoint`) are not checked. With `weights_only`, a checkpoint with objects in it is refused.

    Raises:
        ConfigError: the file is no checkpoint, or one of another model.
    """
    checkpoint = read_weights_file(f"ckpt_path={path}", path, weights_only)
    weights = checkpoint.get("state_dict") if isinstance(checkpoint, dict) else None
    if not isinstance(weights, dict):
        advice = "; model.init_from takes any weights" if isinstance(checkpoint, dict) else ""
        raise ConfigError(f"ckpt_path={path}: not a checkpoint of a LightningModule{advice}")
    if not model.strict_loading or is_overridden("on_load_checkpoint", model, pl.LightningModule):
        return
    if isinstance(model, Classifier) and not is_resumed:
        model.make_room_for(weights)
    own: dict[str, Any] = model.state_dict()
    differences = {
        "missing": own.keys() - weights.keys(),
        "unexpected": weights.keys() - own.keys(),
        "of another shape": {name for name in own.keys() & weights.keys() if own[name].shape != weights[name].shape},
    }
    if any(differences.values()):
        reason = ", ".join(f"{kind} {briefly(names)}" for kind, names in differences.items() if names)
        raise ConfigError(
            f"ckpt_path={path}: a checkpoint of another model than {type(model).__name__}: {reason}{_made_by(path)}"
        )


def _made_by(path: Path) -> str:
    """With what the run of a checkpoint was started, if it is still in its folder."""
    overrides = read_result(path.parent.parent / RESULT).get("overrides")
    return f" (its run had {' '.join(overrides)})" if overrides else ""


def briefly(names: Collection[str], most: int = 2) -> str:
    """The first of some names, and how many there are more."""
    shown = sorted(names)[:most]
    more = len(names) - len(shown)
    return " and ".join(shown) + (f" ({more} more)" if more else "")
