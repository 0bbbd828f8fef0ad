"""How far a loader has come, as a state that can be saved and gone on from."""

from collections.abc import Mapping
from typing import Any

from ffcv_hydra.errors import LoaderError


class Position:
    """The last pass: its epoch, and how many of its batches were delivered.

    Args:
        identity: plain values of all that a state depends on, by the name that errors call them; the same on each rank.
    """

    def __init__(self, identity: Mapping[str, Any]) -> None:
        self._identity = dict(identity)
        self._delivered = (0, 0)
        self._goes_on = False

    def begin(self, epoch: int, num_batches: int) -> int:
        """Begin a pass over an epoch of so many batches; returns the first one to deliver."""
        first = self._delivered[1] if self._goes_on and self._delivered[0] == epoch else 0
        self._goes_on = False
        self._delivered = (epoch, min(first, num_batches))
        return self._delivered[1]

    def delivered(self, epoch: int, batches: int) -> None:
        """Take note that the first `batches` of an epoch were delivered."""
        self._delivered = (epoch, batches)

    def state_dict(self) -> dict[str, Any]:
        """Plain values, the same on every rank."""
        epoch, batches = self._delivered
        return {"epoch": epoch, "batches": batches, "of": dict(self._identity)}

    def load_state_dict(self, state: Mapping[str, Any], num_batches: int) -> int:
        """Go on from `state`; returns the epoch to go on with, which is the next one if all batches were delivered.

        Raises:
            LoaderError: the state is of another identity; says what differs.
        """
        for name, now in self._identity.items():
            then = state["of"].get(name)
            if then != now:
                raise LoaderError(
                    f"the checkpoint was made with another {name} ({then}, now {now}): set it back, or begin anew"
                )
        self._delivered = (state["epoch"], state["batches"])
        self._goes_on = state["batches"] < num_batches
        return state["epoch"] if self._goes_on else state["epoch"] + 1
