"""A process of its own for one contender: `python -m benchmarks.child TASK CONTENDER WORK`, with JSON on stdout.

What it says goes to stdout as one JSON object a line; whatever libraries print goes to stderr.
"""

import importlib
import importlib.metadata
import itertools
import json
import os
import statistics
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any, TextIO

import numpy as np
import torch

from benchmarks.photos import FOLDER, squares
from benchmarks.steps import OPERATIONS
from benchmarks.work import Epochs, Work
from ffcv_hydra.errors import describe_error

EPOCHS_FOR_MEMORY = 3
EPOCHS_FOR_COST = 9
CHECKED_CALLS = 32
WARM_UP = 0.2  # share of the time that is measured
SAMPLING_INTERVAL = 0.002  # seconds


def serve(contender: ModuleType, work: Work, say: Callable[[Any], None]) -> None:
    """Say what the batches are, and then, for each number of seconds on stdin, how many images came per second."""
    epochs = contender.batches(work)
    say(_describe(epochs))
    for line in sys.stdin:
        say({"images_per_second": _speed(epochs, float(line))})


def prepare(contender: ModuleType, work: Work, say: Callable[[Any], None]) -> None:
    """Make files, and kernels' caches."""
    next(iter(contender.batches(work)))
    say({})


def store(contender: ModuleType, work: Work, say: Callable[[Any], None]) -> None:
    """Bring the photographs to where they are read from, and say how long it took."""
    begin = time.perf_counter()
    contender.store(work)
    say({"seconds": time.perf_counter() - begin})


def operate(contender: ModuleType, work: Work, say: Callable[[Any], None]) -> None:
    """Say so, and then, for each operation and number of seconds on stdin, what it costs and what it makes.

    That is microseconds per image of this process's time, and shape and mean change of the pixels.
    """
    images, ready = squares(work.photos, work.size), {}
    say({})
    for line in sys.stdin:
        name, seconds = json.loads(line)
        try:
            if name not in ready:
                call = contender.transform(OPERATIONS[name], images)
                unit = getattr(contender, "UNIT", 1) if name != "normalize" else 1
                ready[name] = call, _changes(call, images, unit)
        except KeyError:
            say({"lacks": name})
            continue
        call, details = ready[name]
        say({"microseconds": 1e6 * _seconds_per_call(call, seconds) / len(images), **details})


def epochs(contender: ModuleType, work: Work, say: Callable[[Any], None]) -> None:
    """For each number of seconds on stdin say how fast so many are read; the first time from the constructor on."""
    made: list[Epochs] = []
    for line in sys.stdin:
        begin = time.perf_counter()
        made = made or [contender.batches(work)]
        images, _ = _consume(made[0], float(line))
        say({"images_per_second": images / (time.perf_counter() - begin)})


def first_batch(contender: ModuleType, work: Work, say: Callable[[Any], None]) -> None:
    """Say how long it takes from the constructor to the first batch; what is imported is there before."""
    begin = time.perf_counter()
    next(iter(contender.batches(work)))
    say({"seconds": time.perf_counter() - begin})


def peak_memory(contender: ModuleType, work: Work, say: Callable[[Any], None]) -> None:
    """Say by how many bytes anonymous memory grows at most, from before the constructor to the end of some epochs."""
    before = _anonymous_bytes()
    with _peak_of(_anonymous_bytes) as peaks:
        epochs = contender.batches(work)
        for _ in range(EPOCHS_FOR_MEMORY):
            for _ in epochs:
                pass
    say({"bytes": max(peaks) - before})


def places(contender: ModuleType, work: Work, say: Callable[[Any], None]) -> None:
    """Say what the first batch has besides images, as lists."""
    say({"places": [tensor.tolist() for tensor in next(iter(contender.batches(work)))[1:]]})


def cost_of_places(contender: ModuleType, work: Work, say: Callable[[Any], None]) -> None:
    """Say by how many percent longer this process works for an epoch with places in the images than for one without.

    That is the median of as many epochs of each, in turn.
    """
    spent: list[list[float]] = [[], []]
    loaders = contender.batches(work), contender.images(work)
    for _ in range(EPOCHS_FOR_COST + 1):
        for epochs, seconds in zip(loaders, spent, strict=True):
            begin = time.process_time()
            for _ in epochs:
                pass
            seconds.append(time.process_time() - begin)
    shares = [with_places / alone - 1 for with_places, alone in zip(*spent, strict=True)]
    say({"percent": 100 * statistics.median(shares[1:])})


def conversion(contender: ModuleType, work: Work, say: Callable[[Any], None]) -> None:
    """Say how many images are converted per second, and how many bytes the file has; the second of two conversions."""
    with tempfile.TemporaryDirectory(dir=FOLDER) as folder:
        for name in ("warm-up.beton", "measured.beton"):
            begin = time.perf_counter()
            contender.write(work, Path(folder) / name)
            seconds = time.perf_counter() - begin
        say({"images_per_second": work.count / seconds, "bytes": _num_bytes(Path(folder) / name)})


def training(contender: ModuleType, work: Work, say: Callable[[Any], None]) -> None:
    """For each line of arguments of `train` on stdin, say how fast a model is trained from the loader, and without."""
    from benchmarks.training import train  # the other tasks need no torchvision

    batches = itertools.chain.from_iterable(itertools.repeat(contender.batches(work)))
    next(batches)
    say({})
    for line in sys.stdin:
        say(train(**json.loads(line), batches=batches, work=work))


def gpu_checks(contender: ModuleType, work: Work, say: Callable[[Any], None]) -> None:
    """For each check named on stdin, say what is wrong; an empty text, and a note, if nothing is."""
    from benchmarks.gpu_check.checks import CHECKS

    for line in sys.stdin:
        try:
            note = CHECKS[line.strip()](contender.beton(work), work)
            say({"wrong": "", "note": note or "ok"})
        except Exception as error:
            traceback.print_exc()
            say({"wrong": describe_error(error)})


TASKS = {
    task.__name__: task
    for task in (
        serve,
        prepare,
        store,
        epochs,
        first_batch,
        peak_memory,
        conversion,
        training,
        gpu_checks,
        operate,
        places,
        cost_of_places,
    )  # fmt: skip
}


def _describe(epochs: Epochs) -> dict[str, Any]:
    """Shapes and statistics of the first epoch's batches, which also warms caches up."""
    statistics = [[_statistics(tensor) for tensor in _tensors(batch)] for batch in epochs]
    batch = next(iter(epochs))
    known = torch.uint8, torch.bool, torch.float32, torch.int64
    assert all(tensor.dtype in known for tensor in _tensors(batch)), "neither uint8 nor float32 nor int64"
    return {
        "shapes": [list(tensor.shape[1:]) for tensor in _tensors(batch)],
        "statistics": np.round(np.mean(statistics, axis=0), 1).ravel().tolist(),
        "stride": _tensors(batch)[0].stride(),
    }


def _tensors(batch: torch.Tensor | tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
    return (batch,) if isinstance(batch, torch.Tensor) else batch


def _statistics(batch: torch.Tensor) -> list[float]:
    """Mean, deviation, contrast of neighbouring columns, and of the channels if there are any, in levels."""
    levels = batch.float()
    channels = (levels.amax(1) - levels.amin(1)).mean().item() if batch.ndim == 4 else 0
    return [levels.mean().item(), levels.std().item(), levels.diff(dim=-1).abs().mean().item(), channels]


def _changes(call: Callable[[], Any], images: np.ndarray, unit: int) -> dict[str, Any]:
    made = [unit * np.stack([np.asarray(image, dtype=np.float32) for image in call()]) for _ in range(CHECKED_CALLS)]
    changes = [np.abs(made_of - images).mean().item() for made_of in made]
    return {"shapes": [list(made[0].shape[1:])], "statistics": [round(statistics.fmean(changes), 1)]}


def _seconds_per_call(call: Callable[[], Any], least_seconds: float) -> float:
    """This process's time, all threads together, which others on the machine disturb least."""
    calls, begin = 0, time.process_time()
    while calls == 0 or time.process_time() - begin < least_seconds:
        call()
        calls += 1
    return (time.process_time() - begin) / calls


def _speed(epochs: Epochs, least_seconds: float) -> float:
    """Images per second over whole epochs, after others that empty what was queued while it was not its turn."""
    _consume(epochs, least_seconds * WARM_UP)
    images, seconds = _consume(epochs, least_seconds)
    return images / seconds


def _consume(epochs: Epochs, least_seconds: float) -> tuple[int, float]:
    """Go through whole epochs, and give the number of images and the seconds."""
    images, begin = 0, time.perf_counter()
    while images == 0 or time.perf_counter() - begin < least_seconds:
        for batch in epochs:
            images += len(_tensors(batch)[0])
    return images, time.perf_counter() - begin


@contextmanager
def _peak_of(sample: Callable[[], int]) -> Iterator[list[int]]:
    """Values of `sample` while the block runs, taken by another thread."""
    values, ended = [sample()], threading.Event()

    def watch() -> None:
        while not ended.wait(SAMPLING_INTERVAL):
            values.append(sample())

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield values
    finally:
        ended.set()
        thread.join()


def _num_bytes(path: Path) -> int:
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files if file.is_file())


def _anonymous_bytes() -> int:
    status = Path("/proc/self/status").read_text()
    return int(status.split("RssAnon:")[1].split()[0]) * 1024


def _versions(packages: tuple[str, ...]) -> str:
    return ", ".join(f"{package} {importlib.metadata.version(package)}" for package in packages)


def _main(task: str, name: str, work: str, out: TextIO) -> None:
    def say(reply: Any) -> None:
        print(json.dumps(reply), file=out, flush=True)

    try:
        contender = importlib.import_module(f"benchmarks.contenders.{name}")
        say({"versions": _versions(contender.PACKAGES)})
    except ImportError as error:
        say({"not_installed": str(error)})
        return
    TASKS[task](contender, Work(**json.loads(work)), say)


if __name__ == "__main__":
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: Work(**json.loads(sys.argv[3])).workers])
    replies = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    _main(*sys.argv[1:4], out=replies)
