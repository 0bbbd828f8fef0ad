"""The loader next to its own kernels, run bare by two threads: what batches, order, checksums and queues cost.

python -m benchmarks.loader_overhead
"""

from benchmarks.jpeg_loading import compare
from benchmarks.work import RANDOM_CROP

if __name__ == "__main__":
    compare(
        __doc__,
        RANDOM_CROP,
        "loader_overhead",
        "The loader next to its own kernels alone: random-resized crop 224 + flip, two threads",
        ("ours", "bare_kernels"),
        reference="bare_kernels",
    )
