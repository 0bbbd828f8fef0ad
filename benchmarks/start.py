"""How long it takes to start: whole processes, and from the constructor to the first batch.

    python -m benchmarks.start [--before CHECKOUT] [--contenders processes] [--cases random_crop SimCLR]

Whole processes, with kernels on disk, are compared with those of another checkout of this repository. From the
constructor to the first batch, with what is imported there before: ours with kernels that an earlier process left on
disk, ours on the very first run, with an empty cache, and FFCV, which compiles anew in each process; what FFCV lacks
is compared with its random-resized crop and flip.
"""

import tempfile
from argparse import Namespace
from dataclasses import replace
from pathlib import Path

from benchmarks import contest, options, processes, report
from benchmarks.contest import Result
from benchmarks.steps import RECIPES
from benchmarks.work import RANDOM_CROP, SMALL, Work

CASES = ("ours", "ours_first_run", "stock_ffcv")
PROCESSES = "processes"
WORKS = {
    RANDOM_CROP: "random-resized crop 224 + flip",
    SMALL: "flip + translate + cutout of 32 × 32",
    **{recipe: f"{recipe}, next to FFCV's random-resized crop + flip" for recipe in RECIPES},
}


def main() -> None:
    defaults = {"photos": 2000, "repeats": 3, "before": "", "cases": list(WORKS)}
    chosen = options.parse(__doc__, (PROCESSES, *CASES), defaults)
    if PROCESSES in chosen.contenders:
        processes.compare(Path(chosen.before) if chosen.before else None, chosen.repeats, vars(chosen))
    if cases := [case for case in chosen.contenders if case != PROCESSES]:
        _first_batches(cases, chosen)


def _first_batches(contenders: list[str], chosen: Namespace) -> None:
    for case in chosen.cases:
        small = case == SMALL
        ours = Work(case, chosen.photos, min(512 if small else 256, chosen.photos), size=32 if small else 224)
        ffcvs = replace(ours, name=RANDOM_CROP) if case in RECIPES else ours
        name = "transforms.ours" if case in RECIPES else "ours"
        results = [Result(contender) for contender in contenders]
        for contender, work in ((name, ours), ("stock_ffcv", ffcvs)):
            contest.ask_once("prepare", "", contender, work, Result(contender))
        for _ in range(chosen.repeats):
            for result in results:
                if result.name == "stock_ffcv":
                    contest.ask_once("first_batch", "seconds", result.name, ffcvs, result)
                else:
                    _measure(name, result, ours)
        report.publish(
            f"start_{case}",
            f"Constructor to first batch: {WORKS[case]}",
            "s",
            results,
            reference="stock_ffcv",
            less_is_better=True,
            form="{:.2f}".format,
            settings=vars(chosen),
        )


def _measure(contender: str, result: Result, work: Work) -> None:
    """Ours, with the user's cache of kernels, or an empty one."""
    if result.name == "ours":
        contest.ask_once("first_batch", "seconds", contender, work, result)
        return
    with tempfile.TemporaryDirectory() as cache:
        contest.ask_once("first_batch", "seconds", contender, work, result, {"FFCV_HYDRA_CACHE": cache})


if __name__ == "__main__":
    main()
