"""FFCV's names: one test for each row of the table in docs/coming-from-ffcv.md."""

import copy
import inspect
import pickle
import re
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import ffcv.loader.loader
import ffcv.writer
import numpy as np
import pytest
import torch
from ffcv.fields import BytesField, FloatField, IntField, JSONField, NDArrayField, RGBImageField, TorchTensorField
from ffcv.fields.decoders import CenterCropRGBImageDecoder, IntDecoder, SimpleRGBImageDecoder
from ffcv.loader import OrderOption
from ffcv.pipeline import PipelineSpec
from ffcv.pipeline.allocation_query import AllocationQuery
from ffcv.pipeline.compiler import Compiler
from ffcv.pipeline.operation import Operation
from ffcv.reader import Reader
from ffcv.transforms import RandomHorizontalFlip, ToTensor, ToTorchImage
from ffcv.traversal_order import Random
from ffcv.traversal_order.base import TraversalOrder

from ffcv_hydra import loader as engine
from ffcv_hydra.cores import usable_cores
from ffcv_hydra.errors import BetonError, ConversionError, LoaderError, PipelineError
from ffcv_hydra.ffcv_bridge import DatasetWriter, Loader
from ffcv_hydra.ffcv_bridge.loader import EpochIterator

pytestmark = pytest.mark.timeout(120)
PAGE = Path(__file__).parents[2] / "docs" / "coming-from-ffcv.md"
COUNT = 50
ROWS: dict[str, Callable] = {}


def row(name: str) -> Callable[[Callable], Callable]:
    def keep(test: Callable) -> Callable:
        ROWS[name] = test
        return test

    return keep


class Samples:
    """An image, its index, bytes, a number and a record."""

    def __len__(self) -> int:
        return COUNT

    def __getitem__(self, index: int):
        image = np.full((8, 12, 3), index, np.uint8)
        return image, int(index), np.full(index % 5 + 1, index, np.uint8), np.array(index / 2, "f4"), {"n": int(index)}


FIELDS = {
    "image": RGBImageField(),
    "label": IntField(),
    "bytes": BytesField(),
    "number": NDArrayField(np.dtype("f4"), (1,)),
    "record": JSONField(),
}
REST = {"image": None, "bytes": None, "number": None, "record": None}


@pytest.fixture(scope="module")
def path(tmp_path_factory) -> str:
    path = str(tmp_path_factory.mktemp("names") / "a.beton")
    DatasetWriter(path, FIELDS, num_workers=1).from_indexed_dataset(Samples())
    return path


def labels(loader: Loader) -> list[list[int]]:
    return [batch[-1].flatten().tolist() for batch in loader]


def test_the_table_has_these_rows():
    table = PAGE.read_text().partition("## Every name")[2].partition("\n## ")[0]
    listed = re.findall(r"^\| (.+?) \|", table, re.MULTILINE)
    assert listed == ["name", *ROWS]


def test_arguments_stand_where_ffcvs_do():
    for ours, theirs in ((Loader, ffcv.loader.loader.Loader), (DatasetWriter, ffcv.writer.DatasetWriter)):
        found, expected = (
            [(one.name, one.default) for one in inspect.signature(kind.__init__).parameters.values()]
            for kind in (ours, theirs)
        )
        assert found == expected
    for method in ("from_indexed_dataset", "from_webdataset"):
        ours, theirs = (getattr(kind, method) for kind in (DatasetWriter, ffcv.writer.DatasetWriter))
        assert list(inspect.signature(ours).parameters) == list(inspect.signature(theirs).parameters)


@row("`Loader(fname, batch_size, num_workers, os_cache)`")
def test_fname(path, tmp_path):
    loader = Loader(path, 8, 1, False)
    assert (loader.fname, loader.batch_size, loader.num_workers) == (path, 8, 1)
    image, label, data, number, _ = next(iter(loader))
    assert image.shape == (8, 8, 12, 3) and (image == torch.arange(8)[:, None, None, None]).all()
    assert label.tolist() == [[n] for n in range(8)] and number.flatten().tolist() == [n / 2 for n in range(8)]
    assert data.shape == (8, 5) and data[6].tolist() == [6, 6, 0, 0, 0]
    assert Loader(path, np.int64(8), num_workers=-1).num_workers == usable_cores()
    with pytest.raises(FileNotFoundError, match="no such file; convert the dataset first"):
        Loader(str(tmp_path / "none.beton"), 8)
    (tmp_path / "cut.beton").write_bytes(Path(path).read_bytes()[:100])
    with pytest.raises(AssertionError) as raised:
        Loader(str(tmp_path / "cut.beton"), 8)
    assert isinstance(raised.value, BetonError)


@row("`order=OrderOption.SEQUENTIAL`, `RANDOM`")
def test_order(path):
    loader = Loader(path, 8, order=OrderOption.RANDOM, seed=7, pipelines=REST, drop_last=False)
    for epoch in range(2):
        expected = np.random.default_rng(7 + epoch).permutation(COUNT)
        assert sum(labels(loader), []) == expected.tolist()
    assert sum(labels(Loader(path, 50, pipelines=REST)), []) == list(range(COUNT))
    with pytest.raises(ValueError, match="order is an OrderOption or a class derived from TraversalOrder; got 7"):
        Loader(path, 8, order=7)


@row("`order=OrderOption.QUASI_RANDOM`")
def test_quasi_random(path):
    loader = Loader(path, 8, os_cache=False, order=OrderOption.QUASI_RANDOM, seed=7, pipelines=REST, drop_last=False)
    first, second = sum(labels(loader), []), sum(labels(loader), [])
    assert first != second and sorted(first) == sorted(second) == list(range(COUNT))
    loader.next_epoch = 0
    assert sum(labels(loader), []) == first
    with pytest.raises(NotImplementedError, match="no QUASI_RANDOM with distributed=True; use RANDOM"):
        Loader(path, 8, order=OrderOption.QUASI_RANDOM, distributed=True)


class Halving(TraversalOrder):
    """Reads 40 samples at first, and then ever fewer; the last one of them twice."""

    def __init__(self, loader):
        super().__init__(loader)
        self.calls = 0

    def sample_order(self, epoch):
        self.calls += 1
        count = 80 // 2**self.calls
        return [*range(count), count - 1]


@row("`order=` a `TraversalOrder`")
def test_orders_of_ones_own(path):
    loader = Loader(path, 8, order=Halving, pipelines=REST, drop_last=False)
    assert len(loader) == 6 and loader.traversal_order.calls == 1
    assert sum(labels(loader), []) == [*range(20), 19]
    assert sum(labels(loader), []) == [*range(10), 9] and loader.traversal_order.calls == 3
    loader.traversal_order = Random(loader)
    expected = np.random.default_rng(loader.seed + 2).permutation(COUNT)[: 6 * 8]
    assert sum(labels(loader), []) == expected.tolist()
    assert sum(labels(Loader(path, 8, order=Halving(loader), pipelines=REST, drop_last=False)), []) == [*range(20), 19]


@row("`distributed`")
def test_distributed(path, monkeypatch):
    monkeypatch.setattr(torch.distributed, "get_world_size", lambda *_: 4)
    seen = []
    for rank in range(4):
        monkeypatch.setattr(torch.distributed, "get_rank", lambda *_, rank=rank: rank)
        loader = Loader(path, 8, order=OrderOption.RANDOM, distributed=True, pipelines=REST, drop_last=False)
        assert loader.seed == 0 and len(loader) == 2
        seen.append(sum(labels(loader), []))
    assert {len(ids) for ids in seen} == {13} and set(sum(seen, [])) == set(range(COUNT))


@row("`seed`")
def test_seed(path):
    assert Loader(path, 8, seed=np.int64(3)).seed == 3
    np.random.seed(5)
    expected = np.random.randint(0, np.iinfo("int32").max)
    np.random.seed(5)
    assert Loader(path, 8).seed == expected != Loader(path, 8).seed


@row("`indices`")
def test_indices(path):
    assert labels(Loader(path, 2, indices=(5, 3, 5, 1), pipelines=REST)) == [[5, 3], [5, 1]]
    mask = np.arange(COUNT) < 4
    assert labels(Loader(path, 2, indices=mask, pipelines=REST)) == [[0, 1], [2, 3]]
    assert labels(Loader(path, 2, indices=[], pipelines=REST)) == []
    with pytest.raises(ValueError, match="indices go from 50 to 50") as raised:
        Loader(path, 2, indices=[COUNT])
    assert isinstance(raised.value, LoaderError)


@row("`pipelines`: a list, `[]`, none, or `None`")
def test_pipelines(path):
    operations = [IntDecoder(), ToTensor()]
    pipelines = {"image": [SimpleRGBImageDecoder(), ToTensor(), ToTorchImage()], "label": operations, "number": []}
    loader = Loader(path, 8, pipelines={**pipelines, "bytes": None})
    assert [tuple(part.shape[:2]) for part in next(iter(loader))] == [(8, 3), (8, 1), (8, 1), (8, 10)]
    assert len(operations) == 2
    both = {
        **REST,
        "image": [CenterCropRGBImageDecoder((4, 4), 1)],
        "label": operations,
        "again": PipelineSpec("label", transforms=operations),
    }
    image, label, again = next(iter(Loader(path, 8, pipelines=both)))
    assert isinstance(image, np.ndarray) and torch.equal(label, again)
    with pytest.raises(ValueError, match="the pipeline for 'label' is a PipelineSpec or a list of operations; got 3"):
        Loader(path, 8, pipelines={"label": 3})
    with pytest.raises(AssertionError, match="has no such field; it has image, label") as raised:
        Loader(path, 8, pipelines={"nothing": [ToTensor()]})
    assert isinstance(raised.value, PipelineError)


@row("`PipelineSpec`")
def test_specs(path):
    decoder = SimpleRGBImageDecoder()
    specs = {
        "image": PipelineSpec("image", decoder=decoder, transforms=[ToTensor()]),
        "turned": PipelineSpec(decoder, transforms=[ToTensor(), ToTorchImage()]),
        "small": PipelineSpec("image", CenterCropRGBImageDecoder((4, 4), 1), [ToTensor()]),
        "plain": PipelineSpec("label"),
    }
    with pytest.raises(PipelineError, match=r"a list of operations belongs in transforms="):
        Loader(path, 8, pipelines={"image": PipelineSpec("image", [decoder, ToTensor()])})
    rest = {**REST, "label": None}
    del rest["image"]
    image, turned, small, plain = next(iter(Loader(path, 8, pipelines={**rest, **specs})))
    assert torch.equal(image.permute(0, 3, 1, 2), turned)
    assert small.shape == (8, 4, 4, 3) and plain.flatten().tolist() == list(range(8))


class PairsField(IntField):
    """A number and its square, in two allocations."""

    metadata_type = np.dtype([("number", "<u8"), ("square", "<u8")])

    def encode(self, destination, value, malloc):
        for name, number in (("number", value), ("square", value**2)):
            destination[name], data = malloc(8)
            data[:] = np.array([number]).view(np.uint8)

    @staticmethod
    def from_binary(binary):
        return PairsField()

    def get_decoder_class(self):
        return PairsDecoder


class PairsDecoder(Operation):
    """Derived from `Operation` alone."""

    def declare_state_and_memory(self, previous_state):
        return replace(previous_state, jit_mode=True, shape=(2,), dtype=np.dtype("i8")), AllocationQuery(
            (2,), np.dtype("i8")
        )

    def generate_code(self):
        read = self.memory_read

        def decode(indices, destination, metadata, storage_state):
            for place in range(len(indices)):
                stored = metadata[indices[place]]
                destination[place, 0] = read(stored["number"], storage_state).view(np.int64)[0]
                destination[place, 1] = read(stored["square"], storage_state).view(np.int64)[0]
            return destination[: len(indices)]

        return decode


@row("`custom_fields`")
def test_custom_fields(tmp_path):
    path = str(tmp_path / "pairs.beton")
    DatasetWriter(path, {"pair": PairsField()}, num_workers=1).from_indexed_dataset([(number,) for number in range(9)])
    for pipelines in (
        {},
        {"pair": [PairsDecoder(), ToTensor()]},
        {"pair": PipelineSpec("pair", PairsDecoder(), [ToTensor()])},
    ):
        ((pairs,),) = Loader(path, 9, 1, pipelines=pipelines, custom_fields={"pair": PairsField})
        assert pairs.tolist() == [[number, number**2] for number in range(9)]
    with pytest.raises(ValueError, match="pair"):
        Loader(path, 9)


class OtherDecoder(Operation):
    """Of a field that has a decoder; derived from `Operation` alone."""

    def declare_state_and_memory(self, previous_state):
        return replace(previous_state, jit_mode=True, shape=(1,), dtype=np.dtype("i8")), AllocationQuery(
            (1,), np.dtype("i8")
        )

    def generate_code(self):
        def decode(indices, destination, metadata, storage_state):
            for place in range(len(indices)):
                destination[place] = -metadata[indices[place]]
            return destination[: len(indices)]

        return decode


@row("`Operation`: a decoder of one's own")
def test_decoders_of_ones_own(path):
    pipelines = {**REST, "label": PipelineSpec("label", OtherDecoder(), [ToTensor()])}
    assert labels(Loader(path, 3, pipelines=pipelines))[0] == [0, -1, -2]


@row("`drop_last`")
def test_drop_last(path):
    assert [len(batch[0]) for batch in Loader(path, 20)] == [20, 20]
    kept = Loader(path, 20, drop_last=False)
    assert len(kept) == 3 and [len(batch[0]) for batch in kept] == [20, 20, 10]
    assert len(Loader(path, 51)) == 0 == len(list(Loader(path, 51)))


@row("`batches_ahead`")
def test_batches_ahead(path):
    assert Loader(path, 8, batches_ahead=0).batches_ahead == 1
    assert Loader(path, 8, batches_ahead=5).batches_ahead == 5


@row("`recompile`, `code`, `generate_code()`")
def test_code(path):
    kept, made_again = (Loader(path, 8, recompile=recompile) for recompile in (False, True))
    before = [loader.code for loader in (kept, made_again)]
    batches = [iter(loader) for loader in (kept, made_again)]
    assert kept.code is before[0] and made_again.code is not before[1]
    assert all(len(next(batch)[0]) == 8 for batch in batches)
    kept.generate_code()
    assert kept.code is not before[0] and len(next(iter(kept))[0]) == 8


@row("`reader`")
def test_reader(path):
    reader, expected = Loader(path, 8).reader, Reader(path)
    assert not {"metadata", "alloc_table"} & vars(reader).keys()
    for name in ("file_name", "num_samples", "num_fields", "page_size", "field_names", "header"):
        assert getattr(reader, name) == getattr(expected, name)
    for name in ("metadata", "alloc_table"):
        assert getattr(reader, name).tobytes() == getattr(expected, name).tobytes()
    assert [type(field) for field in reader.handlers.values()] == [type(field) for field in expected.handlers.values()]
    with pytest.raises(AttributeError, match="Reader has no attribute 'samples'"):
        reader.samples  # noqa: B018


@row("`next_epoch`, `next_traversal_order()`, `first_traversal_order`, `traversal_order`")
def test_epochs(path):
    class Mine(Loader):
        def next_traversal_order(self):
            return super().next_traversal_order()[:16]

    loader = Mine(path, 8, order=OrderOption.RANDOM, pipelines=REST)
    assert loader.next_epoch == 0 and len(loader) == 2 and len(loader.first_traversal_order) == 16
    expected = loader.next_traversal_order().tolist()
    zeroth, first = iter(loader), iter(loader)
    assert loader.next_epoch == 2
    assert [sum((batch[0].flatten().tolist() for batch in one), []) == expected for one in (first, zeroth)] == [
        False,
        True,
    ]
    loader.next_epoch = 0
    assert sum(labels(loader), []) == expected


@row("`len(loader)`, `iter(loader)`, `.close()`")
def test_closing(path):
    batches = iter(Loader(path, 8))
    first = next(batches)[1].clone()
    batches.close()
    assert list(batches) == [] and first.flatten().tolist() == list(range(8))


@row("`filter(field_name, condition)`")
def test_filter(path):
    loader = Loader(path, 4, order=OrderOption.RANDOM, indices=range(30, 0, -1), pipelines=REST, seed=1)
    found = loader.filter("label", lambda label: label[0] % 3 == 0)
    assert type(found) is Loader and found.indices.tolist() == list(range(30, 0, -3)) and len(found) == 2
    assert len(labels(loader.filter("label", lambda label: False))) == 0
    for name in ("labels", "image"):  # a misspelt one, and one that is left out
        with pytest.raises(PipelineError, match=f"filter: .* gives no output '{name}'; it gives label"):
            loader.filter(name, bool)


@row("`decoder.output_size = ...` between epochs")
def test_resizing(path):
    decoder = CenterCropRGBImageDecoder((4, 4), 1)
    loader = Loader(path, 8, pipelines={"image": [decoder, ToTensor()]})
    assert next(iter(loader))[0].shape == (8, 4, 4, 3)
    decoder.output_size = (6, 6)
    assert next(iter(loader))[0].shape == (8, 6, 6, 3)
    code = loader.code
    assert next(iter(loader))[0].shape == (8, 6, 6, 3) and loader.code is code


@row("`memory_manager`")
def test_memory_manager(path):
    assert sum(map(len, Loader(path, 8).memory_manager.page_to_samples.values())) == COUNT


@row("`pipeline_specs`")
def test_pipeline_specs_have_the_operations_that_were_given(path):
    decoder, given = CenterCropRGBImageDecoder((8, 8), 1.0), [ToTensor()]
    specs = {"image": [decoder, *given], "small": PipelineSpec("image", CenterCropRGBImageDecoder((2, 2), 1.0), given)}
    loader = Loader(path, 8, pipelines={**REST, **specs})
    assert list(loader.pipeline_specs) == ["image", "label", "small"]
    assert loader.pipeline_specs["image"].decoder is decoder and loader.pipeline_specs["image"].transforms == given
    loader.pipeline_specs["image"].decoder.output_size = (4, 4)
    loader.generate_code()
    image, _, small = next(iter(loader))
    assert (image.shape[1:3], small.shape[1:3]) == ((4, 4), (2, 2))


@row("`ffcv.loader.epoch_iterator.EpochIterator`")
def test_an_iterator_of_ones_own(path):
    class Noting(EpochIterator):
        def __init__(self, loader, order):
            self.noted = []
            super().__init__(loader, order)

        def run_pipeline(self, b_ix, batch_indices, batch_slot, cuda_event):
            self.noted.append((b_ix, batch_indices.tolist()))
            return super().run_pipeline(b_ix, batch_indices, batch_slot, cuda_event)

    class Mine(Loader):
        def __iter__(self):
            order = self.next_traversal_order()[: len(self) * self.batch_size]
            self.next_epoch += 1
            if self.code is None or self.recompile:
                self.generate_code()
            return Noting(self, order)

    mine, usual = (kind(path, 16, order=OrderOption.RANDOM, seed=2, pipelines=REST) for kind in (Mine, Loader))
    for _ in range(2):
        batches = iter(mine)
        expected = [label.flatten().tolist() for (label,) in usual]
        assert [label.flatten().tolist() for (label,) in batches] == expected
        assert batches.noted == list(enumerate(expected))


@row("`graph`, `pipelines`, `field_name_to_f_ix`")
def test_what_is_not_there(path):
    loader = Loader(path, 8)
    with pytest.raises(AttributeError, match=r"no attribute 'graph' of FFCV's: print\(loader.plan\) shows what runs"):
        loader.graph  # noqa: B018
    for name in ("pipelines", "field_name_to_f_ix"):
        assert not hasattr(loader, name)


@row("`Compiler.set_enabled(False)`")
def test_a_disabled_compiler(path):
    Compiler.set_enabled(False)
    try:
        pipelines = {**REST, "label": None, "record": [WithHelper(), ToTensor()]}
        ((batch,),) = Loader(path, COUNT, pipelines=pipelines)
        assert not Compiler.is_enabled
    finally:
        Compiler.set_enabled(True)
    assert (batch == 1).all()


class WithHelper(Operation):
    """Calls what FFCV's compiler has compiled."""

    def declare_state_and_memory(self, previous_state):
        return previous_state, None

    def generate_code(self):
        one = Compiler.compile(lambda: 1)

        def fill(batch, _):
            batch[:] = one()
            return batch

        return fill


@row("`JSONField.unpack(batch)`")
def test_records(path):
    ((*_, records),) = Loader(path, COUNT)
    assert JSONField.unpack(records) == [{"n": index} for index in range(COUNT)]


@row("pickle, `copy.deepcopy`")
def test_copies(path):
    loader = Loader(path, 8, order=OrderOption.RANDOM, pipelines=REST)
    labels(loader)
    for other in (pickle.loads(pickle.dumps(loader)), copy.deepcopy(loader)):
        assert other.next_epoch == 1 and labels(other) == labels(loader)
        loader.next_epoch = 1


@row("`DatasetWriter(fname, fields, page_size, num_workers)`")
def test_writer(tmp_path):
    path = str(tmp_path / "a.beton")
    writer = DatasetWriter(path, {"label": IntField()}, 1 << 22, 3)
    assert (writer.fname, writer.page_size, writer.num_workers) == (path, 1 << 22, 3)
    assert DatasetWriter(path, writer.fields).num_workers == usable_cores() and writer.metadata_type.names == ("f0",)
    writer.from_indexed_dataset([[3], [4]])
    assert Reader(path).page_size == 1 << 22 and Reader(path).metadata["f0"].tolist() == [3, 4]
    for fields, text in (({"a": 3}, "field 'a': expected a Field, got 3"), ({}, "a Field for each name; got {}")):
        with pytest.raises(ConversionError, match=text):
            DatasetWriter(path, fields)
    for size in (3 << 20, 1 << 20, 1 << 32):
        with pytest.raises(ValueError, match="page_size is a power of two from 2 MiB to 2 GiB"):
            DatasetWriter(path, {}, page_size=size)


class WithoutLength:
    def __getitem__(self, index):
        if index == 13:
            raise KeyError("no thirteenth")
        return (index * 2,)


@row("`from_indexed_dataset(dataset, indices, chunksize, shuffle_indices)`")
def test_indexed_datasets(tmp_path):
    path = str(tmp_path / "a.beton")
    writer = DatasetWriter(path, {"label": IntField()}, num_workers=1)
    writer.from_indexed_dataset(WithoutLength(), [5, 3, 9], chunksize=2)
    assert Reader(path).metadata["f0"].tolist() == [10, 6, 18]
    given = [5, 3, 9, 4, 2]
    np.random.seed(3)
    writer.from_indexed_dataset(WithoutLength(), given, shuffle_indices=True)
    assert sorted(given) == [2, 3, 4, 5, 9] and given != [5, 3, 9, 4, 2]
    assert Reader(path).metadata["f0"].tolist() == [2 * index for index in given]
    with pytest.raises(ConversionError, match=r"sample 13: the dataset raised KeyError: 'no thirteenth'") as raised:
        writer.from_indexed_dataset(WithoutLength(), [3, 13])
    assert isinstance(raised.value, ValueError)


@row("`from_webdataset(shards, pipeline)`")
def test_webdatasets(tmp_path, monkeypatch):
    shards = {"one.tar": [(1,), (2,)], "two.tar": [(3,)]}
    monkeypatch.setitem(sys.modules, "webdataset", SimpleNamespace(WebDataset=shards.get))
    path = str(tmp_path / "a.beton")
    writer = DatasetWriter(path, {"label": IntField()}, num_workers=2)
    writer.from_webdataset(list(shards), lambda samples: [(value * 10,) for (value,) in samples])
    assert Reader(path).metadata["f0"].tolist() == [10, 20, 30]


@row("`RGBImageField(write_mode='smart')` without a threshold")
def test_smart_images(tmp_path):
    path = str(tmp_path / "a.beton")
    field = RGBImageField("smart", jpeg_quality=50)
    DatasetWriter(path, {"image": field}, num_workers=1).from_indexed_dataset([(np.full((8, 8, 3), 7, np.uint8),)])
    assert Reader(path).metadata["f0"]["mode"] == [1] and field.write_mode == "smart"


@row("`NDArrayField`, `TorchTensorField`: as many numbers in another shape")
def test_shapes(tmp_path):
    path = str(tmp_path / "a.beton")
    fields = {"array": NDArrayField(np.dtype("f4"), (1,)), "tensor": TorchTensorField(torch.int64, (2, 2))}
    DatasetWriter(path, fields, num_workers=1).from_indexed_dataset([(np.array(2.5, "f4"), torch.arange(4))])
    ((array, tensor),) = Loader(path, 1)
    assert array.tolist() == [[2.5]] and tensor.tolist() == [[[0, 1], [2, 3]]]
    with pytest.raises(ConversionError, match="expected float32 array of shape"):
        DatasetWriter(path, fields, num_workers=1).from_indexed_dataset([(np.array(2.5), torch.arange(4))])


@row("`IntField`, `FloatField`, `BytesField`: arrays of one number, bytes of any dtype")
def test_numbers_and_bytes(tmp_path):
    path = str(tmp_path / "a.beton")
    fields = {"int": IntField(), "float": FloatField(), "bytes": BytesField()}
    DatasetWriter(path, fields, num_workers=1).from_indexed_dataset([(np.array([3]), torch.tensor([0.5]), np.ones(2))])
    ((whole, part, data),) = Loader(path, 1)
    assert (whole.item(), part.item(), data.tolist()) == (3, 0.5, [[1, 1]])


def test_outputs_do_not_follow_each_other(tmp_path):
    path = str(tmp_path / "a.beton")
    fields = {"image": RGBImageField(), "boxes": NDArrayField(np.dtype("f4"), (2, 4))}
    sample = (np.arange(192, dtype=np.uint8).reshape(8, 8, 3), np.ones((2, 4), "f4"))
    DatasetWriter(path, fields, num_workers=1).from_indexed_dataset([sample])
    pipelines = {"image": [SimpleRGBImageDecoder(), RandomHorizontalFlip(1.0), ToTensor()]}
    with pytest.raises(PipelineError, match="boxes"):
        engine.Loader(path, 1, pipelines=pipelines)
    ((image, boxes),) = Loader(path, 1, pipelines=pipelines)
    assert np.array_equal(image[0], sample[0][:, ::-1]) and (boxes == 1).all()


class OfPython(Operation):
    """Not compiled, and makes an array of another dtype."""

    def declare_state_and_memory(self, previous_state):
        return replace(previous_state, jit_mode=False, dtype=np.dtype("f4")), None

    def generate_code(self):
        return lambda batch, _: np.array([float(str(number)) / 2 for number in batch.ravel()], "f4").reshape(
            batch.shape
        )


def test_arrays_need_not_be_compiled(path):
    pipelines = {**REST, "label": [IntDecoder(), OfPython(), ToTensor()]}
    assert labels(Loader(path, 3, pipelines=pipelines))[0] == [0, 0.5, 1]
