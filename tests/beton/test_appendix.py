import io
import json

import numpy as np
import pytest

from ffcv_hydra.beton import appendix, fingerprint, first_difference
from ffcv_hydra.errors import BetonError, ConversionError

CHECKSUMS = np.array([1, 2**64 - 1, 3], dtype=np.uint64)


def pack(description):
    return appendix.pack(description, CHECKSUMS)


def unpack(packed: bytes, before: bytes = b"data"):
    return appendix.unpack(io.BytesIO(before + packed), len(before), len(before) + len(packed))


def test_a_description_comes_back_as_json_holds_it():
    found = unpack(pack({"size": (3, 4), "name": "toy"}))
    assert found.description == {"size": [3, 4], "name": "toy"}
    assert found.fingerprint == fingerprint({"name": "toy", "size": [3, 4]})


def test_checksums_come_back():
    found = unpack(pack(None))
    assert found.checksums.tolist() == CHECKSUMS.tolist()
    assert found.start == len(b"data")


def test_a_file_of_version_1_has_no_checksums():
    text = b'{"description":null,"fingerprint":null,"package_version":"0.1","version":1}'
    found = unpack(text + len(text).to_bytes(8, "little") + appendix.MAGIC)
    assert (found.checksums, found.package_version) == (None, "0.1")


def test_a_newer_version_is_refused():
    text = b'{"package_version":"9.0","version":5}'
    with pytest.raises(BetonError, match="version 9.0 of this package, which is newer; update"):
        unpack(text + len(text).to_bytes(8, "little") + appendix.MAGIC)


def test_without_a_description_there_is_no_fingerprint():
    found = unpack(pack(None))
    assert (found.description, found.fingerprint) == (None, None)


@pytest.mark.parametrize("data", [b"", b"short", b"a longer text that is no appendix"])
def test_other_data_is_no_appendix(data):
    assert unpack(b"", data) is None


def test_a_damaged_appendix_is_refused():
    packed = pack({"size": 32})
    with pytest.raises(BetonError, match="damaged"):
        unpack(packed.replace(b"32", b"33"))
    with pytest.raises(BetonError, match="damaged"):
        unpack(b"\xff" * 8 + appendix.MAGIC)
    with pytest.raises(BetonError, match="damaged"):
        unpack((10**18).to_bytes(8, "little") + appendix.MAGIC)


@pytest.mark.parametrize("count", [4, -1, 10**18, "3", None, 2.5])
def test_a_number_of_checksums_that_cannot_be_is_refused(count):
    text = json.dumps({"version": 2, "package_version": "", "description": None, "fingerprint": None})
    text = (text[:-1] + f', "num_checksums": {json.dumps(count)}' + "}").encode()
    with pytest.raises(BetonError, match="damaged"):
        unpack(bytes(40) + text + len(text).to_bytes(8, "little") + appendix.MAGIC)


def test_a_description_must_be_plain():
    with pytest.raises(ConversionError, match="plain values"):
        pack({"dataset": object()})


@pytest.mark.parametrize(
    ("found", "wanted", "difference"),
    [
        ({"a": 1}, {"a": 1}, None),
        ({"a": {"b": 1, "c": 2}}, {"a": {"b": 1, "c": 3}}, ("a.c", 2, 3)),
        ({"a": 1}, {}, ("a", 1, appendix.ABSENT)),
        ({}, {"a": None}, ("a", appendix.ABSENT, None)),
        ({"a": [1, 2]}, {"a": [1]}, ("a", [1, 2], [1])),
    ],
)
def test_first_difference_names_the_key_and_both_values(found, wanted, difference):
    assert first_difference(found, wanted) == difference
