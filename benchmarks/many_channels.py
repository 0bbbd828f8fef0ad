"""Random-resized crops of 224 x 224 with a flip, from images of 13 channels of float32, 512 x 512 pixels.

python -m benchmarks.many_channels
"""

from benchmarks.jpeg_loading import compare
from benchmarks.work import RANDOM_CROP

if __name__ == "__main__":
    compare(
        __doc__,
        RANDOM_CROP,
        "many_channels",
        "Random-resized crop 224 + flip from 13 channels of float32, 512 px, two workers",
        contenders=("arrays_ours", "arrays_ours_tiles", "arrays_ours_packed", "arrays_numpy", "arrays_zarr"),
        reference="arrays_numpy",
        photos=64,
    )
