"""Crops of 224 x 224 with a flip, random-resized ones and parts as they are, from 13 channels of float32, 512 px.

python -m benchmarks.many_channels
"""

from benchmarks.jpeg_loading import compare
from benchmarks.work import CUT, RANDOM_CROP

if __name__ == "__main__":
    for work, kind in ((RANDOM_CROP, "Random-resized"), (CUT, "Random")):
        compare(
            __doc__,
            work,
            f"many_channels_{work}",
            f"{kind} crop 224 + flip from 13 channels of float32, 512 px, two workers",
            contenders=("arrays_ours", "arrays_ours_tiles", "arrays_ours_packed", "arrays_numpy", "arrays_zarr"),
            reference="arrays_numpy",
            photos=64,
        )
