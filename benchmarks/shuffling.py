"""How well orders shuffle: what a batch has of one stretch of the file, and whether neighbours stay neighbours.

python -m benchmarks.shuffling

Nothing is timed, so that the table is the same on every machine. Samples of equal size are taken, so many to a page.
"""

from types import SimpleNamespace

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.report import WIDTH
from ffcv_hydra.ordering import Ordering, QuasiRandom, Random, SampleSet, Sequential

SAMPLES, PER_PAGE, BATCH_SIZE, EPOCHS = 200_000, 128, 256, 5  # 8 MiB are about 128 photographs of 500 pixels
BINS = 100
FILES = 64
ORDERS: dict[str, Ordering] = {
    "random": Random(),
    **{f"quasi_random, {pages} pages": QuasiRandom(pages) for pages in (64, 16, 4)},
    "sequential": Sequential(),
}


def main() -> None:
    table = Table("order", "pages a batch is from", "entropy of steps", "mean distance from place in file")
    cases = [(name, ordering, 1) for name, ordering in ORDERS.items()]
    cases.append((f"quasi_random, 16 pages, {FILES} files", QuasiRandom(), FILES))
    for name, ordering, files in cases:
        found = np.mean([_measured(_order(ordering, epoch, files)) for epoch in range(EPOCHS)], axis=0)
        pages, entropy, distance = found.tolist()
        table.add_row(name, f"{pages:.1f}", f"{entropy:.3f}", f"{distance:.3f}")
    console = Console(width=WIDTH)
    console.print(table)
    console.print(f"{SAMPLES:,} samples, {PER_PAGE} to a page, batches of {BATCH_SIZE}; means of {EPOCHS} epochs")


def _order(ordering: Ordering, epoch: int, files: int) -> np.ndarray:
    first_ids = np.linspace(0, SAMPLES, files + 1).astype(np.int64)
    reader = SimpleNamespace(num_samples=SAMPLES, first_ids=first_ids)
    samples = SampleSet(range(SAMPLES), 0, lambda ids: ids // PER_PAGE, reader)
    return ordering.sample_order(samples, epoch)


def _measured(order: np.ndarray) -> tuple[float, float, float]:
    """Pages per batch; the entropy of the steps from a sample to the next one, 1 if all are as likely; the distance.

    The distance is that between places in the order and in the file, as a share of the samples: 1/3 of a full shuffle.
    """
    whole = order[: SAMPLES // BATCH_SIZE * BATCH_SIZE].reshape(-1, BATCH_SIZE) // PER_PAGE
    pages = np.mean([len(np.unique(batch)) for batch in whole])
    steps = np.diff(order) % SAMPLES
    shares = np.bincount(steps * BINS // SAMPLES, minlength=BINS) / len(steps)
    entropy = -np.sum(shares[shares > 0] * np.log(shares[shares > 0])) / np.log(BINS)
    distance = np.abs(order - np.arange(SAMPLES)).mean() / SAMPLES
    return float(pages), float(entropy), float(distance)


if __name__ == "__main__":
    main()
