"""How long it takes to start: whole processes, and from the constructor to the first batch.

    python -m benchmarks.start [--before CHECKOUT] [--contenders processes]

Whole processes, with kernels on disk, are compared with those of another checkout of this repository. From the
constructor to the first batch, with what is imported there before: ours with kernels that an earlier process left on
disk, ours on the very first run, with an empty cache, and FFCV, which compiles anew in each process.
"""

import tempfile
from argparse import Namespace
from pathlib import Path

from benchmarks import contest, options, processes, report
from benchmarks.contest import Result
from benchmarks.work import RANDOM_CROP, SMALL, Work

CASES = ("ours", "ours_first_run", "stock_ffcv")
PROCESSES = "processes"
WORKS = {
    RANDOM_CROP: "random-resized crop 224 + flip",
    SMALL: "flip + translate + cutout of 32 × 32",
}


def main() -> None:
    chosen = options.parse(__doc__, (PROCESSES, *CASES), {"photos": 2000, "repeats": 3, "before": ""})
    if PROCESSES in chosen.contenders:
        processes.compare(Path(chosen.before) if chosen.before else None, chosen.repeats, vars(chosen))
    if cases := [case for case in chosen.contenders if case != PROCESSES]:
        _first_batches(cases, chosen)


def _first_batches(cases: list[str], chosen: Namespace) -> None:
    for name, what in WORKS.items():
        small = name == SMALL
        work = Work(name, chosen.photos, min(512 if small else 256, chosen.photos), size=32 if small else 224)
        results = [Result(case) for case in cases]
        for contender in ("ours", "stock_ffcv"):
            contest.ask_once("prepare", "", contender, work, Result(contender))
        for _ in range(chosen.repeats):
            for result in results:
                _measure(result, work)
        report.publish(
            f"start_{name}",
            f"Constructor to first batch: {what}",
            "s",
            results,
            reference="stock_ffcv",
            less_is_better=True,
            form="{:.2f}".format,
            settings=vars(chosen),
        )


def _measure(result: Result, work: Work) -> None:
    if result.name != "ours_first_run":
        contest.ask_once("first_batch", "seconds", result.name, work, result)
        return
    with tempfile.TemporaryDirectory() as cache:
        contest.ask_once("first_batch", "seconds", "ours", work, result, {"FFCV_HYDRA_CACHE": cache})


if __name__ == "__main__":
    main()
