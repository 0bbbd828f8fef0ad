"""What Lightning looks for at a loader: `loader.sampler`, to tell it the epoch and to ask whether it shuffles."""

from torch.utils.data import SequentialSampler


class Sampler:
    """Holds the epoch of the next pass."""

    def __init__(self) -> None:
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """The epoch of the next pass."""
        self.epoch = epoch


class InOrderSampler(Sampler, SequentialSampler):
    """Of a loader that does not shuffle, which Lightning knows by the type."""
