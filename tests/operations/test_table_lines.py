import numpy as np

from ffcv_hydra.operations.table_lines import table_line

LEVELS = np.arange(256)[:, None]
IMAGENET = [123.675, 116.28, 103.53], [58.395, 57.12, 57.375]


def table_of(mean, std, dtype=np.float32):
    return np.ascontiguousarray(((LEVELS - np.array(mean)) / np.array(std)).astype(dtype).T)


def test_every_normalization_is_computed():
    random = np.random.default_rng(0)
    means, stds = random.uniform(-20, 280, 100), 10 ** random.uniform(-3, 3, 100)
    means[::3] = np.rint(means[::3])  # a value that is 0
    for values in (*table_of(means, stds), *table_of([0, 0, 127.5], [1, 255, 127.5]), *table_of(*IMAGENET)):
        assert table_line(values)[1] != 0


def test_what_is_no_line_to_the_bit_is_looked_up():
    x = np.arange(256, dtype=np.float32)
    one_off = x / 255
    one_off[100] = np.nextafter(one_off[100], np.float32(1))
    tables = (
        x**2,
        0 * x,
        x * np.float32(np.nan),
        np.where(x > 9, np.inf, x),
        x > 100,
        one_off,
        (x / 255 - 0.485) / 0.229,
    )
    for values in tables:
        assert not table_line(values.astype(np.float32)).any()
