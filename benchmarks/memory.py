"""Memory of a loader at batch size 256 from JPEGs of 500 pixels: peak anonymous memory less that before construction.

python -m benchmarks.memory
"""

from benchmarks import contest, options, report
from benchmarks.contest import Result
from benchmarks.jpeg_loading import BATCH_SIZE
from benchmarks.work import RANDOM_CROP, Work


def main() -> None:
    chosen = options.parse(__doc__, ("ours", "stock_ffcv"), {"photos": 2000, "repeats": 3})
    work = Work(RANDOM_CROP, chosen.photos, min(BATCH_SIZE, chosen.photos))
    results = [Result(name) for name in chosen.contenders]
    for name in chosen.contenders:
        contest.ask_once("prepare", "", name, work, Result(name))
    for _ in range(chosen.repeats):
        for result in results:
            contest.ask_once("peak_memory", "bytes", result.name, work, result)
    for result in results:
        result.values = [value / 1e6 for value in result.values]
    title = "Peak memory of the loader at batch size 256: random-resized crop 224 + flip, two workers"
    report.publish("memory", title, "MB", results, reference="stock_ffcv", less_is_better=True, settings=vars(chosen))


if __name__ == "__main__":
    main()
