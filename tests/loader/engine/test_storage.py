"""Bytes of a file that is not as it was, that reads in pieces, or that says it needs more memory than there is."""

import errno
import os
from dataclasses import replace

import numpy as np
import pytest
import torch
from ffcv import DatasetWriter
from ffcv import fields as theirs

from ffcv_hydra.beton import Beton, write_beton
from ffcv_hydra.beton.fields.base import Field
from ffcv_hydra.beton.format import ARGUMENTS, DESCRIPTOR, HEADER, record_type
from ffcv_hydra.errors import BetonError, SampleError
from ffcv_hydra.loader import Loader
from ffcv_hydra.loader.engine import files
from ffcv_hydra.loader.engine.buffers import BufferPool
from ffcv_hydra.operations import CenterCrop
from ffcv_hydra.operations.base import Scratch
from ffcv_hydra.operations.operation import AllocationQuery, Operation
from ffcv_hydra.operations.to_tensor import ToTensor
from ffcv_hydra.ordering import QuasiRandom, Random

pytestmark = pytest.mark.timeout(200)
IMAGES = {"image": [CenterCrop(8), ToTensor()], "array": "disabled"}


@pytest.mark.parametrize("change", ["cut", "grown"])
@pytest.mark.parametrize("os_cache", [True, False])
@pytest.mark.parametrize("pipelines", [IMAGES, {"image": "disabled"}], ids=["images", "arrays"])
def test_F23_a_file_that_changes_within_an_epoch_is_named(beton, tmp_path, change, os_cache, pipelines):
    path = tmp_path / "changed.beton"
    path.write_bytes(beton.read_bytes())
    batches = iter(Loader(path, 5, pipelines=pipelines, os_cache=os_cache, num_workers=1, batches_ahead=1))
    next(batches)
    # a mapped file is cut within its last page only: should it be read all the same, that ends no process
    gone = 1 if os_cache else path.stat().st_size - int(Beton(path).pointers[40])
    os.truncate(path, path.stat().st_size + (1 if change == "grown" else -gone))
    if change == "grown" and not os_cache:  # all that is read is there
        assert len(list(batches)) == 17
        return
    with pytest.raises(BetonError, match="changed.beton: the file (was changed while it was open|ends before byte)"):
        list(batches)


def test_F23_a_file_that_is_replaced_is_read_on_as_it_was(beton, tmp_path):
    path = tmp_path / "replaced.beton"
    path.write_bytes(beton.read_bytes())
    batches = iter(Loader(path, 5, pipelines=IMAGES, num_workers=1, batches_ahead=1))
    next(batches)
    (tmp_path / "new").write_bytes(b"another file")
    os.replace(tmp_path / "new", path)
    assert len(list(batches)) == 17


@pytest.mark.parametrize("ordering", [Random(), QuasiRandom(pages=2)], ids=["random", "quasi-random"])
def test_F35_what_one_call_does_not_read_is_read_by_more(beton, monkeypatch, ordering):
    read, read_into = os.pread, os.preadv
    monkeypatch.setattr(os, "pread", lambda file, size, offset: read(file, min(size, 1000), offset))
    monkeypatch.setattr(os, "preadv", lambda file, buffers, offset: read_into(file, [buffers[0][:1000]], offset))
    options = {"pipelines": IMAGES, "num_workers": 1, "ordering": ordering}
    expected, found = (list(Loader(beton, 10, os_cache=os_cache, **options)) for os_cache in (True, False))
    for one, other in zip(expected, found, strict=True):
        assert all(torch.equal(first, second) for first, second in zip(one, other, strict=True))


class TwoParts(Field):
    """Five bytes, and seven more somewhere else; `size` counts something that is no bytes."""

    metadata_type = np.dtype([("ptr", "<u8"), ("size", "<u8"), ("second", "<u8")])

    @staticmethod
    def from_binary(binary):
        return TwoParts()

    def to_binary(self):
        return np.zeros(1, dtype=ARGUMENTS)[0]

    def encode(self, destination, value, malloc):
        destination["size"] = 1
        for name, count in (("ptr", 5), ("second", 7)):
            destination[name], storage = malloc(count)
            storage[:] = value + count

    def get_decoder_class(self):
        return TwoPartsDecoder


class TwoPartsDecoder(Operation):
    def declare_state_and_memory(self, previous_state):
        return replace(previous_state, jit_mode=True, shape=(12,), dtype=np.dtype("u1")), AllocationQuery((12,), "u1")

    def generate_code(self):
        memory_read = self.memory_read

        def decode(indices, destination, metadata, state):
            for position in range(len(indices)):
                sample = metadata[indices[position]]
                destination[position, :5] = memory_read(sample["ptr"], state)
                destination[position, 5:] = memory_read(sample["second"], state)
            return destination

        return decode


@pytest.mark.parametrize("os_cache", [True, False])
def test_F15_a_field_with_two_pointers_gives_the_same_bytes_without_the_page_cache(tmp_path, os_cache):
    class Samples:
        def __len__(self):
            return 11

        def __getitem__(self, index):
            return index, index

    path = tmp_path / "two.beton"
    write_beton(Samples(), path, {"parts": TwoParts(), "label": None}, num_workers=0)
    pipelines = {"parts": [ToTensor()]}
    loader = Loader(
        path, 4, pipelines=pipelines, custom_fields={"parts": TwoParts}, os_cache=os_cache, num_workers=1,
        indices=[7, 3, 10, 0, 1],
    )  # fmt: skip
    parts = torch.cat([batch[0] for batch in loader]).tolist()
    assert parts == [[index + 5] * 5 + [index + 7] * 7 for index in (7, 3, 10, 0, 1)]


@pytest.fixture(scope="module")
def lying(tmp_path_factory):
    """A file of FFCV's with JPEGs, of which sample 5 is said to have 60,000 x 60,000 pixels."""

    class Images:
        def __len__(self):
            return 8

        def __getitem__(self, index):
            return (np.full((24, 32, 3), 20 * index, dtype=np.uint8),)

    path = tmp_path_factory.mktemp("lying") / "lying.beton"
    DatasetWriter(str(path), {"image": theirs.RGBImageField(write_mode="jpg")}, num_workers=1).from_indexed_dataset(
        Images()
    )
    content = bytearray(path.read_bytes())
    row = record_type(list(Beton(path).fields.values()))
    metadata = np.frombuffer(content, row, count=8, offset=HEADER.itemsize + DESCRIPTOR.itemsize)
    for name in ("height", "width"):
        metadata["f0"][name][5] = 60000
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("policy", ["raise", "skip", "zero"])
def test_F37_a_sample_with_lying_sizes_is_named_and_the_policy_holds(lying, monkeypatch, policy):
    get = Scratch.buffer

    def limited(scratch, use, size):
        if size > 1 << 30:
            raise MemoryError
        return get(scratch, use, size)

    monkeypatch.setattr(Scratch, "buffer", limited)
    loader = Loader(lying, 8, pipelines={"image": [CenterCrop(8), ToTensor()]}, on_error=policy, num_workers=1)
    if policy == "raise":
        with pytest.raises(SampleError, match=r"lying.beton: field 'image', sample 5: .*for the 10,800,000,\d+ bytes"):
            list(loader)
        return
    [(images,)] = loader
    values = [round(value / 20) for value in images[:, 0, 0, 0].tolist()]
    assert values == ([0, 1, 2, 3, 4, 6, 7] if policy == "skip" else [0, 1, 2, 3, 4, 0, 6, 7])
    assert loader.failed_samples == [5]


@pytest.mark.parametrize("reason", [MemoryError(), RuntimeError("DefaultCPUAllocator: can't allocate memory")])
def test_F37_a_batch_too_large_for_the_memory_names_the_largest_sample(beton, monkeypatch, reason):
    def take(*arguments):
        raise reason

    monkeypatch.setattr(BufferPool, "take", take)
    monkeypatch.setattr(BufferPool, "take_formed", take)
    loader = Loader(beton, 5, pipelines={"image": "disabled", "label": "disabled"}, num_workers=1)
    with pytest.raises(SampleError, match=r"mixed.beton: field 'array', sample \d+: .* \d+ bytes of a batch, 5 rows"):
        next(iter(loader))


def test_too_few_addresses_are_told_as_such(tmp_path, monkeypatch):
    write_beton([(np.zeros(9, np.uint8),)] * 8, tmp_path / "a.beton", {"bytes": None}, num_workers=0)

    def refuse(num_bytes):
        raise OSError(errno.ENOMEM, "Cannot allocate memory")

    monkeypatch.setattr(files, "reserved", refuse)
    with pytest.raises(BetonError, match=r"a.beton: there are no [\d,]+ bytes of addresses .* use os_cache=false$"):
        Loader(tmp_path / "a.beton", 1)
