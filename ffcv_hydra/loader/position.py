"""How far a loader has come, as a state that can be saved and gone on from."""

from collections.abc import Callable, Mapping
from typing import Any

from ffcv_hydra.beton.data_digest import DataDigest
from ffcv_hydra.errors import LoaderError
from ffcv_hydra.ordering.identity import is_another_version


class Position:
    """The last pass: its epoch, and how many of its batches were delivered.

    Args:
        identity: plain values of all that a state depends on, by the name that errors call them; the same on each rank.
            What takes a while to find is a function instead, which is called once, when a state is asked for.
        earlier: what states of earlier versions have in place of some of these; found when one differs.

    Attributes:
        goes_on: whether the next pass goes on from a state.
    """

    def __init__(self, identity: Mapping[str, Any], earlier: Mapping[str, Callable[[], Any]] | None = None) -> None:
        self._of = dict(identity)
        self._earlier = dict(earlier or {})
        self._delivered = (0, 0)
        self._epoch_set = 0
        self.goes_on = False

    @property
    def _identity(self) -> dict[str, Any]:
        for name, value in self._of.items():
            if callable(value):
                self._of[name] = value()
        return self._of

    def begin(self, epoch: int, num_batches: int, epoch_set: int) -> int:
        """Begin a pass over an epoch of so many batches; returns the first one to deliver.

        Args:
            epoch: of the pass.
            num_batches: in it.
            epoch_set: the trainer's epoch, which that of the pass may be ahead of.
        """
        self._epoch_set = epoch_set
        first = self._delivered[1] if self.goes_on and self._delivered[0] == epoch else 0
        self.goes_on = False
        self._delivered = (epoch, min(first, num_batches))
        return self._delivered[1]

    def delivered(self, epoch: int, batches: int, epoch_set: int) -> None:
        """Take note that the first `batches` of an epoch were delivered, by a pass that began in the trainer's."""
        self._delivered, self._epoch_set = (epoch, batches), epoch_set

    def state_dict(self) -> dict[str, Any]:
        """Plain values, the same on every rank."""
        epoch, batches = self._delivered
        return {"epoch": epoch, "epoch_set": self._epoch_set, "batches": batches, "of": dict(self._identity)}

    def load_state_dict(self, state: Mapping[str, Any]) -> tuple[int, int]:
        """Go on from `state`; returns the epoch of its pass, and that of the trainer.

        Raises:
            LoaderError: the state is none, or of another identity; says what differs.
        """
        if not isinstance(state, Mapping) or not {"epoch", "batches", "of"} <= state.keys():
            raise LoaderError(f"a state is what a loader's state_dict() gave; got {_told(state)[:80]}")
        self._compare(state["of"], "the checkpoint was made")
        self._delivered = (state["epoch"], state["batches"])
        self._epoch_set = state.get("epoch_set", state["epoch"])
        self.goes_on = True
        return state["epoch"], self._epoch_set

    def __getstate__(self) -> dict[str, Any]:
        return vars(self) | {"_of": self._identity, "_earlier": {}}  # a copy has its own

    def follow(self, other: "Position") -> None:
        """Take over how far a loader came that this one's is a copy of.

        Raises:
            LoaderError: it was of another identity; says what differs.
        """
        self._compare(other._identity, "the loader was copied")
        self._delivered, self._epoch_set, self.goes_on = other._delivered, other._epoch_set, other.goes_on

    def _compare(self, identity: Mapping[str, Any], what_was: str) -> None:
        for name, now in self._identity.items():
            then = identity.get(name)
            if _is_same(then, now) or (name in self._earlier and _is_same(then, self._earlier[name]())):
                continue
            advice = "set it back"
            if is_another_version(then, now):
                advice = (
                    "the same seed means something else since, so resume with the version of ffcv_hydra that made it"
                )
            raise LoaderError(
                f"{what_was} with another {name} ({_told(then)}, now {_told(now)}): {advice}, or begin anew"
            )


def _told(value: Any) -> str:
    """In words; of data how many samples there are, and how their digest ends."""
    try:
        return f"{DataDigest.parse(value).num_samples:,} samples, digest ..{value[-8:]}"
    except (TypeError, ValueError):
        return str(value)


def _is_same(then: Any, now: Any) -> bool:
    """Whether values are equal; of a digest, checkpoints of before have the first 16 digits."""
    if isinstance(then, str) and isinstance(now, str) and (len(then), len(now)) == (16, 64):
        return now.startswith(then)
    return bool(then == now)
