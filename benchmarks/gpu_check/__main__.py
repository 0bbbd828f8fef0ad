"""Is it right, and fast enough, on this GPU? One table, and `gpu_check.json`; see `benchmarks/gpu_check.sh`.

Each part has its time. What a part has not done by then is reported, and the next one begins. The status is 1 if
anything is wrong, or was not done. `--device cpu`, with small numbers, tries it out where there is no GPU.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table
from rich.text import Text

from benchmarks import report
from benchmarks.contest import Child, say
from benchmarks.gpu_check import data
from benchmarks.gpu_check.checks import CHECKS
from benchmarks.work import RANDOM_CROP, SMALL, Work
from ffcv_hydra.cores import usable_cores

OURS, TORCHVISION = "ours", "data_loader_torchvision"
OUT_OF = {"checks": 100, "training": 230, "small": 75}  # seconds; 8 minutes are left with what comes before
BATCHES_CHECKED = 8


@dataclass(frozen=True)
class Row:
    """What was found.

    Attributes:
        part, what: of what.
        from_loader, resident: images per second, if that was measured.
        wrong: what is not as it has to be.
        note: what else is to be said.
    """

    part: str
    what: str
    from_loader: float | None = None
    resident: float | None = None
    wrong: str = ""
    note: str = ""

    @property
    def lost(self) -> float | None:
        """The share of time lost to data."""
        return None if not self.from_loader or not self.resident else 1 - self.from_loader / self.resident


def main(arguments: Sequence[str] | None = None) -> int:
    """Run all parts, print the table and save it; the exit status."""
    chosen = _options(arguments)
    if chosen.device != "cpu" and not torch.cuda.is_available():
        print("no GPU here that torch can use: nothing was checked")
        return 1
    small = Work(SMALL, chosen.small, chosen.small_batch_size, 32, chosen.workers, device=chosen.device)
    photos = Work(
        RANDOM_CROP, chosen.photos, chosen.batch_size, chosen.size, chosen.workers, chosen.copies, chosen.device
    )
    of_arrays = [name for name in chosen.contenders if name != TORCHVISION]  # which reads JPEGs
    parts: dict[str, Callable[[float], Iterator[Row]]] = {
        "checks": lambda seconds: _checks(chosen, seconds),
        "training": lambda seconds: _training(chosen, "training", photos, chosen.models, chosen.contenders, seconds),
        "small": lambda seconds: _training(chosen, "small", small, chosen.small_models, of_arrays, seconds),
    }
    begin = time.monotonic()
    data.make(Path(), {BATCHES_CHECKED * chosen.checked_batch_size, chosen.photos}, chosen.small)
    rows, taken = [], {"data": time.monotonic() - begin}
    for name, part in parts.items():
        begin = time.monotonic()
        for row in part(getattr(chosen, f"{name}_seconds")):
            say(f"{row.part}, {row.what}: {row.wrong or row.note or 'done'}")
            rows.append(row)
            _save(chosen, rows, taken)  # after each one: whoever ends this finds what was done
        taken[name] = time.monotonic() - begin
    _save(chosen, rows, taken)
    console = Console(width=None if sys.stdout.isatty() else report.WIDTH)
    console.print(_table(rows))
    console.print(", ".join(f"{key} {value}" for key, value in _machine(chosen).items()), style="dim", highlight=False)
    return int(any(row.wrong for row in rows))


def _checks(chosen: argparse.Namespace, seconds: float) -> Iterator[Row]:
    size, count = chosen.checked_batch_size, BATCHES_CHECKED * chosen.checked_batch_size
    work = Work(RANDOM_CROP, count, size, chosen.size, chosen.workers, device=chosen.device)
    with Child("gpu_checks", OURS, work, seconds=seconds) as child:
        child.start()
        for name, check in CHECKS.items():
            reply = None if child.result.note else child.ask(name)
            wrong = child.result.note if reply is None else reply["wrong"]
            yield Row("checks", str(check.__doc__), wrong=wrong, note="" if reply is None else reply.get("note", ""))


def _training(
    chosen: argparse.Namespace, part: str, work: Work, models: Sequence[str], names: Sequence[str], seconds: float
) -> Iterator[Row]:
    """Each model, not compiled and compiled, from each loader in turn."""
    end = time.monotonic() + seconds
    with ExitStack() as stack:
        children = []
        for name in names:
            child = stack.enter_context(Child("training", name, work, seconds=max(0.0, end - time.monotonic())))
            children.append(child)
            if child.start():
                child.ask()  # one after another: what it makes first must not disturb the others
        for compiled in [how == "on" for how in chosen.compile]:
            for model in models:
                question = {"model": model, "compiled": compiled, "seconds": chosen.seconds}
                for child in children:
                    reply = None if child.result.note else child.ask(json.dumps(question))
                    what = f"{model}{', compiled' * compiled}: {child.result.name.replace('_', ' ')}"
                    yield _row(chosen, part, what, child, reply)


def _row(chosen: argparse.Namespace, part: str, what: str, child: Child, reply: dict[str, Any] | None) -> Row:
    note, is_ours = child.result.note, child.result.name == OURS
    if reply is None:
        return Row(part, what, wrong=note if is_ours else "", note=note)
    row = Row(part, what, reply["from_loader"], reply["resident"], note=child.result.versions)
    if part == "small" and is_ours and row.lost is not None and row.lost > chosen.most_lost:
        return replace(row, wrong=f"it waits for data: at most {chosen.most_lost:.0%} may be lost")
    return row


def _table(rows: Sequence[Row]) -> Table:
    table = Table(title="ffcv_hydra on this device")
    for header in ("", "", "images/s", "of a resident batch", "lost to data", ""):
        table.add_column(header, justify="right" if header else "left", overflow="fold")
    before = ""
    for row in rows:
        numbers = [f"{value:,.0f}" if value else "" for value in (row.from_loader, row.resident)]
        lost = "" if row.lost is None else f"{row.lost:.1%}"
        result = Text(f"WRONG: {row.wrong}", style="bold red") if row.wrong else Text(row.note)
        table.add_row(row.part if row.part != before else "", row.what, *numbers, lost, result)
        before = row.part
    return table


def _save(chosen: argparse.Namespace, rows: Sequence[Row], taken: dict[str, float]) -> None:
    record = {
        "machine": _machine(chosen),
        "settings": {name: str(value) if isinstance(value, Path) else value for name, value in vars(chosen).items()},
        "seconds": taken,
        "rows": [asdict(row) | {"lost": row.lost} for row in rows],
    }
    chosen.out.mkdir(parents=True, exist_ok=True)
    (chosen.out / "gpu_check.json").write_text(json.dumps(record, indent=1) + "\n")


def _machine(chosen: argparse.Namespace) -> dict[str, Any]:
    if chosen.device == "cpu":
        return report.machine()
    return {"gpu": torch.cuda.get_device_name(chosen.device), "cuda": torch.version.cuda, **report.machine()}


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--device", default="cuda:0", help="cuda:N, or cpu")
    parser.add_argument("--out", type=Path, default=report.RESULTS, help="folder for gpu_check.json")
    parser.add_argument("--workers", type=int, default=usable_cores(), help="threads, or processes, of a loader")
    parser.add_argument("--models", nargs="+", default=["resnet18", "resnet50"], help="what is trained on photographs")
    parser.add_argument("--small-models", nargs="+", default=["small_resnet"], help="on raw images of 32 x 32")
    peers = [OURS, TORCHVISION, "stock_ffcv"]
    parser.add_argument("--contenders", nargs="+", default=peers, help="from what")
    parser.add_argument("--compile", nargs="+", choices=("off", "on"), default=["off", "on"], help="torch.compile")
    parser.add_argument("--seconds", type=float, default=1.5, help="of one measurement")
    numbers = {"photos": 1000, "copies": 20, "batch_size": 256, "size": 224, "checked_batch_size": 32}
    for name, number in {**numbers, "small": 50_000, "small_batch_size": 512}.items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=int, default=number, help="of the data")
    for name, seconds in OUT_OF.items():
        parser.add_argument(f"--{name}-seconds", type=float, default=seconds, help="after which that part ends")
    parser.add_argument("--most-lost", type=float, default=0.05, help="share of time that small images may cost")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
