"""Raw images of 32 x 32 pixels, flipped, shifted and with a hole, in batches of 512, next to FFCV.

python -m benchmarks.small_images
"""

from benchmarks import contest, options, report
from benchmarks.work import SMALL, Work

BATCH_SIZE = 512


def main() -> None:
    chosen = options.parse(__doc__, ("ours", "stock_ffcv"), {"photos": 50_000, "seconds": 10.0, "repeats": 5})
    work = Work(SMALL, chosen.photos, min(BATCH_SIZE, chosen.photos), size=32)
    results = contest.speeds(chosen.contenders, work, chosen.seconds, chosen.repeats)
    title = "Flip + translate + cutout of raw images of 32 × 32, two workers"
    report.publish("small_images", title, "images/s", results, reference="stock_ffcv", settings=vars(chosen))


if __name__ == "__main__":
    main()
