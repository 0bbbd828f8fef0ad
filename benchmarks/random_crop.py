"""Random-resized crops of 224 x 224 with a flip, from JPEGs of 500 pixels, next to other loaders.

python -m benchmarks.random_crop
"""

from benchmarks.jpeg_loading import compare
from benchmarks.work import RANDOM_CROP

if __name__ == "__main__":
    compare(__doc__, RANDOM_CROP, "random_crop", "Random-resized crop 224 + flip from JPEGs of 500 px, two workers")
