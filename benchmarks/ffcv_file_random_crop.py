"""Random-resized crops as in `random_crop`, from a beton that stock FFCV's writer wrote.

python -m benchmarks.ffcv_file_random_crop
"""

from benchmarks.jpeg_loading import compare
from benchmarks.work import RANDOM_CROP

if __name__ == "__main__":
    compare(
        __doc__,
        RANDOM_CROP,
        "ffcv_file_random_crop",
        "Random-resized crop 224 + flip from stock FFCV's beton, two workers",
        ("ours_from_ffcv_file", "stock_ffcv"),
    )
