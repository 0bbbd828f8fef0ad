"""The package's own fields and half-precision tensors, from a dataset to the loader's batches, value for value."""

import numpy as np
import pytest
import torch

from ffcv_hydra import Loader
from ffcv_hydra.beton import Beton, GrayscaleImageField, MaskField, RaggedArrayField, unpack_text, write_beton
from ffcv_hydra.beton.fields.bytes_fields import BytesField
from ffcv_hydra.errors import PipelineError, SampleError
from ffcv_hydra.operations import BytesDecoder, PaddedArray, PaddedBytes
from ffcv_hydra.operations.to_tensor import ToTensor

COUNT = 23
TEXTS = ["", "plain", "Größe 寸法 🙂", "nul\0 inside", "x" * 300]
FIELDS = {
    "gray": GrayscaleImageField("raw"),
    "deep": GrayscaleImageField(bits=16),
    "mask": MaskField(),
    "noise": MaskField(),
    "boxes": RaggedArrayField("float32", [4]),
    "points": RaggedArrayField("complex128"),
    "grids": RaggedArrayField("uint8", [3, 5]),
    "none": RaggedArrayField("int64", [2]),
    "text": None,
    "half": None,
    "bfloat": None,
    "array": None,
    "data": BytesField(),
}
HALVES = torch.tensor([0.0, -0.0, 65504.0, 6e-8, float("inf"), float("nan")])


class Items:
    def __len__(self):
        return COUNT

    def __getitem__(self, index):
        random = np.random.default_rng(index)
        deep = random.integers(0, 65536, (5, 7), dtype=np.uint16)
        deep[0, :2] = 0, 65535
        halves = HALVES + index
        return (
            random.integers(0, 256, (5, 7), dtype=np.uint8),
            deep,
            np.repeat(random.integers(0, 256, (5, 1)), 40, axis=1),
            random.integers(0, 256, (5, 40), dtype=np.uint8),
            random.random((index % 4, 4)).astype(np.float32),
            random.random(3 - index % 4 if index % 4 < 3 else 0) * 1j,
            random.integers(0, 256, (index % 3, 3, 5), dtype=np.uint8),
            np.zeros((0, 2), np.int64),
            TEXTS[index % len(TEXTS)],
            halves.half(),
            halves.bfloat16(),
            halves.half().numpy(),
            random.integers(0, 256, index % 5, dtype=np.uint8),
        )


@pytest.fixture(scope="module")
def beton(tmp_path_factory):
    path = tmp_path_factory.mktemp("own") / "own.beton"
    write_beton(Items(), path, FIELDS, num_workers=2, chunksize=5, progress=False)
    return path


def check_ragged(found: PaddedArray, wanted: list[np.ndarray], longest: int) -> None:
    assert type(found) is PaddedArray
    assert found.lengths.dtype == torch.int64 and found.lengths.tolist() == [len(one) for one in wanted]
    assert tuple(found.data.shape) == (len(wanted), longest, *wanted[0].shape[1:])
    for data, array in zip(found.data.numpy(), wanted, strict=True):
        assert data.dtype == array.dtype
        assert np.array_equal(data[: len(array)], array) and not data[len(array) :].any()


def check_batch(batch, first: int) -> None:
    found = dict(zip(FIELDS, batch, strict=True))
    items = [Items()[index] for index in range(first, min(first + 5, COUNT))]
    wanted = dict(zip(FIELDS, zip(*items, strict=True), strict=True))
    for name in ("gray", "deep", "mask", "noise"):
        expected = np.stack(wanted[name])[..., None]
        assert found[name].numpy().dtype == (np.uint16 if name == "deep" else np.uint8)
        assert np.array_equal(found[name].numpy(), expected)
    for name, longest in (("boxes", 3), ("points", 3), ("grids", 2), ("none", 0)):
        check_ragged(found[name], wanted[name], longest)
    assert type(found["text"]) is PaddedBytes
    assert unpack_text(found["text"]) == list(wanted["text"])
    for name in ("half", "bfloat"):
        expected = torch.stack(wanted[name])
        assert found[name].dtype == expected.dtype
        assert torch.equal(found[name].view(torch.int16), expected.view(torch.int16))
    assert found["array"].dtype == torch.float16
    assert np.array_equal(found["array"].numpy().view(np.int16), np.stack(wanted["array"]).view(np.int16))
    assert found["data"].lengths.tolist() == [len(one) for one in wanted["data"]]
    for data, one in zip(found["data"].data.numpy(), wanted["data"], strict=True):
        assert np.array_equal(data[: len(one)], one)


@pytest.mark.timeout(120)
@pytest.mark.parametrize("os_cache", [True, False])
@pytest.mark.parametrize("num_workers", [1, 2])
def test_every_value_comes_back(beton, num_workers, os_cache):
    loader = Loader(beton, 5, num_workers=num_workers, os_cache=os_cache)
    for number, batch in enumerate(loader):
        check_batch(batch, 5 * number)
    assert number == 4


@pytest.mark.timeout(120)
def test_the_smallest_file_of_each_field(tmp_path):
    class One:
        def __len__(self):
            return 1

        def __getitem__(self, index):
            return np.full((1, 1), 255), np.full((1, 1), 65535, np.uint16), np.full((1, 1), 200, np.uint8), ""

    fields = [MaskField(), GrayscaleImageField(bits=16), GrayscaleImageField(), None]
    write_beton(One(), tmp_path / "a.beton", fields, num_workers=0)
    ((mask, deep, jpeg, text),) = Loader(tmp_path / "a.beton", 1, num_workers=1)
    assert (mask.tolist(), deep.tolist()) == ([[[[255]]]], [[[[65535]]]])
    assert abs(jpeg.item() - 200) <= 1
    assert text.data.shape == (1, 0) and unpack_text(text) == [""]


def test_text_without_lengths_for_a_pipeline_that_asks_for_it(beton):
    pipelines = dict.fromkeys(FIELDS, "disabled")
    for operations in ([ToTensor()], [BytesDecoder(), ToTensor()]):
        (batch,) = next(iter(Loader(beton, 5, num_workers=1, pipelines=pipelines | {"text": operations})))
        assert bytes(batch[1].tolist()).rstrip(b"\0") == b"plain"


def test_a_ragged_field_has_no_single_array_to_begin_with(beton):
    with pytest.raises(PipelineError, match="pipeline of 'boxes': RaggedArrayField has no decoder .* null"):
        Loader(beton, 5, num_workers=1, pipelines={"boxes": [ToTensor()]})


@pytest.mark.timeout(120)
def test_a_damaged_ragged_sample_that_is_zeroed_has_no_items(beton, tmp_path):
    content = bytearray(beton.read_bytes())
    offset = int(Beton(beton).extents("boxes")[0][3])
    content[offset] ^= 1
    (tmp_path / "damaged.beton").write_bytes(content)
    pipelines = dict.fromkeys(FIELDS, "disabled") | {"boxes": None}
    with pytest.raises(SampleError, match="field 'boxes', sample 3"):
        list(Loader(tmp_path / "damaged.beton", 5, num_workers=1, pipelines=pipelines))
    loader = Loader(tmp_path / "damaged.beton", 5, num_workers=1, pipelines=pipelines, on_error="zero")
    ((boxes,), *_) = loader
    assert boxes.lengths.tolist() == [0, 1, 2, 0, 0]
    assert not boxes.data[3].any() and boxes.data[2].any()


@pytest.mark.timeout(120)
def test_a_conversion_with_own_fields_is_gone_on_with(tmp_path):
    class Broken(Items):
        fails = True
        loaded: list[int] = []

        def __getitem__(self, index):
            self.loaded.append(index)
            if index == 17 and self.fails:
                raise KeyboardInterrupt
            return super().__getitem__(index)

    options = {"fields": FIELDS, "num_workers": 0, "chunksize": 5, "description": {"name": "own"}, "progress": False}
    with pytest.raises(KeyboardInterrupt):
        write_beton(Broken(), tmp_path / "resumed.beton", **options)
    assert (tmp_path / "resumed.beton.partial").stat().st_size > 0
    Broken.fails = False
    Broken.loaded.clear()
    write_beton(Broken(), tmp_path / "resumed.beton", **options)
    assert len(Broken.loaded) < COUNT  # a chunk or two of those that are there are looked at again
    write_beton(Items(), tmp_path / "whole.beton", **options)
    assert (tmp_path / "resumed.beton").read_bytes() == (tmp_path / "whole.beton").read_bytes()
