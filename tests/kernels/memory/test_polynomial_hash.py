import numpy as np
import xxhash

from ffcv_hydra.kernels.memory.polynomial_hash import BASES, MODULUS, append_records


def hash_of(records, columns, further, values=(0, 0)):
    values = np.array(values, dtype=np.uint64)
    append_records(records, columns, further, values)
    return values.tolist()


def test_it_is_the_polynomial_of_the_records_hashes():
    random = np.random.default_rng(0)
    records = random.integers(0, 256, (500, 40), dtype=np.uint8)
    further = random.integers(0, 256, (500, 8), dtype=np.uint8)
    columns = np.flatnonzero(random.random(40) < 0.7)
    expected = [MODULUS - 1, 0]  # the largest value that can be there before
    for row, more in zip(records, further, strict=True):
        found = xxhash.xxh64_intdigest(row[columns].tobytes() + more.tobytes())
        expected = [(value * base + found) % MODULUS for value, base in zip(expected, BASES, strict=True)]
    assert hash_of(records, columns, further, (MODULUS - 1, 0)) == expected


def test_only_the_columns_count():
    records = np.arange(60, dtype=np.uint8).reshape(5, 12)
    columns, none = np.array([0, 3, 11]), np.empty((5, 0), dtype=np.uint8)
    whole = hash_of(records, columns, none)
    changed = records.copy()
    changed[:, [1, 2, 4, 10]] += 1
    assert hash_of(changed, columns, none) == whole
    for place in ((0, 0), (4, 3), (2, 11)):
        changed = records.copy()
        changed[place] ^= 128
        assert hash_of(changed, columns, none) != whole
