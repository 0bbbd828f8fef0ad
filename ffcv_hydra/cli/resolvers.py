"""What configs may write as `${name:...}`: folders of runs, and facts about folders of images and the machine."""

import os
import secrets
import sys
from collections.abc import Mapping, Sequence
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from ffcv_hydra.beton_path import beton_exists
from ffcv_hydra.building.targets import locate
from ffcv_hydra.cores import usable_cores
from ffcv_hydra.errors import ConfigError, SourceMissingError
from ffcv_hydra.nearest import hint
from ffcv_hydra.urls import is_url


def register() -> None:
    """Make the resolvers known to OmegaConf; may be called again."""
    # Cached in the config: a run's folder has one name, however often it is asked for. The processes that
    # Lightning starts get it as an override of hydra.run.dir.
    OmegaConf.register_new_resolver("run_folder", run_folder, use_cache=True, replace=True)
    folders = (absolute_path, folder_name, count_classes, count_names, fill_fractions, has_split)
    for resolver in (run_dir, *folders, mixed_split, common, worker_counts):
        OmegaConf.register_new_resolver(resolver.__name__, resolver, replace=True)
    OmegaConf.register_new_resolver("keys", list, replace=True)
    OmegaConf.register_new_resolver("if_given", lambda condition, value: value if condition else None, replace=True)
    OmegaConf.register_new_resolver("either", lambda first, second: first or second, replace=True)


def run_folder(task_name: str | None = None) -> str:
    """A new run's folder, relative to `outputs/`: `<date>/<time>_<random>`; in a SLURM job `slurm/<job id>/<digest>`.

    One with a name is in a folder of it.

    The digest is that of the command line. So all tasks of a job agree on the folder, a requeued job, which keeps its
    id, finds it again, and another command of the same job does not. Interactive jobs, told by their name as Lightning
    does, count as no job.
    """
    above = f"{task_name}/" if task_name else ""
    job = os.environ.get("SLURM_JOB_ID")
    if job and "SLURM_NTASKS" in os.environ and os.environ.get("SLURM_JOB_NAME") not in ("bash", "interactive"):
        return f"{above}slurm/{job}/{sha256(repr(sys.argv[1:]).encode()).hexdigest()[:8]}"
    return f"{above}{datetime.now():%Y-%m-%d/%H-%M-%S}_{secrets.token_hex(3)}"


def run_dir() -> str:
    """Absolute path of the current run's folder; inside Hydra's commands only."""
    hydra = HydraConfig.get()
    if not OmegaConf.is_missing(hydra.runtime, "output_dir"):
        return str(hydra.runtime.output_dir)
    return os.path.abspath(hydra.run.dir)  # the config is shown, not run


def absolute_path(path: str) -> str:
    """`path` with `~` expanded, relative to the folder the command was started in."""
    return os.path.abspath(os.path.expanduser(path))


def folder_name(root: str) -> str:
    """The name of a folder of images.

    Raises:
        ConfigError: it is no path.
    """
    if not isinstance(root, str):
        raise ConfigError(f"dataset.root={root}: give the path of the folder that holds the images")
    return Path(absolute_path(root)).name


def count_classes(root: str, beton: str | None = None) -> int | None:
    """Number of class folders in a folder of images, with or without `train/` above them.

    Where there is no such folder but a beton that was made from it, it is the number that the beton tells, None if it
    does not, or is at a URL.

    Raises:
        ConfigError: there is neither, or the folder has no folders in it.
    """
    from ffcv_hydra.datasets.image_folder import class_names, is_divided  # slow to import

    folder = Path(absolute_path(root))
    if folder.is_dir():
        return len(class_names(folder / "train" if is_divided(folder) else folder))
    return _count_in(
        beton or "", f"dataset.root={root}: there is no such folder; give the folder that holds the images"
    )


def count_names(split: DictConfig) -> int | None:
    """Number of the classes that a split's source names by its `class_names`, without being built.

    Where it is not on this machine it is the number that the beton tells, None if it does not, or is at a URL.

    Raises:
        ConfigError: there is neither, or the names cannot be read.
    """
    source: Any = OmegaConf.to_container(split.source, resolve=True)
    dataset = locate(source.pop("_target_"), "dataset.splits.train.source")
    try:
        return len(dataset.class_names(**source))
    except SourceMissingError as error:
        return _count_in(split.beton, str(error))


def _count_in(beton: str, reason: str) -> int | None:
    """The number of classes that a beton tells; raises a `ConfigError` of `reason` if it is not there."""
    if is_url(beton):
        return None
    if not beton or not beton_exists(absolute_path(beton)):
        raise ConfigError(reason)
    from ffcv_hydra.collection.facts import read_manifest  # slow to import

    manifest = read_manifest(absolute_path(beton))
    return None if manifest is None or manifest.classes is None else len(manifest.classes)


def fill_fractions(fractions: Mapping[str, float | None]) -> dict[str, float]:
    """`ffcv_hydra.datasets.split_fraction.fill_fractions`, which is slow to import."""
    from ffcv_hydra.datasets.split_fraction import fill_fractions

    return fill_fractions(fractions)


def has_split(fractions: Mapping[str, float | None], split: str, root: str | None = None, beton: str = "") -> bool:
    """Whether a dataset has a split: by a fraction of it, or in a folder of images by a folder of its own.

    Where there is no such folder, whether there is the split's beton.
    """
    from ffcv_hydra.datasets.image_folder import is_divided  # slow to import

    if split in fill_fractions(fractions):
        return True
    if root is None:
        return False
    folder = Path(absolute_path(root))
    if not folder.is_dir():
        return beton_exists(absolute_path(beton))
    return is_divided(folder) and (folder / split).is_dir()


def mixed_split(members: DictConfig, stage: str, evaluate_on: Sequence[str] | None = None) -> dict[str, Any] | None:
    """A split of a mixture: the members' splits by name, each with the member's fields; None if no member has one.

    Those of `train` have the members' shares, and every member has to have one. Others are read one after another.

    Args:
        members: by name, whole datasets.
        stage: train, val, test or predict.
        evaluate_on: names of members; None: all.

    Raises:
        ConfigError: a name is no member's, or a member has no `train`.
    """
    chosen = list(members) if evaluate_on is None else list(evaluate_on)
    if unknown := [name for name in chosen if name not in members]:
        raise ConfigError(f"dataset.evaluate_on: there is no member '{unknown[0]}'; {hint(unknown[0], list(members))}")
    found: dict[str, Any] = {}
    for name in chosen:
        member = OmegaConf.to_container(members[name], resolve=True)
        assert isinstance(member, dict)
        split = member["splits"].get(stage)
        if split is not None:
            found[name] = {**split, "fields": member["fields"]}
            found[name] |= {"share": member["share"]} if stage == "train" else {}
        elif stage == "train":
            raise ConfigError(f"dataset.members.{name}: {member['name']} has no train split; leave the member out")
    return {"members": found} if found else None


def common(members: DictConfig, key: str) -> Any:
    """What all members of a mixture have at a key, or None."""
    values = [member.get(key) for member in members.values()]
    return values[0] if values and all(value == values[0] for value in values) else None


def worker_counts() -> str:
    """Numbers of threads worth trying here, as a sweep: powers of two and the number of usable cores, `1,2,4,6`."""
    cores = usable_cores()
    return ",".join(map(str, sorted({1 << power for power in range(cores.bit_length())} | {cores})))
