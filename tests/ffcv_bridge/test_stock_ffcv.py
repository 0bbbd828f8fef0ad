"""Files written here open in FFCV itself, and FFCV's files open here."""

import numpy as np
import pytest
import torch
from ffcv import DatasetWriter
from ffcv.fields import BytesField, IntField, JSONField, NDArrayField, RGBImageField, TorchTensorField
from ffcv.reader import Reader
from PIL import Image

from ffcv_hydra.beton import Beton, write_beton


class Mixed:
    def __len__(self):
        return 20

    def __getitem__(self, index):
        image = np.random.default_rng(index).integers(0, 256, (6, 8, 3), dtype=np.uint8)
        data = np.full(index % 3, index, np.uint8)
        return (
            Image.fromarray(image),
            index,
            np.full(2, index, np.float32),
            torch.full((3,), index),
            {"n": int(index)},
            data,
        )


RAW = [{"write_mode": "raw"}, None, None, None, None, None]


def test_stock_reader_reads_our_files(tmp_path):
    path = tmp_path / "a.beton"
    write_beton(Mixed(), path, num_workers=2, chunksize=3, description={"name": "mixed"})
    reader = Reader(str(path))
    ours = Beton(path)
    assert list(reader.handlers) == list(ours.fields) == ["image", "int", "array", "tensor", "json", "bytes"]
    assert reader.metadata.dtype == ours.metadata.dtype
    assert np.array_equal(reader.metadata, ours.metadata)
    assert np.array_equal(reader.alloc_table["ptr"], ours.pointers)
    assert np.array_equal(reader.alloc_table["size"], ours.sizes)


@pytest.mark.timeout(300)
def test_stock_loader_reads_our_files_from_the_cache_and_by_pages(tmp_path, read_by_stock_ffcv):
    path = tmp_path / "a.beton"
    write_beton(Mixed(), path, RAW, num_workers=2, chunksize=3)
    for os_cache in (True, False):
        batches = read_by_stock_ffcv(path, 4, os_cache)
        samples = [sample for batch in batches for sample in zip(*batch, strict=True)]
        assert len(samples) == 20
        for index, (image, label, array, tensor, record, _) in enumerate(samples):
            expected = Mixed()[index]
            assert np.array_equal(image, np.asarray(expected[0]))
            assert label.item() == index
            assert torch.equal(torch.as_tensor(array), torch.as_tensor(expected[2]))
            assert torch.equal(torch.as_tensor(tensor), expected[3])
            assert JSONField.unpack(torch.as_tensor(record)) == expected[4]


def stock_file(path):
    fields = {
        "image": RGBImageField("raw"),
        "label": IntField(),
        "array": NDArrayField(np.dtype("f4"), (2,)),
        "tensor": TorchTensorField(torch.int64, (3,)),
        "json": JSONField(),
        "bytes": BytesField(),
    }
    DatasetWriter(str(path), fields, num_workers=2, page_size=1 << 21).from_indexed_dataset(Mixed(), chunksize=3)


@pytest.mark.timeout(120)
def test_files_of_stock_ffcv_open_here(tmp_path):
    stock_file(tmp_path / "a.beton")
    beton = Beton(tmp_path / "a.beton")
    content = beton.path.read_bytes()
    assert beton.field_metadata("label").tolist() == list(range(20))
    assert (beton.description, beton.fingerprint) == (None, None)
    for position, name in ((2, "array"), (3, "tensor"), (5, "bytes")):
        offsets, sizes = beton.extents(name)
        for index in range(20):
            found = content[offsets[index] : offsets[index] + sizes[index]]
            value = Mixed()[index][position]
            assert found == (value.numpy() if isinstance(value, torch.Tensor) else value).tobytes()


@pytest.mark.timeout(120)
def test_fields_of_both_writers_have_the_classes_they_were_written_with(tmp_path):
    stock_file(tmp_path / "stock.beton")
    write_beton(Mixed(), tmp_path / "ours.beton", num_workers=0)
    names = ["RGBImageField", "IntField", "NDArrayField", "TorchTensorField", "JSONField", "BytesField"]
    for name in ("stock", "ours"):
        fields = Beton(tmp_path / f"{name}.beton").fields.values()
        assert [type(field).__name__ for field in fields] == names
        assert all(type(field).__module__.startswith("ffcv_hydra.beton.fields.") for field in fields)
