"""Each operation alone: one thread, images of 224 x 224 x 3 bytes in memory, next to four libraries and to a copy.

    python -m benchmarks.operations --cases brightness "blur 23"

Every image goes through, and each has its own draw. The contenders take turns of processor time, so that others on the
machine change little. Four photographs and what is made of them take 1.2 MB. Ours are one call from Python, which is a
microsecond per image and far less in the loader, whose chunks are larger and go through all operations in one call.
"""

import json
from contextlib import ExitStack

from benchmarks import contest, options, report
from benchmarks.contest import Child, Result
from benchmarks.steps import OPERATIONS
from benchmarks.work import Work

CONTENDERS = ("ours", "opencv", "albumentations", "torchvision", "kornia", "copy")
ONE_THREAD = {"OMP_NUM_THREADS": "1"}
IMAGES = 4


def main() -> None:
    defaults = {"photos": IMAGES, "seconds": 0.2, "repeats": 7, "cases": list(OPERATIONS)}
    chosen = options.parse(__doc__, CONTENDERS, defaults)
    work = Work("operations", chosen.photos, chosen.photos, workers=1)
    with ExitStack() as stack:
        names = [f"transforms.{name}" for name in chosen.contenders]
        _, children = contest.started(stack, "operate", names, work, ONE_THREAD)
        grid = {row: _turns(children, row, chosen.seconds, chosen.repeats) for row in chosen.cases}
    report.publish_grid(
        "operations",
        "Each operation alone, one thread, 224 × 224 × 3 bytes",
        "µs per image",
        grid,
        besides=("copy",),
        less_is_better=True,
        form="{:,.1f}".format,
        settings=vars(chosen),
    )


def _turns(children: list[Child], operation: str, seconds: float, repeats: int) -> list[Result]:
    """What those that have the operation need for it."""
    results = {child: Result(child.result.name.partition(".")[2], versions=child.result.versions) for child in children}
    for _ in range(repeats):
        for child, result in results.items():
            reply = child.ask(json.dumps([operation, seconds]))
            if reply is None:
                result.note = child.result.note
            elif "lacks" not in reply:
                result.values.append(reply.pop("microseconds"))
                result.details = reply
    known = [result for result in results.values() if result.values or result.note]
    contest.mark_differences([result for result in known if result.name != "copy"])
    contest.say(f"{operation}: {', '.join(f'{one.name} {one.median:,.1f}' for one in known if one.median)}")
    return known


if __name__ == "__main__":
    main()
