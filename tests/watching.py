"""Watches children that try many inputs, of which one may crash or hang them."""

import subprocess
import threading
from collections.abc import Sequence

HANG_SECONDS = 60.0
MOST_DEATHS = 5


def watch_child(command: Sequence[str], first_seed: int, count: int, *options: str) -> list[str]:
    """Run `command FIRST_SEED COUNT OPTIONS`, from the next seed on wherever it dies; all that it reports.

    It prints each seed before it tries it, and what goes wrong on a line that is no number. A death is reported, too.
    """
    report: list[str] = []
    seed, stop = first_seed, first_seed + count
    deaths = 0
    while seed < stop and deaths < MOST_DEATHS:
        last, lines, output = watch_one([*command, str(seed), str(stop - seed), *options])
        report += lines
        if output is None and last == stop - 1:
            return report
        deaths += 1
        report.append(f"{last}: {output or 'ended early'}")
        if last is None:
            break  # before the first seed
        seed = last + 1
    return report


def watch_one(arguments: list[str]) -> tuple[int | None, list[str], str | None]:
    """The last seed that a child began, what it reported, and how it died unless it ended well."""
    last, report, hung = None, [], threading.Event()
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as child:

        def end_it() -> None:
            hung.set()
            child.kill()

        errors: list[str] = []
        drain = threading.Thread(target=lambda: errors.append(child.stderr.read()))
        drain.start()
        timer = threading.Timer(HANG_SECONDS, end_it)
        timer.start()
        for line in child.stdout:
            timer.cancel()
            timer = threading.Timer(HANG_SECONDS, end_it)
            timer.start()
            if line.strip().isdecimal():
                last = int(line)
            else:
                report.append(line.strip())
        child.wait()
        timer.cancel()
        drain.join()
    if hung.is_set():
        return last, report, f"hung for {HANG_SECONDS:.0f} s"
    return last, report, None if child.returncode == 0 else f"died with status {child.returncode}: {errors[0][-2000:]}"
