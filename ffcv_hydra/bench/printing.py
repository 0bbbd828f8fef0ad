"""How a terminal shows a measurement, with what may be tried."""

from collections.abc import Iterator, Mapping

from rich import box
from rich.console import Console
from rich.table import Table

from ffcv_hydra.bench.report import CORE, DISK, NO_OPERATIONS, Report
from ffcv_hydra.terminal import TerminalConsole

_WORTH_A_WORD = 0.1  # of a thread's time
_MICRO = 1e6


def print_report(report: Report, console: Console | None = None) -> None:
    """Print what the threads did with their time, all of it, and the verdicts."""
    console, whole = console or TerminalConsole(), report.whole
    console.print(
        f"{report.title}: {whole.samples_per_second:,.0f} samples/s "
        f"({whole.samples:,} samples in {whole.seconds:.1f} s; "
        f"{_plural(report.num_workers, 'thread')}, {_plural(report.num_cores, 'core')})",
        soft_wrap=True,
    )
    table = Table("the loader's threads", "µs per sample", "share", box=box.SIMPLE_HEAD)
    table.columns[1].justify = table.columns[2].justify = "right"
    _add_parts(table, whole.threads, whole.samples)
    table.add_section()
    table.add_row("the thread that takes the batches")
    _add_parts(table, whole.consumer, whole.samples)
    console.print(table)
    for verdict in verdicts(report):
        console.print(verdict, soft_wrap=True)


def _add_parts(table: Table, parts: Mapping[str, float], num_samples: int) -> None:
    total = sum(parts.values())
    for name, seconds in {**parts, "all": total}.items():
        table.add_row(name, f"{seconds / num_samples * _MICRO:,.1f}", f"{seconds / total:.1%}")


def verdicts(report: Report) -> Iterator[str]:
    """What a trainer is limited by, what costs most, and what may be tried."""
    whole = report.whole
    milliseconds = 1000 * report.batch_size / whole.samples_per_second
    yield (
        f"The loader delivers {whole.samples_per_second:,.0f} samples/s: a training step that takes less than "
        f"{milliseconds:,.3g} ms per batch of {report.batch_size} waits for it."
    )
    yield _about_the_cost(report)
    share = {part: seconds / (report.num_workers * whole.seconds) for part, seconds in whole.threads.items()}
    if share[CORE] > _WORTH_A_WORD:
        yield (
            f"Threads that could have worked waited for {share[CORE]:.0%} of the time: if other programs were at work, "
            "measure again without them."
        )
    if report.shrinkable > _WORTH_A_WORD:
        yield (
            f"In {report.shrinkable:.0%} of the samples a JPEG's part is at least twice as high and as wide as what "
            "is made of it: try scaled_decoding: true on the decoder, for pixels that are 2 levels off on average."
        )
    if share[DISK] > _WORTH_A_WORD:
        yield _about_the_disk(report)
    modules = sum(seconds for part, seconds in whole.consumer.items() if part not in NO_OPERATIONS) / whole.seconds
    if modules > _WORTH_A_WORD:
        yield (
            f"{modules:.0%} of the time goes to random torch modules, which run in the trainer's own thread: "
            "try an operation of ffcv_hydra.operations in their place."
        )


def _about_the_cost(report: Report) -> str:
    parts = {**report.whole.threads, **report.whole.consumer}
    most = max(set(parts) - set(NO_OPERATIONS), key=lambda part: (report.estimate(without=part), parts[part]))
    more = "more core and thread"
    if report.num_workers < report.num_cores:
        more = f"more thread ({report.num_cores} cores may be used: try loader.num_workers={report.num_cores})"
    return (
        f"{most} costs most: without it about {report.estimate(without=most):,.0f} samples/s would come, and with one "
        f"{more} about {report.estimate(one_more=True):,.0f}. Both are worked out from the times above, as if all the "
        "rest stayed as it is."
    )


def _about_the_disk(report: Report) -> str:
    is_mapped = report.facts["settings"]["loader.os_cache"]
    fits = report.facts["data"]["bytes"] < report.facts["machine"]["memory_bytes"] / 2
    if not is_mapped and fits:
        return "The threads wait for the disk, and the file fits into memory: try loader.os_cache=true."
    if not is_mapped or fits:
        return (
            "The threads wait for the disk: a second run reads from the page cache if the file fits into it; "
            "else try more threads, or ordering=quasi_random."
        )
    return (
        "The threads wait for the disk, and the file is too large for the page cache: try loader.os_cache=false "
        "with ordering=quasi_random."
    )


def _plural(count: int, noun: str) -> str:
    return f"{count} {noun}{'s'[: count != 1]}"
