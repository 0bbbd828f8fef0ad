"""Samples have one digest, however they are cut into files, and other samples another one."""

from functools import reduce

import numpy as np
import pytest
from PIL import Image

from ffcv_hydra.beton import Beton, write_beton
from ffcv_hydra.beton.data_digest import DataDigest, data_digest, fields_identity
from ffcv_hydra.beton.fields.base import Field
from ffcv_hydra.beton.fields.bytes_fields import BytesField

NAMES = ["image", "label", "values", "data", "text"]


def sample(n):
    image = np.random.default_rng(n).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    return Image.fromarray(image), n, np.full((2, 3), n, np.float32), np.full(n % 3, n, np.uint8), f"no. {n}"


SAMPLES = [sample(n) for n in range(20)]


@pytest.fixture
def written(tmp_path):
    def write(samples, fields=None, **options):
        path = tmp_path / f"{len(list(tmp_path.iterdir()))}.beton"
        write_beton(list(samples), path, fields or dict.fromkeys(NAMES), num_workers=0, **options)
        return Beton(path)

    return write


@pytest.fixture
def digest_of(written):
    return lambda *arguments, **options: data_digest(written(*arguments, **options))


def test_any_cut_into_files_has_the_digest_of_one_file(digest_of):
    whole = digest_of(SAMPLES)
    assert whole.num_samples == 20
    for cuts in ([7], [1, 2, 19], list(range(1, 20))):
        bounds = zip([0, *cuts], [*cuts, 20], strict=True)
        assert reduce(DataDigest.then, [digest_of(SAMPLES[a:b], page_size=1 << 22) for a, b in bounds]) == whole


def test_it_composes_in_any_grouping(digest_of):
    a, b, c = (digest_of(SAMPLES[start : start + 2]) for start in (0, 2, 4))
    assert a.then(b).then(c) == a.then(b.then(c)) != a.then(c).then(b)
    assert DataDigest().then(a) == a.then(DataDigest()) == a


def altered(position, column, value):
    samples = [list(one) for one in SAMPLES]
    samples[position][column] = value
    return [tuple(one) for one in samples]


def test_other_samples_have_another_digest(digest_of):
    image = np.array(SAMPLES[3][0])
    image[0, 0, 0] ^= 1
    others = [
        altered(19, 1, 18),
        altered(3, 0, Image.fromarray(image)),
        altered(0, 2, np.full((2, 3), 1, np.float32)),
        altered(0, 3, np.zeros(1, np.uint8)),  # it was empty
        altered(7, 4, "no. 8"),
        SAMPLES[::-1],
        [*SAMPLES[:18], SAMPLES[19], SAMPLES[18]],
        SAMPLES[:19],
        [*SAMPLES, SAMPLES[19]],
    ]
    fields = {name: {"write_mode": "raw"} if name == "image" else None for name in NAMES}
    digests = [digest_of(samples, fields) for samples in (SAMPLES, *others)]
    assert len(set(digests)) == len(digests)


def test_its_text_gives_it_back(digest_of):
    digest = digest_of(SAMPLES)
    assert DataDigest.parse(str(digest)) == digest
    assert len(str(digest)) == 48
    for text in ("", str(digest)[1:], str(digest).replace(str(digest)[0], "x"), "f" * 48):
        with pytest.raises(ValueError, match="no digest of data"):
            DataDigest.parse(text)


def test_a_file_without_checksums_has_none(tmp_path):
    from ffcv import DatasetWriter
    from ffcv.fields import IntField

    path = tmp_path / "stock.beton"
    DatasetWriter(str(path), {"label": IntField()}, num_workers=1).from_indexed_dataset([(n,) for n in range(4)])
    assert data_digest(Beton(path)) is None


class TwoPieces(Field):
    """Keeps the pointers to its data where nobody looks for them."""

    metadata_type = np.dtype([("first", "<u8"), ("second", "<u8")])

    def encode(self, destination, value, malloc):
        for name in ("first", "second"):
            destination[name], data = malloc(1)
            data[:] = value


def test_data_that_nothing_tells_of_have_none(tmp_path):
    path = tmp_path / "a.beton"
    write_beton([(n,) for n in range(4)], path, {"a": TwoPieces()}, num_workers=0)
    assert data_digest(Beton(path, {"a": TwoPieces})) is None


def test_fields_are_told_apart(written):
    data = np.zeros(3, np.uint8)
    one, same = written([(1, data)], {"a": None, "b": None}), written([(2, data[1:])], {"a": None, "b": BytesField()})
    others = [written([(1, data)], {"a": None, "c": None}), written([(1.0, data)], {"a": None, "b": None})]
    assert fields_identity(one) == fields_identity(same)
    assert len({fields_identity(beton) for beton in (one, *others)}) == 3
