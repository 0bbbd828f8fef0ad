"""What Lightning looks for at a loader: `loader.sampler`, to tell it the epoch and to ask whether it shuffles."""

from torch.utils.data import SequentialSampler


class Sampler:
    """Holds the epoch of the next pass.

    Attributes:
        epoch: of the next pass. It moves on by itself after a complete pass, so that a loader that is begun again and
            again within one epoch of a trainer (`CombinedLoader`) is ahead of it.
        epoch_set: the trainer's, which was set last.
    """

    def __init__(self) -> None:
        self.epoch = self.epoch_set = 0
        self._ahead: dict[int, int] = {}

    def set_epoch(self, epoch: int) -> None:
        """The epoch of the next pass; behind `go_on` with this `epoch_set`, the one that it says."""
        self.epoch_set, self.epoch = epoch, self._ahead.get(epoch, epoch)

    def go_on(self, epoch: int, epoch_set: int, is_over: bool) -> None:
        """Let the next pass go on with one of `epoch`, also if the trainer says again that its own is `epoch_set`.

        One that is over is gone on with only if the trainer says so, which then finds it at its end: `CombinedLoader`
        has to know. Otherwise the next epoch follows.
        """
        self.epoch_set, self.epoch = epoch_set, epoch + is_over
        self._ahead = {epoch_set: epoch}

    def begin(self) -> tuple[int, int]:
        """Begin a pass; returns its epoch, and `epoch_set`."""
        self._ahead = {}
        return self.epoch, self.epoch_set


class InOrderSampler(Sampler, SequentialSampler):
    """Of a loader that does not shuffle, which Lightning knows by the type."""
