"""Random-resized crops of 224 x 224 with a flip, from one beton and from sixteen that are read as one.

python -m benchmarks.shards
"""

from benchmarks.jpeg_loading import compare
from benchmarks.work import RANDOM_CROP

if __name__ == "__main__":
    compare(
        __doc__,
        RANDOM_CROP,
        "shards",
        "Random-resized crop 224 + flip from one file and from sixteen, two workers",
        contenders=("ours", "ours_from_shards"),
        reference="ours",
    )
