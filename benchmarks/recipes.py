"""Whole recipes, from JPEGs of 500 pixels to batches of bytes, two workers, next to other libraries in a DataLoader.

    python -m benchmarks.recipes --cases SimCLR DINO

`benchmarks/steps.py` says what they consist of. Images are photographs, however many views are made of one.
"""

from dataclasses import replace

from benchmarks import contest, options, report
from benchmarks.contest import Result
from benchmarks.jpeg_loading import BATCH_SIZE
from benchmarks.steps import RECIPES
from benchmarks.work import Work

CONTENDERS = (
    "ours",
    "albumentations",
    "albumentations_simplejpeg",
    "torchvision",
    "torchvision_torchcodec",
    "kornia",
    "ffcv",
)
FFCV_HAS = "ColorJitter"


def main() -> None:
    defaults = {"photos": 2000, "seconds": 5.0, "repeats": 5, "cases": list(RECIPES)}
    chosen = options.parse(__doc__, CONTENDERS, defaults)
    batch_size = min(BATCH_SIZE, max(1, chosen.photos // 4))
    grid = {}
    for row in chosen.cases:
        contest.say(f"{row}:")
        names = [f"transforms.{name}" for name in chosen.contenders if name != "ffcv" or row == FFCV_HAS]
        results = contest.speeds(names, Work(row, chosen.photos, batch_size), chosen.seconds, chosen.repeats)
        contest.mark_differences(results)
        grid[row] = [_named(result) for result in results]
    report.publish_grid(
        "recipes",
        "Recipes from JPEGs of 500 px, two workers",
        "photographs/s",
        grid,
        settings=vars(chosen),
    )


def _named(result: Result) -> Result:
    return replace(result, name=result.name.partition(".")[2])


if __name__ == "__main__":
    main()
