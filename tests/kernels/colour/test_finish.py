import numpy as np
import pytest

from ffcv_hydra.operations.finish import finish_function
from tests.operations.test_table_lines import IMAGENET, table_of


@pytest.mark.parametrize("channels_first", [False, True])
@pytest.mark.parametrize("kind", ["line", "curve", "float16", "float64", "bytes"])
def test_images_become_what_the_table_says(pictures, kind, channels_first):
    for picture in pictures:
        channels = picture.shape[2]
        mean, std = (numbers[:channels] for numbers in IMAGENET)
        table = table_of(mean, std, np.dtype(kind) if kind in ("float16", "float64") else np.float32)
        if kind == "curve":
            table = np.sin(table)
        if kind == "bytes":
            table = np.repeat(np.arange(256, dtype=np.uint8)[None], channels, axis=0)
        expected = np.stack([values[picture[:, :, c]] for c, values in enumerate(table)], axis=2)
        if channels_first:
            expected = expected.transpose(2, 0, 1)
        function = finish_function(picture.shape, table.T, channels_first)
        target, block = np.zeros(picture.size + 9, dtype=expected.dtype), function.block()
        assert function.kernel(picture.ctypes.data, target.ctypes.data, 0, block.ctypes.data) == 0
        assert target[: picture.size].tobytes() == expected.tobytes() and not target[picture.size :].any()
