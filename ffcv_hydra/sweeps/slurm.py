"""Under SLURM the ranks of a job are tasks, so SLURM is told how many the trainer wants."""

from collections.abc import Sequence
from typing import Any

from omegaconf import DictConfig, OmegaConf, open_dict

from ffcv_hydra.errors import ConfigError


def is_slurm(hydra_config: Any) -> bool:
    """Whether the sweep's launcher hands jobs to SLURM (`hydra/launcher=submitit_slurm`)."""
    return str(hydra_config.launcher._target_).endswith(".SlurmLauncher")


def follow_trainer(config: DictConfig) -> None:
    """Set the SLURM launcher's `tasks_per_node` and `nodes`, where they are 1, to the trainer's; changes `config`.

    Args:
        config: the sweep's, Hydra's own part included; other launchers and configs without a trainer stay as they are.

    Raises:
        ConfigError: `trainer.devices` is neither a number nor a list.
    """
    devices = OmegaConf.select(config, "trainer.devices")
    if not is_slurm(config.hydra) or devices is None:
        return
    launcher = config.hydra.launcher
    with open_dict(launcher):
        if launcher.get("tasks_per_node", 1) == 1:
            launcher.tasks_per_node = _number_of(devices)
        if launcher.get("nodes", 1) == 1:
            launcher.nodes = OmegaConf.select(config, "trainer.num_nodes", default=1)


def _number_of(devices: Any) -> int:
    if isinstance(devices, Sequence) and not isinstance(devices, str):
        return len(devices)
    if not isinstance(devices, int) or devices < 1:
        raise ConfigError(f"trainer.devices={devices}: give their number, which SLURM has to know beforehand")
    return devices
