"""Central crops of 224 x 224 (ratio 224/256), from JPEGs of 500 pixels, next to other loaders.

python -m benchmarks.center_crop
"""

from benchmarks.jpeg_loading import compare
from benchmarks.work import CENTER_CROP

if __name__ == "__main__":
    compare(__doc__, CENTER_CROP, "center_crop", "Center crop 224 from JPEGs of 500 px, two workers")
