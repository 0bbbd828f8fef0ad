"""`result.json`: what became of a run."""

import json
import math
import os
from pathlib import Path
from typing import Any

from ffcv_hydra.errors import ConfigError


class RunRecord:
    """Keeps `result.json` in the run's folder; the file is replaced as a whole each time.

    Rank 0 writes it when the run starts and when it ends. A rank that fails or is stopped writes so itself, since
    Lightning kills rank 0 when another rank dies; the first such entry stays, because what follows on other ranks (a
    lost connection) is its consequence.

    Args:
        run_dir: the run's folder; created when missing.
        rank: this process's global rank.

    Raises:
        ConfigError: the folder cannot be created.
    """

    def __init__(self, run_dir: Path, rank: int) -> None:
        self.path = run_dir / "result.json"
        self.rank = rank
        try:
            run_dir.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(f"the run's folder {run_dir} cannot be created: {error.strerror}") from error

    def start(self, **facts: Any) -> None:
        """Write status `running`, on rank 0."""
        if self.rank == 0:
            self._write({"status": "running", **facts})

    def complete(self, status: str = "completed", **facts: Any) -> None:
        """Write status `completed` (or `pruned`), on rank 0."""
        if self.rank == 0:
            self._write({**self.read(), **facts, "status": status})

    def end(self, status: str, error: str, **facts: Any) -> None:
        """Write status `failed` or `interrupted`, on any rank.

        Rank 0 adds its facts in any case; status and error are those of the rank that came first.
        """
        known = self.read()
        if self.rank != 0:
            facts, error = {}, f"rank {self.rank}: {error}"
        if known.get("status") not in ("failed", "interrupted"):
            facts |= {"status": status, "error": error}
        self._write({**known, **facts})

    def read(self) -> dict[str, Any]:
        """Return what the file says; empty when there is none."""
        try:
            return json.loads(self.path.read_text())
        except FileNotFoundError:
            return {}

    def _write(self, contents: dict[str, Any]) -> None:
        temporary = self.path.with_name(f".{self.path.name}.{self.rank}.{os.getpid()}")
        temporary.write_text(json.dumps(_finite(contents), indent=2, default=str) + "\n")
        os.replace(temporary, self.path)


def _finite(value: Any) -> Any:
    """JSON has no NaN and no infinity: null stands for them."""
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
