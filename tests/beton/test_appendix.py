import io

import pytest

from ffcv_hydra.beton import appendix, fingerprint, first_difference
from ffcv_hydra.errors import BetonError, ConversionError


def unpack(packed: bytes, before: bytes = b"data"):
    return appendix.unpack(io.BytesIO(before + packed), len(before), len(before) + len(packed))


def test_a_description_comes_back_as_json_holds_it():
    found = unpack(appendix.pack({"size": (3, 4), "name": "toy"}))
    assert found.description == {"size": [3, 4], "name": "toy"}
    assert found.fingerprint == fingerprint({"name": "toy", "size": [3, 4]})


def test_without_a_description_there_is_no_fingerprint():
    found = unpack(appendix.pack(None))
    assert (found.description, found.fingerprint) == (None, None)


@pytest.mark.parametrize("data", [b"", b"short", b"a longer text that is no appendix"])
def test_other_data_is_no_appendix(data):
    assert unpack(b"", data) is None


def test_a_damaged_appendix_is_refused():
    packed = appendix.pack({"size": 32})
    with pytest.raises(BetonError, match="damaged"):
        unpack(packed.replace(b"32", b"33"))
    with pytest.raises(BetonError, match="damaged"):
        unpack(b"\xff" * 8 + appendix.MAGIC)
    with pytest.raises(BetonError, match="damaged"):
        unpack((10**18).to_bytes(8, "little") + appendix.MAGIC)


def test_a_description_must_be_plain():
    with pytest.raises(ConversionError, match="plain values"):
        appendix.pack({"dataset": object()})


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
