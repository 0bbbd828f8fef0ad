"""Opening files of a million samples, which are put together from their parts: converting them would take minutes."""

import tracemalloc

import numpy as np
import pytest

from ffcv_hydra.beton import Beton, appendix, layout
from ffcv_hydra.beton.fields.array_fields import NDArrayField
from ffcv_hydra.beton.fields.bytes_fields import BytesField
from ffcv_hydra.beton.fields.rgb_image_field import RGBImageField
from ffcv_hydra.beton.fields.scalar_fields import IntField
from ffcv_hydra.beton.format import record_type
from ffcv_hydra.errors import BetonError

NUM_SAMPLES = 10**6
NUM_BYTES = 24  # of each allocation
MOST_MEMORY = 50e6
ARRAY = NDArrayField(np.dtype(np.uint8), (NUM_BYTES,))
KINDS = {
    "arrays": {"array": ARRAY},
    "labelled images": {"image": RGBImageField(), "label": IntField()},
    "arrays with labels": {"array": ARRAY, "label": IntField()},
    "labelled bytes": {"data": BytesField(), "label": IntField()},
}


def fabricate(path, fields, num_samples=NUM_SAMPLES, rotation=0):
    """Write a beton whose first field has one allocation of zeros per sample; its last field is the sample's id.

    With a rotation, the data of so many of the first samples stand behind all others, as after converting a stream.
    """
    metadata = np.zeros(num_samples, record_type(list(fields.values())))
    metadata_end = layout.metadata_start(len(fields)) + metadata.nbytes
    sizes, ids = np.full(num_samples, NUM_BYTES, np.uint64), np.arange(num_samples, dtype=np.uint64)
    pointers, end = layout.place(sizes, ids, metadata_end, layout.DEFAULT_PAGE_SIZE)
    pointers = np.roll(pointers, rotation)
    if len(fields) > 1:
        metadata["f1"] = ids
    if metadata["f0"].dtype.names is None:
        metadata["f0"] = pointers
    else:
        values = {"ptr": pointers, "data_ptr": pointers, "size": NUM_BYTES, "width": 2, "height": 4, "mode": 1}
        for column in metadata["f0"].dtype.names:
            metadata["f0"][column] = values[column]
    packed = appendix.pack(None, ids)
    start = layout.appendix_start(end, len(packed), layout.DEFAULT_PAGE_SIZE)
    with open(path, "w+b") as file:
        file.write(layout.header(len(fields), num_samples, layout.DEFAULT_PAGE_SIZE, start + len(packed)))
        file.write(layout.descriptors(list(fields), list(fields.values())) + metadata.tobytes())
        file.seek(start)
        file.write(packed + layout.alloc_table([(ids, pointers, sizes)]))
        appendix.seal(file, metadata_end, start)
    return pointers


def traced(function):
    """What the function returns, and the most memory in bytes that it held at a time."""
    tracemalloc.start()
    try:
        result = function()
        return result, tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("rotation", [0, 1000])
@pytest.mark.parametrize("fields", KINDS.values(), ids=KINDS)
def test_R6_a_million_allocations_are_opened_within_50_MB(tmp_path, fields, rotation):
    pointers = fabricate(tmp_path / "a.beton", fields, rotation=rotation)
    name = next(iter(fields))

    def used_by_a_loader():
        beton = Beton(tmp_path / "a.beton")
        return beton, beton.extents(name), beton.checksums_of(name), [*map(beton.field_metadata, fields)]

    (_, (offsets, sizes), checksums, _), peak = traced(used_by_a_loader)
    assert np.array_equal(offsets, pointers)
    assert set(sizes[::1000].tolist()) == {NUM_BYTES}
    assert np.array_equal(checksums, np.arange(NUM_SAMPLES))
    assert peak < MOST_MEMORY


@pytest.mark.parametrize("rotation", [0, 7])
@pytest.mark.parametrize("fields", KINDS.values(), ids=KINDS)
def test_tables_are_the_same_however_they_are_held(tmp_path, fields, rotation):
    pointers = fabricate(tmp_path / "a.beton", fields, num_samples=50, rotation=rotation)
    beton = Beton(tmp_path / "a.beton")
    ids = np.roll(np.arange(50), -rotation)
    assert np.array_equal(beton.pointers, np.sort(pointers))
    assert np.array_equal(beton.sample_ids, ids)
    assert np.array_equal(beton.checksums, ids)
    assert np.array_equal(beton.sizes, np.full(50, NUM_BYTES))
    for table in (beton.pointers, beton.sizes, beton.checksums, beton.sample_ids):
        assert (table.dtype, table.flags.c_contiguous, table.flags.writeable) == (np.uint64, True, False)


def test_sample_ids_of_a_file_that_was_changed_meanwhile_are_refused(tmp_path):
    path = tmp_path / "a.beton"
    fabricate(path, KINDS["arrays"], num_samples=50)
    beton = Beton(path)
    fabricate(path, KINDS["labelled bytes"], num_samples=50)
    with pytest.raises(BetonError, match=r"a\.beton: "):
        assert beton.sample_ids is None


def test_a_damaged_sample_is_named_by_its_number_in_the_file(tmp_path):
    path = tmp_path / "a.beton"
    fabricate(path, KINDS["labelled images"], num_samples=200_000)
    beton = Beton(path)
    content = bytearray(path.read_bytes())
    metadata = np.ndarray(200_000, beton.metadata.dtype, content, layout.metadata_start(2))
    metadata["f0"]["width"][150_000] = 3
    path.write_bytes(content)
    with pytest.raises(BetonError, match="sample 150000, field 'image' has a size that cannot be right"):
        Beton(path)
    metadata["f0"]["data_ptr"][140_000] += 1
    path.write_bytes(content)
    with pytest.raises(BetonError, match="sample 140000, field 'image' is not in its allocation table"):
        Beton(path)
