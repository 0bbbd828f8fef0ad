"""The global generators that datasets and fields draw from. Knows which there are, and when torch has to be loaded."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from importlib import import_module
from typing import Any

import numpy as np

from ffcv_hydra.loaded_torch import loaded_torch

OWN = __name__.partition(".")[0]


def load_torch_for(*things: Any) -> None:
    """Load torch unless all things are this package's own datasets and fields, which draw from no generator of torch's.

    A dataset that loads it while it reads would draw from a generator that nobody has seeded.
    """
    if any(type(thing).__module__.partition(".")[0] != OWN for thing in things):
        import_module("torch")


def seed_all(seed: int) -> None:
    """Seed Python's, NumPy's and torch's global generators."""
    random.seed(seed)
    np.random.seed(seed)
    if torch := loaded_torch():
        torch.default_generator.manual_seed(seed)


@contextmanager
def seeded(seed: int, start: int) -> Iterator[None]:
    """Seed the global generators for the portion that begins at `start`, and put them back afterwards."""
    python_state, numpy_state = random.getstate(), np.random.get_state()
    torch = loaded_torch()
    with torch.random.fork_rng(devices=[]) if torch else nullcontext():
        seed_all(int(np.random.SeedSequence([seed, start]).generate_state(1)[0]))
        try:
            yield
        finally:
            random.setstate(python_state)
            np.random.set_state(numpy_state)
