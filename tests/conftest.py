"""Data that several test files read."""

import logging
import pickle
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ffcv_hydra.beton import write_beton

# A shell script starts its background jobs with SIGINT ignored, and so would be all processes that tests start.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGHUP})


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with slow tests come first: one that is begun last would leave the other core without work."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


@pytest.fixture(autouse=True)
def _logging_as_it_was() -> Iterator[None]:
    """Hydra sets logging up for its whole process: here for the tests that come after, too."""
    root = logging.getLogger()
    level, handlers = root.level, list(root.handlers)
    yield
    root.setLevel(level)
    for handler in list(root.handlers):
        if handler not in handlers and not type(handler).__module__.startswith("_pytest."):
            root.removeHandler(handler)


class Mixed:
    """Images of different sizes, with the index in every other field."""

    def __len__(self) -> int:
        return 90

    def __getitem__(self, index: int):
        random = np.random.default_rng(index)
        height, width = random.integers(33, 70, 2)
        coarse = random.integers(0, 256, (5, 6, 3), dtype=np.uint8)
        image = Image.fromarray(coarse).resize((int(width), int(height)), Image.Resampling.BICUBIC)
        return image, index, np.full((2, 3), index, dtype=np.float32)


@pytest.fixture(scope="session")
def beton(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """90 samples with the fields image, label and array."""
    path = tmp_path_factory.mktemp("beton") / "mixed.beton"
    write_beton(Mixed(), path, {"image": None, "label": None, "array": None}, num_workers=0, page_size=1 << 21)
    return path


STOCK_FFCV = """
import pickle, sys
import numpy as np
from ffcv import Loader
from ffcv.loader import OrderOption

path, batch_size, os_cache, result = sys.argv[1], int(sys.argv[2]), sys.argv[3] == "True", sys.argv[4]
loader = Loader(path, batch_size, num_workers=1, os_cache=os_cache, order=OrderOption.SEQUENTIAL)
batches = [tuple(np.array(column) for column in batch) for batch in loader]
with open(result, "wb") as file:
    pickle.dump(batches, file)
"""


@pytest.fixture
def read_by_stock_ffcv(tmp_path: Path) -> Callable[..., list[tuple[np.ndarray, ...]]]:
    """Reads a beton with FFCV's own loader, in a process of its own: it spoils numba's types for the one it runs in."""

    if find_spec("ffcv") is None:
        pytest.skip("FFCV is not installed")

    def read(path: Path, batch_size: int, os_cache: bool = True) -> list[tuple[np.ndarray, ...]]:
        result = tmp_path / "batches.pickle"
        arguments = [str(path), str(batch_size), str(os_cache), str(result)]
        subprocess.run([sys.executable, "-c", STOCK_FFCV, *arguments], check=True, timeout=250)
        return pickle.loads(result.read_bytes())

    return read
