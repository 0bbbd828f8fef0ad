"""`result.json`: what became of a run."""

import json
import math
import sys
from pathlib import Path
from typing import Any

from ffcv_hydra.atomic_file import write_whole
from ffcv_hydra.errors import ConfigError
from ffcv_hydra.run_folder import COMPLETED, FAILED, FINISHED, INTERRUPTED, RESULT, RUNNING


class RunRecord:
    """Keeps `result.json` in the run's folder; the file is replaced as a whole each time.

    Rank 0 writes it when the run starts and when it ends. A rank that fails or is stopped writes so itself, since
    Lightning kills rank 0 when another rank dies; the first such entry stays, because what follows on other ranks (a
    lost connection) is its consequence.

    Args:
        run_dir: the run's folder; created when missing.
        rank: this process's global rank.

    That the file cannot be written any more is told, and changes nothing about the run: what is known is kept here.

    Raises:
        ConfigError: the folder cannot be created.
    """

    def __init__(self, run_dir: Path, rank: int) -> None:
        self.path = run_dir / RESULT
        self.rank = rank
        self._contents: dict[str, Any] = {}  # what this process has last written, or tried to
        self._is_written = True
        try:
            run_dir.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(f"the run's folder {run_dir} cannot be created: {error.strerror}") from error

    def start(self, **facts: Any) -> None:
        """Write status `running`, on rank 0; raises `ConfigError` where nothing can be written."""
        if self.rank == 0:
            try:
                self._write({"status": RUNNING, **facts})
            except OSError as error:
                raise ConfigError(f"cannot write in the run's folder {self.path.parent}: {error.strerror}") from error

    def complete(self, status: str = COMPLETED, **facts: Any) -> None:
        """Write status `completed` (or `pruned`), on rank 0."""
        if self.rank == 0:
            self._write_if_possible({**self.read(), **facts, "status": status})

    def end(self, status: str, error: str, **facts: Any) -> None:
        """Write status `failed` or `interrupted`, on any rank.

        Rank 0 adds its facts in any case; status and error are those of the rank that came first. What goes wrong when
        the run is complete, as while its report is written, changes nothing of what is recorded.
        """
        if self.is_complete:
            return
        known = self.read()
        if self.rank != 0:
            facts, error = {}, f"rank {self.rank}: {error}"
        if known.get("status") not in (FAILED, INTERRUPTED):
            facts |= {"status": status, "error": error}
        self._write_if_possible({**known, **facts})

    @property
    def is_complete(self) -> bool:
        """Whether `complete` was called."""
        return self.read().get("status") in FINISHED

    def read(self) -> dict[str, Any]:
        """Return what the file says, or should say if it could not be written; empty when there is nothing."""
        try:
            found = json.loads(self.path.read_text())
        except (OSError, ValueError):
            found = {}
        return {**self._contents, **found} if self._is_written else {**found, **self._contents}

    def _write_if_possible(self, contents: dict[str, Any]) -> None:
        try:
            self._write(contents)
        except OSError as error:
            self._is_written = False
            print(f"{self.path} cannot be written: {error.strerror}", file=sys.stderr)

    def _write(self, contents: dict[str, Any]) -> None:
        self._contents = contents
        write_whole(self.path, json.dumps(finite(contents), indent=2, default=str) + "\n")


def finite(value: Any) -> Any:
    """JSON has no NaN and no infinity: null stands for them, in containers too."""
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
