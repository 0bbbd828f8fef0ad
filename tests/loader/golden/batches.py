"""What every configuration gives from a beton that is kept beside this file, as small plain values.

`make golden ENTRY="..."` writes it anew. A change of it is a change for users: other batches of the same seed, or
states of checkpoints that fit no more. So it needs an entry of its own in CHANGELOG.md, whose words are kept with it.
"""

import hashlib
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

from tests.loader.configurations import CONFIGURATIONS, leaves, make

HERE = Path(__file__).parent
BETON = HERE / "scenes.beton"  # the first 16 of `Scenes`, as the commit 24ac127 wrote them; `PLACES` is beside it
KEPT = HERE / "batches.json"
CHANGELOG = HERE.parents[2] / "CHANGELOG.md"
BATCH_SIZE = 4
BATCHES_BEFORE_STATE = 2
NUMBERS = 24  # that are kept of the floats of an output


def found(name: str) -> dict[str, Any]:
    """The outputs of a configuration's first two epochs, and its state in the middle of the third.

    Whole numbers are kept as a digest. Of floats, which may be one unit in the last place off, some are kept, and the
    sum of all magnitudes.
    """
    loader = make(BETON, name, BATCH_SIZE)
    batches = [list(leaves(batch)) for _ in range(2) for batch in loader]
    outputs = [_summary([np.ascontiguousarray(leaf) for leaf in column]) for column in zip(*batches, strict=True)]
    running = iter(loader)
    for _ in range(BATCHES_BEFORE_STATE):
        next(running)
    return {"outputs": outputs, "state": json.loads(json.dumps(loader.state_dict()))}


def _summary(arrays: list[np.ndarray]) -> dict[str, Any]:
    [dtype] = {array.dtype for array in arrays}
    shapes = sorted({array.shape for array in arrays})
    flat = np.concatenate([array.ravel() for array in arrays])
    summary: dict[str, Any] = {"dtype": str(dtype), "shapes": [str(shape) for shape in shapes]}
    if dtype.kind != "f":
        return summary | {"sha256": hashlib.sha256(flat.tobytes()).hexdigest()}
    places = np.linspace(0, len(flat) - 1, NUMBERS).astype(int)
    return summary | {"floats": flat[places].astype(float).tolist(), "sum": float(np.abs(flat).sum(dtype=float))}


def keep(entry: str) -> None:
    """Write what is found now; `entry` is a part of the change log that says why it is another.

    Raises:
        SystemExit: the change log does not say that, or the file was written with the same words before.
    """
    if not entry or entry not in words(CHANGELOG.read_text()):
        raise SystemExit(f"CHANGELOG.md has no {entry!r}: say there what changes for users, and give its words here")
    if KEPT.exists() and json.loads(KEPT.read_text())["entry"] == entry:
        raise SystemExit(f"{KEPT.name} was written with {entry!r} before: another change needs an entry of its own")
    kept = {"entry": entry, "configurations": {name: found(name) for name in CONFIGURATIONS}}
    KEPT.write_text(json.dumps(kept, indent=1) + "\n")


def words(text: str) -> str:
    """A text in one line."""
    return " ".join(text.split())


if __name__ == "__main__":
    keep(words(" ".join(sys.argv[1:])))
