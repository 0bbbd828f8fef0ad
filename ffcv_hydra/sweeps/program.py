"""The program that the user has started, as a command that starts it again for one job."""

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from hydra.core.override_parser.types import Quote, QuotedString

from ffcv_hydra.hydra_internals import config_flags

_RANK_VARIABLES = frozenset(
    {
        "RANK", "LOCAL_RANK", "NODE_RANK", "GROUP_RANK", "ROLE_RANK",
        "WORLD_SIZE", "LOCAL_WORLD_SIZE", "GROUP_WORLD_SIZE", "ROLE_WORLD_SIZE", "ROLE_NAME",
        "MASTER_ADDR", "MASTER_PORT", "JSM_NAMESPACE_RANK", "JSM_NAMESPACE_SIZE",
    }
)  # fmt: skip
_RANK_PREFIXES = ("TORCHELASTIC_", "PL_", "LSB_", "OMPI_COMM_", "PMI_")
_SLURM_PREFIXES = ("SLURM_", "SRUN_")


@dataclass(frozen=True)
class Program:
    """How a job's process is started.

    Args:
        command: interpreter and script, or interpreter, `-m` and module.
        flags: Hydra's options that say which config is composed, such as `--config-dir`.
        folder: where it is started.
        full_error: the user's HYDRA_FULL_ERROR; None when unset.
    """

    command: tuple[str, ...]
    flags: tuple[str, ...]
    folder: str
    full_error: str | None

    @classmethod
    def of_this_process(cls) -> Self:
        """Return the program that this process runs: a script, a console script, or a module (`python -m`)."""
        spec = getattr(sys.modules["__main__"], "__spec__", None)
        if spec is not None and spec.name != "__main__":
            program: tuple[str, ...] = ("-m", spec.name.removesuffix(".__main__"))
        else:
            program = (os.path.abspath(sys.argv[0]),)
        flags = tuple(config_flags(sys.argv[1:]))
        return cls((sys.executable, *program), flags, os.getcwd(), os.environ.get("HYDRA_FULL_ERROR"))

    def job_command(self, overrides: Sequence[str], folder: Path) -> list[str]:
        """Return the command of a single run with these overrides, whose outputs go to `folder`."""
        return [*self.command, *self.flags, *overrides, "hydra.mode=RUN", f"hydra.run.dir={quoted(str(folder))}"]

    def job_environment(self, slurm: bool = False) -> dict[str, str]:
        """Return the environment without what says that this process is one rank of several.

        Args:
            slurm: SLURM has started this process as one task of the job: keep what it says.
        """
        prefixes = _RANK_PREFIXES if slurm else _RANK_PREFIXES + _SLURM_PREFIXES
        kept = {
            name: value
            for name, value in os.environ.items()
            if (slurm or name not in _RANK_VARIABLES) and not name.startswith(prefixes) and name != "HYDRA_FULL_ERROR"
        }
        return kept if self.full_error is None else kept | {"HYDRA_FULL_ERROR": self.full_error}


def quoted(value: str) -> str:
    """Return a string as an override's value, whatever characters are in it."""
    return QuotedString(value, Quote.double).with_quotes()
