"""Photographs with boxes: a letter box, a flip and colour jitter, from JPEGs of 500 pixels, two workers for everyone.

    python -m benchmarks.detection

Where nothing is random all must give the same boxes, which is looked at first. At last, what the boxes cost: the same
loader of this project with and without them, in turn, by the process's time.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from benchmarks import contest, options, report
from benchmarks.boxes import LETTER_BOX, STILL
from benchmarks.contest import Child, Result
from benchmarks.jpeg_loading import BATCH_SIZE
from benchmarks.work import Work

CONTENDERS = ("ours", "albumentations", "albumentations_simplejpeg", "torchvision", "torchvision_torchcodec")
SIZE = 512  # of the letter box, in pixels
EQUAL_WITHIN = 0.01  # pixels, by which corners may differ


def main() -> None:
    chosen = options.parse(__doc__, CONTENDERS, {"photos": 2000, "seconds": 5.0, "repeats": 5})
    work = Work(LETTER_BOX, chosen.photos, min(BATCH_SIZE, max(1, chosen.photos // 4)), SIZE)
    names = [f"detection.{name}" for name in chosen.contenders]
    compare_boxes(names, replace(work, name=STILL))
    results = contest.speeds(names, work, chosen.seconds, chosen.repeats)
    contest.mark_differences(results)
    row = [replace(result, name=result.name.partition(".")[2]) for result in results]
    title = f"Letter box of {SIZE} px, flip and ColorJitter, with boxes, from JPEGs of 500 px, two workers"
    report.publish_grid("detection", title, "photographs/s", {"letter box": row}, settings=vars(chosen))
    cost = Result("ours")
    for _ in range(chosen.repeats):
        contest.ask_once("cost_of_places", "percent", "detection.ours", work, cost)
    if cost.median is not None:
        contest.say(f"boxes and labels cost {cost.median:+.1f} % of the time, from {cost.values} in turn")


def compare_boxes(names: list[str], work: Work) -> None:
    """Raise `SystemExit` if some contenders have other boxes on the first batch, in which nothing is random."""
    places: dict[str, list[Any]] = {}
    for name in names:
        with Child("places", name, work) as child:
            reply = child.ask() if child.start() else None
            if reply is not None:
                places[name] = reply["places"]
    if wrong := different(places):
        raise SystemExit(f"{', '.join(wrong)}: other boxes than {next(iter(places))}")
    contest.say(f"the same boxes without randomness: {', '.join(places)}")


def different(places: Mapping[str, Sequence[Any]]) -> list[str]:
    """The contenders whose places, arrays or lists of them, are not those of the first one."""
    first, *others = places
    return [
        name
        for name in others
        for pairs in [list(zip(places[first], places[name], strict=True))]
        if not all(np.shape(a) == np.shape(b) and np.allclose(a, b, rtol=0, atol=EQUAL_WITHIN) for a, b in pairs)
    ]


if __name__ == "__main__":
    main()
