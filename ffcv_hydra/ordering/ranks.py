"""How an order is split over ranks and batches."""

from dataclasses import dataclass

import numpy as np

from ffcv_hydra.errors import FewSamplesError


def are_distinct(ids: np.ndarray) -> bool:
    """Whether each of `ids`, int64 (N,), comes once; takes memory for these, however large they are."""
    in_order = np.sort(ids)
    return not (in_order[1:] == in_order[:-1]).any()


def occurrences(order: np.ndarray) -> np.ndarray:
    """uint64 (N,): how often `order` held the same id before each position; all 0 without replacement."""
    counts = np.zeros(len(order), dtype=np.uint64)
    if not are_distinct(order):
        by_id = np.argsort(order, kind="stable")
        ids = order[by_id]
        first = np.flatnonzero(np.r_[True, ids[1:] != ids[:-1]])
        counts[by_id] = np.arange(len(order)) - np.repeat(first, np.diff(np.r_[first, len(order)]))
    return counts


@dataclass(frozen=True)
class RankBatches:
    """The batches of one rank, as positions in the global order; made when asked for, whatever their number.

    Attributes:
        first, batch_size, stride: batch k of the regular ones is the positions from first + k · stride on.
        regular: how many of these there are.
        rest: int64 arrays, the positions of each batch after them.
    """

    first: int
    batch_size: int
    stride: int
    regular: int
    rest: tuple[np.ndarray, ...] = ()

    def __len__(self) -> int:
        return self.regular + len(self.rest)

    def batch(self, index: int) -> np.ndarray:
        """int64: the positions of batch `index`, which is in [0, len)."""
        if index < 0:
            raise IndexError(f"batch {index} of {len(self)}")
        if index >= self.regular:
            return self.rest[index - self.regular]
        start = self.first + index * self.stride
        return np.arange(start, start + self.batch_size)

    def positions(self, first_batch: int = 0) -> np.ndarray:
        """int64: those of batch `first_batch` and all after it."""
        batches = [self.batch(index) for index in range(first_batch, len(self))]
        return np.concatenate(batches) if batches else np.empty(0, dtype=np.int64)


def split_over_ranks(num_samples: int, batch_size: int, world_size: int, rank: int, drop_last: bool) -> RankBatches:
    """Which positions of an order of `num_samples` go into which batch of `rank`.

    Global batch k is positions k·G to (k + 1)·G with G = batch_size · world_size; each rank takes its contiguous slice.
    With `drop_last` there are full global batches only. Without, every position is taken exactly once and all ranks
    have the same number of batches: the last global batch is divided evenly; if it is smaller than the number of ranks,
    ranks that get nothing of it split their batch before in two (with batch size 1, ranks that get a sample of it add
    it to their batch before instead).

    Raises:
        FewSamplesError: if there is not one batch for each rank.
    """
    whole, rest = divmod(num_samples, batch_size * world_size)
    needed = batch_size * world_size if drop_last else world_size
    if num_samples < needed:
        of_ranks = f"the number of ranks ({world_size})"
        what = f"one global batch ({batch_size} x {world_size} ranks), and it has to be full" if drop_last else of_ranks
        advice = "lower batch_size or devices, or add data" if drop_last else "use fewer devices"
        raise FewSamplesError(f"{num_samples} samples are fewer than {what}: {advice}", num_samples)

    def batches(regular: int, *rest: np.ndarray) -> RankBatches:
        return RankBatches(rank * batch_size, batch_size, batch_size * world_size, regular, rest)

    if drop_last or not rest:
        return batches(whole)
    share, extra = divmod(rest, world_size)
    first = num_samples - rest + rank * share + min(rank, extra)
    mine = np.arange(first, first + share + (rank < extra))
    if share or (len(mine) and batch_size > 1):
        return batches(whole, mine)
    last = batches(whole).batch(whole - 1)
    if len(mine):
        return batches(whole - 1, np.concatenate([last, mine]))
    return (
        batches(whole - 1, last[: -(batch_size // 2)], last[-(batch_size // 2) :]) if batch_size > 1 else batches(whole)
    )
