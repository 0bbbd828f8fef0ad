"""Checksums in a beton: of each allocation, and of header and tables."""

import shutil
import tracemalloc

import numpy as np
import pytest
import xxhash
from ffcv import DatasetWriter
from ffcv import fields as theirs
from PIL import Image

from ffcv_hydra.beton import Beton, appendix, layout, write_beton
from ffcv_hydra.beton.fields.base import Field
from ffcv_hydra.beton.fields.bytes_fields import BytesField
from ffcv_hydra.beton.format import ALLOCATION, DESCRIPTOR, HEADER
from ffcv_hydra.beton.reading.reader import read_appendix
from ffcv_hydra.errors import BetonError

NUM_SAMPLES = 12
NAMES = ["image", "label", "values", "data"]


def sample(n):
    image = np.random.default_rng(n).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    return Image.fromarray(image), n, np.full((2, 3), n, np.float32), np.full(n % 3, n, np.uint8)


DATASET = [sample(n) for n in range(NUM_SAMPLES)]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    path = tmp_path_factory.mktemp("whole") / "a.beton"
    write_beton(DATASET, path, dict.fromkeys(NAMES), num_workers=0, description={"name": "toy"})
    return path


@pytest.fixture
def copy(whole, tmp_path):
    return shutil.copy(whole, tmp_path / "copy.beton")


def stored(path, offsets, sizes):
    content = path.read_bytes()
    return [content[offset : offset + size] for offset, size in zip(offsets.tolist(), sizes.tolist(), strict=True)]


def test_there_is_one_checksum_per_allocation_in_the_order_of_the_pointers(whole):
    beton = Beton(whole)
    expected = [xxhash.xxh64_intdigest(data) for data in stored(whole, beton.pointers, beton.sizes)]
    assert beton.checksums.dtype == np.uint64
    assert beton.checksums.tolist() == expected
    assert not beton.checksums.flags.writeable
    assert xxhash.xxh64_intdigest(b"") in expected


@pytest.mark.parametrize("name", ["image", "values", "data"])
def test_each_field_has_its_checksums_by_sample(whole, name):
    beton = Beton(whole)
    found = beton.checksums_of(name)
    assert found.tolist() == [xxhash.xxh64_intdigest(data) for data in stored(whole, *beton.extents(name))]
    assert (found.shape, found.dtype, found.flags.writeable) == ((NUM_SAMPLES,), np.uint64, False)
    assert beton.checksums_of(name) is found


def test_a_single_field_with_data_has_its_checksums_by_sample(tmp_path):
    path = tmp_path / "a.beton"
    write_beton([(np.full(3, n),) for n in range(5)], path, num_workers=0)
    beton = Beton(path)
    assert beton.checksums_of("array").tolist() == beton.checksums.tolist()


def test_scalars_have_no_checksums_of_their_own(whole):
    assert Beton(whole).checksums_of("label") is None
    with pytest.raises(BetonError, match="no field 'lable'"):
        Beton(whole).checksums_of("lable")


class PartlyUsed(Field):
    """Asks for more room than its value takes."""

    metadata_type = BytesField().metadata_type

    @staticmethod
    def from_binary(binary):
        return PartlyUsed()

    def to_binary(self):
        return BytesField().to_binary()

    def encode(self, destination, value, malloc):
        destination["ptr"], storage = malloc(len(value) + 4)
        storage[: len(value)] = value
        destination["size"] = len(value)

    def get_decoder_class(self):
        return BytesField().get_decoder_class()


def test_extents_that_are_not_whole_allocations_have_no_checksums(tmp_path):
    path = tmp_path / "a.beton"
    write_beton([(np.zeros(3, np.uint8),)] * 2, path, {"data": PartlyUsed()}, num_workers=0)
    beton = Beton(path, {"data": PartlyUsed})
    assert beton.extents("data")[1].tolist() == [3, 3]
    assert beton.checksums_of("data") is None
    assert beton.checksums.tolist() == [xxhash.xxh64_intdigest(bytes(7))] * 2


def test_checksums_do_not_depend_on_the_number_of_workers(whole, tmp_path):
    path = tmp_path / "a.beton"
    write_beton(DATASET, path, dict.fromkeys(NAMES), num_workers=2, chunksize=5, description={"name": "toy"})
    assert path.read_bytes() == whole.read_bytes()


def test_R2_every_byte_of_header_and_tables_is_guarded(whole, copy):
    content = whole.read_bytes()
    beton = Beton(whole)
    data_end = int((beton.pointers + np.maximum(beton.sizes, np.uint64(1))).max())
    unguarded = []
    for place in [*range(int(beton.pointers[0])), *range(data_end, len(content))]:
        with open(copy, "r+b") as file:
            file.seek(place)
            file.write(bytes([content[place] ^ 1]))
        try:
            Beton(copy)
        except BetonError as error:
            assert str(error).startswith(f"{copy}: ")
            assert "\n" not in str(error)
        else:
            unguarded.append(place)
        with open(copy, "r+b") as file:
            file.seek(place)
            file.write(content[place : place + 1])
    assert unguarded == []
    assert Beton(copy).num_samples == NUM_SAMPLES


def test_R2_a_changed_label_is_named_as_damage(whole, copy):
    beton = Beton(whole)
    label = HEADER.itemsize + len(NAMES) * DESCRIPTOR.itemsize + beton.metadata.dtype.fields["f1"][1]
    content = bytearray(whole.read_bytes())
    content[label] ^= 1
    copy.write_bytes(content)
    with pytest.raises(BetonError, match="header or tables are damaged; restore the file or convert the dataset again"):
        Beton(copy)


def test_R2_a_file_that_lost_its_appendix_is_not_taken_for_one_of_stock_ffcv(whole, copy):
    content = bytearray(whole.read_bytes())
    facts, table = read_appendix(whole), len(content) - len(Beton(whole).sizes) * ALLOCATION.itemsize
    content[facts.start : table] = bytes(table - facts.start)
    copy.write_bytes(content)
    with pytest.raises(BetonError, match="the appendix of this package is missing"):
        Beton(copy)


def test_the_table_never_begins_where_ffcv_puts_it():
    page_size = 1 << 21
    for end in range(page_size - 300, page_size + 10):
        start = layout.appendix_start(end, 200, page_size)
        assert start in (end, end + 1)
        assert (start + 200) % page_size != 0


def test_files_of_stock_ffcv_have_no_checksums(tmp_path):
    path = tmp_path / "a.beton"
    writer = DatasetWriter(str(path), {"label": theirs.IntField(), "data": theirs.BytesField()}, num_workers=1)
    writer.from_indexed_dataset([(n, np.full(4, n, np.uint8)) for n in range(4)])
    beton = Beton(path)
    assert (beton.checksums, beton.checksums_of("data"), beton.checksums_of("label")) == (None, None, None)


def test_files_of_the_first_version_have_no_checksums(whole, copy):
    content = whole.read_bytes()
    facts, table = read_appendix(whole), len(content) - len(Beton(whole).sizes) * ALLOCATION.itemsize
    text = b'{"description":null,"fingerprint":null,"package_version":"0.1","version":1}'
    old = text + len(text).to_bytes(8, "little") + appendix.MAGIC
    changed = bytearray(content[: facts.start] + old + content[table:])
    np.ndarray(1, HEADER, changed)["alloc_table_ptr"] = facts.start + len(old)
    copy.write_bytes(changed)
    assert Beton(copy).checksums is None


@pytest.mark.parametrize("num_samples", [1, 30])
def test_R2_a_file_of_scalars_alone_is_guarded(tmp_path, num_samples):
    path = tmp_path / "a.beton"
    write_beton([(n, n / 2) for n in range(num_samples)], path, num_workers=0)
    beton = Beton(path)
    assert (beton.checksums.shape, beton.checksums_of("int")) == ((0,), None)
    content = bytearray(path.read_bytes())
    content[HEADER.itemsize + 2 * DESCRIPTOR.itemsize] ^= 1
    path.write_bytes(content)
    with pytest.raises(BetonError, match="header or tables are damaged"):
        Beton(path)


def test_R6_opening_a_million_samples_takes_no_more_memory_than_their_tables(tmp_path):
    path = tmp_path / "a.beton"
    write_beton([(n,) for n in range(10)], path, num_workers=0)
    facts, count = read_appendix(path), 10**6
    content = bytearray(path.read_bytes())
    metadata_start = HEADER.itemsize + DESCRIPTOR.itemsize
    header = np.ndarray(1, HEADER, content)
    end = metadata_start + 8 * count
    header["num_samples"] = count
    tail = bytes(content[facts.start :])
    header["alloc_table_ptr"] = end + len(tail)
    path.write_bytes(bytes(content[:metadata_start]) + np.arange(count).tobytes() + tail)
    with open(path, "r+b") as file:
        appendix.seal(file, end, end)
    tracemalloc.start()
    assert Beton(path).num_samples == count
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 50e6
