"""A learning-rate schedule that a resumed run takes from its own config, and only its place from the checkpoint."""

import logging
import warnings
from collections.abc import Callable, Mapping
from typing import Any

from pytorch_lightning.utilities import rank_zero_only
from torch.optim.lr_scheduler import LRScheduler

log = logging.getLogger(__name__)


class ResumedSchedule(LRScheduler):
    """A schedule of torch's that follows a new length, rate or option when its state comes from another run.

    Torch's schedules restore their arguments with their state: a cosine over 3 epochs that is resumed in a run of 6
    climbs again. This one compares what they were made from. Where that differs, it makes its own schedule anew and
    takes it through the steps that were taken, as most schedules know the rate of a step from the one before it.

    Args:
        schedule: at its start.
        build: makes it once more, for the same optimizer.
        made_from: all that decides it besides the groups' rates; plain values, or any that have a repr.
    """

    def __init__(self, schedule: LRScheduler, build: Callable[[], LRScheduler], made_from: Mapping[str, Any]) -> None:
        self.optimizer = schedule.optimizer
        self.schedule = schedule
        self._build = build
        self._rates = [group["initial_lr"] for group in self.optimizer.param_groups]
        self._made_from = repr((self._rates, dict(made_from)))

    def step(self, epoch: int | None = None) -> None:
        """Move on by one step."""
        self.schedule.step()

    def get_last_lr(self) -> list[Any]:
        """The present rate of each group."""
        return self.schedule.get_last_lr()

    def state_dict(self) -> dict[str, Any]:
        """The schedule's own state, and what it was made from."""
        return {**self.schedule.state_dict(), "made_from": self._made_from}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go to where `state_dict` is, on this run's schedule."""
        state = dict(state_dict)
        if state.pop("made_from", None) == self._made_from:
            self.schedule.load_state_dict(state)
            return
        for group, rate in zip(self.optimizer.param_groups, self._rates, strict=True):
            group["lr"] = group["initial_lr"] = rate
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # that no step of the optimizer comes before these
            self.schedule = self._build()
            for _ in range(state["last_epoch"]):
                self.schedule.step()
        rate_now = self.get_last_lr()[0]
        told = "the checkpoint's schedule had another length or other options: the learning rate goes on at %.4g"
        rank_zero_only(log.info)(told, rate_now)
