"""What a measurement says, and how a terminal shows it."""

from collections.abc import Mapping
from dataclasses import dataclass

from rich import box
from rich.console import Console
from rich.table import Table

from ffcv_hydra.terminal import TerminalConsole, print_whole

_WORTH_A_WORD = 0.1  # of the threads' time
_MICRO = 1e6


@dataclass(frozen=True)
class Report:
    """What was measured.

    Attributes:
        title: dataset and stage.
        num_samples: delivered in the time.
        seconds: how long, by the clock.
        batch_size: samples per batch.
        num_workers: threads of the loader.
        num_cores: that this process may use.
        os_cache: whether the file is mapped.
        file_bytes: size of the beton.
        memory_bytes: of this machine.
        parts: seconds of the operations, summed over threads, by name in the order of the pipelines.
        consumer_parts: of those that run in the thread that takes the batches.
        disk: seconds that threads waited for the disk.
        shrinkable: the share of samples that `scaled_decoding` would decode at a fraction of their size.
    """

    title: str
    num_samples: int
    seconds: float
    batch_size: int
    num_workers: int
    num_cores: int
    os_cache: bool
    file_bytes: int
    memory_bytes: int
    parts: Mapping[str, float]
    consumer_parts: Mapping[str, float]
    disk: float
    shrinkable: float = 0.0

    @property
    def samples_per_second(self) -> float:
        """That the loader delivers."""
        return self.num_samples / self.seconds

    @property
    def rest(self) -> float:
        """Seconds of the threads that no operation took."""
        return max(0.0, self.num_workers * self.seconds - sum(self.parts.values()) - self.disk)

    def share(self, seconds: float) -> float:
        """Of the threads' time."""
        return seconds / (self.num_workers * self.seconds)

    def verdicts(self) -> list[str]:
        """What the trainer is limited by, and what may be tried."""
        milliseconds = 1000 * self.batch_size / self.samples_per_second
        found = [
            f"The loader delivers {self.samples_per_second:,.0f} samples/s: a training step that takes less than "
            f"{milliseconds:,.3g} ms per batch of {self.batch_size} waits for it."
        ]
        if self.num_workers < self.num_cores:
            found.append(f"{self.num_cores} cores may be used: try loader.num_workers={self.num_cores}.")
        if self.shrinkable > _WORTH_A_WORD:
            found.append(
                f"In {self.shrinkable:.0%} of the samples a JPEG's part is at least twice as high and as wide as what "
                "is made of it: try scaled_decoding: true on the decoder, for pixels that are 2 levels off on average."
            )
        if self.share(self.disk) > _WORTH_A_WORD:
            found.append(self._about_the_disk())
        consumer = sum(self.consumer_parts.values()) / self.seconds
        if consumer > _WORTH_A_WORD:
            found.append(
                f"{consumer:.0%} of the time goes to random torch modules, which run in the trainer's own thread: "
                "try an operation of ffcv_hydra.operations in their place."
            )
        return found

    def _about_the_disk(self) -> str:
        if not self.os_cache and self.file_bytes < self.memory_bytes / 2:
            return "The threads wait for the disk, and the file fits into memory: try loader.os_cache=true."
        if not self.os_cache or self.file_bytes < self.memory_bytes / 2:
            return (
                "The threads wait for the disk: a second run reads from the page cache if the file fits into it; "
                "else try more threads, or ordering=quasi_random."
            )
        return (
            "The threads wait for the disk, and the file is too large for the page cache: try loader.os_cache=false "
            "with ordering=quasi_random."
        )


def print_report(report: Report, console: Console | None = None) -> None:
    """Print a table of the parts, and the verdicts."""
    console = console or TerminalConsole()
    console.print(
        f"{report.title}: {report.samples_per_second:,.0f} samples/s "
        f"({report.num_samples:,} samples in {report.seconds:.1f} s; "
        f"{_plural(report.num_workers, 'thread')}, {_plural(report.num_cores, 'core')})",
        soft_wrap=True,
    )
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("threads' time", overflow="fold")
    table.add_column("µs per sample", justify="right")
    table.add_column("share", justify="right")
    rest = "the loader itself, and threads without work or a free core"
    for name, seconds in {**report.parts, "waiting for the disk": report.disk, rest: report.rest}.items():
        table.add_row(name, f"{seconds / report.num_samples * _MICRO:,.4g}", f"{report.share(seconds):.1%}")
    for name, seconds in report.consumer_parts.items():
        table.add_row(f"{name}, in the consumer", f"{seconds / report.num_samples * _MICRO:,.4g}", "")
    print_whole(console, table)
    for verdict in report.verdicts():
        console.print(verdict, soft_wrap=True)


def _plural(count: int, noun: str) -> str:
    return f"{count} {noun}{'s'[: count != 1]}"
