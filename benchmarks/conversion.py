"""Conversion of a folder of JPEGs with two workers, next to FFCV's writer; and what random access costs in bytes.

python -m benchmarks.conversion
"""

from benchmarks import options, report
from benchmarks.contest import Child, Result, say
from benchmarks.work import RANDOM_CROP, Work

CONTENDERS = ("ours", "ours_without_random_access", "stock_ffcv")


def main() -> None:
    chosen = options.parse(__doc__, CONTENDERS, {"photos": 2000, "repeats": 3})
    work = Work(RANDOM_CROP, chosen.photos, 1)
    speeds = [Result(name) for name in chosen.contenders]
    sizes = [Result(name) for name in chosen.contenders]
    for _ in range(chosen.repeats):
        for speed, size in zip(speeds, sizes, strict=True):
            with Child("conversion", speed.name, work) as child:
                reply = child.ask() if child.start() else None
                speed.versions, speed.note = child.result.versions, child.result.note
                size.versions, size.note = child.result.versions, child.result.note
            if reply is None:
                say(f"{speed.name}: {speed.note}")
                continue
            speed.values.append(reply["images_per_second"])
            size.values.append(reply["bytes"] / 1e6)
            say(f"{speed.name}: {speed.values[-1]:,.0f} images/s, {size.values[-1]:,.1f} MB")
    report.publish(
        "conversion",
        "Conversion of JPEGs of 500 px, two workers",
        "images/s",
        speeds,
        reference="stock_ffcv",
        settings=vars(chosen),
    )
    report.publish(
        "file_size",
        "Size of the beton",
        "MB",
        sizes,
        reference="ours_without_random_access",
        less_is_better=True,
        form="{:,.2f}".format,
        ratio_form="{:.3f}".format,
        settings=vars(chosen),
    )


if __name__ == "__main__":
    main()
