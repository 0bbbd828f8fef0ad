"""Central crops as in `center_crop`, from a beton that stock FFCV's writer wrote.

python -m benchmarks.ffcv_file_center_crop
"""

from benchmarks.jpeg_loading import compare
from benchmarks.work import CENTER_CROP

if __name__ == "__main__":
    compare(
        __doc__,
        CENTER_CROP,
        "ffcv_file_center_crop",
        "Center crop 224 from stock FFCV's beton, two workers",
        ("ours_from_ffcv_file", "stock_ffcv"),
    )
