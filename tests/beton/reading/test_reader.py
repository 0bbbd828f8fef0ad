import pickle
import shutil
import tracemalloc

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from ffcv_hydra.beton import Beton, appendix, write_beton
from ffcv_hydra.beton.fields.bytes_fields import BytesField
from ffcv_hydra.beton.fields.scalar_fields import IntField
from ffcv_hydra.beton.format import ALLOCATION, DESCRIPTOR, HEADER
from ffcv_hydra.beton.reading.reader import read_appendix
from ffcv_hydra.errors import BetonError

NUM_SAMPLES = 12
IMAGE = np.random.default_rng(0).integers(0, 256, (6, 8, 3), dtype=np.uint8)
DATASET = [
    (Image.fromarray(IMAGE), n, np.full((2, 3), n, np.float32), np.full(n % 3, n, np.uint8)) for n in range(NUM_SAMPLES)
]
NAMES = ["image", "label", "values", "data"]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    path = tmp_path_factory.mktemp("whole") / "a.beton"
    write_beton(DATASET, path, dict.fromkeys(NAMES), num_workers=0, description={"name": "toy", "sizes": (1, 2)})
    return path


@pytest.fixture
def copy(whole, tmp_path):
    return shutil.copy(whole, tmp_path / "copy.beton")


def refused(path, text):
    """Opening `path` ends in one line that names it and contains `text`."""
    with pytest.raises(BetonError, match=text) as caught:
        Beton(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


def overwrite(path, dtype, offset, **values):
    """Change columns of the record of `dtype` that stands at `offset`."""
    content = bytearray(path.read_bytes())
    record = np.ndarray(1, dtype, content, offset)
    for column, value in values.items():
        record[column] = value
    path.write_bytes(content)


def test_everything_is_read_back(whole):
    beton = Beton(whole)
    assert (beton.path, beton.num_samples, beton.page_size) == (whole, NUM_SAMPLES, 8 << 20)
    assert list(beton.fields) == NAMES
    assert beton.field_metadata("label").tolist() == list(range(NUM_SAMPLES))
    assert beton.metadata.dtype.names == ("f0", "f1", "f2", "f3")
    assert beton.description == {"name": "toy", "sizes": [1, 2]}
    assert len(beton.fingerprint) == 64


def test_a_relative_path_stays_that_of_the_file(whole, tmp_path, monkeypatch):
    monkeypatch.chdir(whole.parent)
    beton, expected = Beton("a.beton"), Beton(whole)
    monkeypatch.chdir(tmp_path)
    assert beton.checksum == expected.checksum
    assert beton.manifest == expected.manifest is not None
    assert beton.sample_ids.tolist() == expected.sample_ids.tolist()
    assert pickle.loads(pickle.dumps(beton)).path == whole


def test_tables_are_sorted_contiguous_and_read_only(whole):
    beton = Beton(whole)
    assert np.all(np.diff(beton.pointers.astype(np.int64)) > 0)
    assert beton.sample_ids.tolist() == [n for n in range(NUM_SAMPLES) for _ in range(3)]
    for table in (beton.pointers, beton.sizes):
        assert table.dtype == np.uint64
        assert table.flags.c_contiguous
    for table in (beton.pointers, beton.sizes, beton.sample_ids, beton.metadata, *beton.extents("data")):
        assert not table.flags.writeable


def test_extents_say_where_each_value_stands(whole):
    beton = Beton(whole)
    content = whole.read_bytes()
    for name, position in (("values", 2), ("data", 3)):
        offsets, sizes = beton.extents(name)
        found = [content[offset : offset + size] for offset, size in zip(offsets, sizes, strict=True)]
        assert found == [sample[position].tobytes() for sample in DATASET]
    assert beton.extents("image")[1].shape == (NUM_SAMPLES,)
    assert beton.extents("label") is None


def test_an_unknown_field_is_refused(whole):
    for read in (Beton(whole).extents, Beton(whole).field_metadata):
        with pytest.raises(BetonError, match="no field 'lable'; it has image, label"):
            read("lable")


def test_checksum_says_what_the_tables_and_checksums_say(whole, copy, tmp_path):
    beton = Beton(whole)
    assert beton.checksum == Beton(copy).checksum
    for position, value in ((1, 99), (2, np.zeros((2, 3), np.float32))):
        changed = [*DATASET[0]]
        changed[position] = value
        path = tmp_path / f"{position}.beton"
        write_beton([tuple(changed), *DATASET[1:]], path, dict.fromkeys(NAMES), num_workers=0)
        assert Beton(path).checksum != beton.checksum


def test_R2_what_is_no_beton_is_refused(tmp_path):
    refused(tmp_path / "missing.beton", "no such file; convert")
    refused(tmp_path, "is a directory")
    (tmp_path / "empty").write_bytes(b"")
    refused(tmp_path / "empty", "is empty")
    (tmp_path / "short").write_bytes(b"short")
    refused(tmp_path / "short", "is not a beton")
    (tmp_path / "text").write_text("some text\n" * 1000)
    refused(tmp_path / "text", "is not a beton")


def test_R2_a_file_cut_short_anywhere_is_refused(whole, copy):
    content = whole.read_bytes()
    cuts = {0, 1, HEADER.itemsize, len(content) - 1, *range(0, len(content), 97)}
    cuts |= {len(content) - entries * ALLOCATION.itemsize for entries in range(1, 3 * NUM_SAMPLES + 1)}
    for cut in cuts:
        copy.write_bytes(content[:cut])
        refused(copy, "empty|is not a beton|cut short|is damaged")


def test_R2_a_table_whose_last_entry_is_not_whole_is_refused(copy):
    copy.write_bytes(copy.read_bytes() + b"bytes")
    refused(copy, "last entry of its allocation table is not whole")


def test_tables_in_any_order_are_sorted(whole, copy):
    expected = Beton(whole)
    facts = read_appendix(whole)
    content = bytearray(whole.read_bytes())
    order = np.random.default_rng(0).permutation(len(expected.sizes))
    table = np.ndarray(len(order), ALLOCATION, content, len(content) - len(order) * ALLOCATION.itemsize)
    checksums = np.ndarray(len(order), "<u8", content, facts.start + appendix.DIGEST_BYTES)
    table[:], checksums[:] = table[order], checksums[order]
    copy.write_bytes(content)
    with open(copy, "r+b") as file:
        appendix.seal(file, int(expected.pointers[0]), facts.start)
    found = Beton(copy)
    for column in ("pointers", "sizes", "sample_ids", "checksums"):
        assert np.array_equal(getattr(found, column), getattr(expected, column))


def test_R2_a_killed_stock_conversion_is_refused(copy):
    overwrite(copy, HEADER, 0, alloc_table_ptr=0)
    refused(copy, "was never finished")


@pytest.mark.parametrize(
    ("column", "value", "text"),
    [
        ("ptr", 0, "outside of its data"),
        ("ptr", 2**64 - 1, "outside of its data"),
        ("size", 2**64 - 1, "outside of its data"),
        ("size", 10**6, "outside of its data"),
        ("sample_id", NUM_SAMPLES, "names a sample beyond its 12"),
    ],
)
def test_R2_an_allocation_out_of_bounds_is_refused(copy, column, value, text):
    overwrite(copy, ALLOCATION, copy.stat().st_size - ALLOCATION.itemsize, **{column: value})
    refused(copy, text)


def test_R2_a_pointer_without_allocation_is_refused(whole, copy):
    beton = Beton(whole)
    start = HEADER.itemsize + 4 * DESCRIPTOR.itemsize
    pointer = int(beton.extents("values")[0][0])
    overwrite(copy, beton.metadata.dtype, start, f2=pointer + 1)
    refused(copy, "sample 0, field 'values' is not in its allocation table")


@pytest.mark.parametrize("image", [(7, 8, 6, None), (1, 9, 6, None), (0, 0, 6, None)])
def test_R2_an_impossible_image_is_refused(whole, copy, image):
    beton = Beton(whole)
    start = HEADER.itemsize + 4 * DESCRIPTOR.itemsize
    overwrite(copy, beton.metadata.dtype, start, f0=(*image[:3], int(beton.extents("image")[0][0])))
    refused(copy, "sample 0, field 'image' has a size that cannot be right")


def test_R2_a_shape_that_overflows_is_refused(copy):
    """A further axis of 2**61 + 1 leaves the product as it was, modulo 2**64."""
    start = HEADER.itemsize + 2 * DESCRIPTOR.itemsize + DESCRIPTOR.fields["arguments"][1]
    content = bytearray(copy.read_bytes())
    np.ndarray(3, "<u8", content, start)[2] = 2**61 + 1
    copy.write_bytes(content)
    refused(copy, "field 'values' has a shape that cannot be right")


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({"type_id": 99}, "of unknown type 99; name its class in custom_fields"),
        ({"type_id": 255}, "field 'image' is of a class that FFCV does not know; name its class in custom_fields"),
        ({"name": 200}, "name of field 0 cannot be decoded"),
        ({"name": 0}, "field 0 has no name of its own"),
        ({"type_id": 4, "arguments": 255}, "cannot be read from its description"),
    ],
)
def test_R2_an_impossible_field_is_refused(copy, values, text):
    overwrite(copy, DESCRIPTOR, HEADER.itemsize, **values)
    refused(copy, text)


def test_custom_fields_must_be_fields_of_the_file(whole):
    with pytest.raises(BetonError, match="has no field 'sound' for custom_fields"):
        Beton(whole, custom_fields={"sound": IntField})
    with pytest.raises(BetonError, match="custom_fields has for field 'data' 3, which is no class of a field"):
        Beton(whole, custom_fields={"data": 3})
    assert Beton(whole, custom_fields={"data": BytesField}).num_samples == NUM_SAMPLES


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_R2_a_fuzzed_header_or_table_opens_or_is_refused(whole, copy, data):
    content = bytearray(whole.read_bytes())
    beton = Beton(whole)
    first_data, table = int(beton.pointers[0]), len(content) - 3 * NUM_SAMPLES * ALLOCATION.itemsize
    places = st.one_of(st.integers(0, HEADER.itemsize - 1), st.integers(0, first_data - 1))
    places = places | st.integers(table - 16, len(content) - 1)
    for place, value in data.draw(st.lists(st.tuples(places, st.integers(0, 255)), min_size=1, max_size=4)):
        content[place] = value
    copy.write_bytes(content)
    try:
        beton = Beton(copy)
    except BetonError as error:
        assert "\n" not in str(error)
    else:
        for name in beton.fields:
            extents = beton.extents(name)
            if extents is not None:
                assert int((extents[0] + extents[1]).max()) <= len(content)


def test_the_appendix_is_read_without_the_tables(whole, copy, tmp_path):
    assert read_appendix(whole).description == {"name": "toy", "sizes": [1, 2]}
    copy.write_bytes(whole.read_bytes()[:200])
    for path in (copy, tmp_path / "missing"):
        with pytest.raises(BetonError):
            read_appendix(path)


def test_R6_a_million_samples_take_no_more_memory_than_their_tables(tmp_path):
    path = tmp_path / "a.beton"
    write_beton([(1,)], path, num_workers=0)
    content = bytearray(path.read_bytes())
    np.ndarray(1, HEADER, content)["num_samples"] = 10**6
    metadata_start = HEADER.itemsize + DESCRIPTOR.itemsize
    np.ndarray(1, HEADER, content)["alloc_table_ptr"] = metadata_start + 8 * 10**6
    path.write_bytes(content[:metadata_start] + np.arange(10**6).tobytes())
    tracemalloc.start()
    beton = Beton(path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert beton.field_metadata("int")[-1] == 10**6 - 1
    assert peak < 20e6
