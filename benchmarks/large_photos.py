"""Random-resized crops of 224 x 224 with a flip, from photographs as cameras make them, with exact pixels and without.

python -m benchmarks.large_photos
"""

from benchmarks.jpeg_loading import compare
from benchmarks.work import RANDOM_CROP

if __name__ == "__main__":
    compare(
        __doc__,
        RANDOM_CROP,
        "large_photos",
        "Random-resized crop 224 + flip from JPEGs of 2,000 to 5,000 px, two workers",
        contenders=("ours", "ours_scaled", "stock_ffcv", "data_loader_opencv"),
        photos=256,
        large=True,
    )
