"""What the comparisons of JPEG loaders have in common."""

from benchmarks import contest, options, report
from benchmarks.work import Work

BATCH_SIZE = 256
CONTENDERS = (
    "ours",
    "stock_ffcv",
    "dali",
    "data_loader_opencv",
    "data_loader_torchvision",
    "lit_data",
    "web_dataset",
    "mosaic_streaming",
    "spdl_pipeline",
    "grain_dataset",
)


def compare(
    doc: str | None,
    work_name: str,
    table: str,
    title: str,
    contenders: tuple[str, ...] = CONTENDERS,
    reference: str = "stock_ffcv",
    photos: int = 2000,
    large: bool = False,
) -> None:
    """Measure, and publish the table, in which `reference` is 1."""
    chosen = options.parse(doc, contenders, {"photos": photos, "seconds": 10.0, "repeats": 5})
    work = Work(work_name, chosen.photos, min(BATCH_SIZE, max(1, chosen.photos // 4)), large=large)
    results = contest.speeds(chosen.contenders, work, chosen.seconds, chosen.repeats)
    report.publish(table, title, "images/s", results, reference=reference, settings=vars(chosen))
