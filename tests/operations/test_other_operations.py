import numpy as np
import pytest
import torch
from ffcv.fields.bytes import BytesDecoder as FFCVBytesDecoder
from ffcv.transforms import ToTorchImage

from ffcv_hydra.beton import unpack_json, write_beton
from ffcv_hydra.errors import PipelineError
from ffcv_hydra.loader import Loader
from ffcv_hydra.operations import DivideImage255, RandomHorizontalFlip
from ffcv_hydra.operations.operation import State
from ffcv_hydra.operations.to_tensor import ToTensor
from ffcv_hydra.ordering.options import OrderOption

pytestmark = pytest.mark.timeout(120)


class Arrays:
    """Float32 images, which are flipped as they are, with text and JSON of different lengths."""

    def __len__(self) -> int:
        return 64

    def __getitem__(self, index: int):
        image = np.arange(24, dtype=np.float32).reshape(2, 4, 3) + index
        return image, np.arange(index % 5, dtype=np.uint8), {"index": index}, index / 2


@pytest.fixture(scope="module")
def beton(tmp_path_factory: pytest.TempPathFactory):
    path = tmp_path_factory.mktemp("arrays") / "arrays.beton"
    names = {"image": None, "bytes": None, "json": None, "float": None}
    write_beton(Arrays(), path, names, num_workers=0)
    return path


@pytest.mark.parametrize("p, expected", [(0.0, 0), (1.0, 64)])
def test_flip_with_certainty(beton, p, expected):
    images = next(iter(Loader(beton, 64, pipelines={"image": [RandomHorizontalFlip(p), ToTensor()]})))[0]
    original = torch.from_numpy(np.stack([Arrays()[index][0] for index in range(64)]))
    flipped = [torch.equal(image, before.flip(1)) for image, before in zip(images, original, strict=True)]
    assert sum(flipped) == expected
    assert expected or torch.equal(images, original)


def test_flip_is_decided_per_sample_with_the_probability(beton):
    loader = Loader(beton, 64, pipelines={"image": [RandomHorizontalFlip(0.25), ToTensor()]})
    flipped = sum(int((image[0, 0, 0] > image[0, 1, 0]).item()) for _ in range(20) for image in next(iter(loader))[0])
    counts = []
    for epoch in range(20):
        loader.sampler.set_epoch(epoch)
        counts.append(sum(int(image[0, 0, 0] > image[0, 1, 0]) for image in next(iter(loader))[0]))
    assert flipped % 20 == 0  # one epoch again and again
    assert len(set(counts)) > 3
    assert 240 < sum(counts) < 400  # of 1280; five standard deviations around a quarter


def test_R4_bytes_come_padded_and_with_their_lengths(beton):
    for batch_size in (64, 7):  # 7: buffers are used again, and rows were longer before
        seen = 0
        for _, (data, lengths), _, _ in Loader(beton, batch_size, ordering=OrderOption.RANDOM):
            assert data.shape[1] == 4 and data.dtype == torch.uint8 and lengths.dtype == torch.int64
            for row, length in zip(data, lengths.tolist(), strict=True):
                assert row.tolist() == list(range(length)) + [0] * (4 - length)
            seen += len(lengths)
        assert seen == 64


def test_R4_bytes_decoded_by_a_pipeline_are_a_tensor_without_a_stale_tail(beton):
    for _, data, _, _ in Loader(beton, 7, pipelines={"bytes": [FFCVBytesDecoder(), ToTensor()]}):
        assert all(row.tolist() in ([*range(n), *[0] * (4 - n)] for n in range(5)) for row in data)


def test_R5_json_is_unpacked_from_tensors_of_any_device(beton):
    batch = next(iter(Loader(beton, 64)))[2]
    assert unpack_json(batch) == unpack_json(batch.numpy()) == [{"index": index} for index in range(64)]

    class Elsewhere(torch.Tensor):  # as a CUDA tensor, which NumPy cannot read
        def numpy(self, **_):
            raise TypeError("can't convert a tensor of another device to numpy")

        def cpu(self):
            return self.as_subclass(torch.Tensor)

    assert unpack_json(batch.as_subclass(Elsewhere))[5] == {"index": 5}


def test_floats_come_as_float64(beton):
    floats = next(iter(Loader(beton, 64)))[3]
    assert floats.dtype == torch.float64 and floats[:, 0].tolist() == [index / 2 for index in range(64)]


@pytest.mark.parametrize("dtype", [torch.float32, "float16", "bfloat16"])
def test_divide_converts_and_scales_without_touching_its_input(beton, dtype):
    divide = DivideImage255(dtype)
    source = torch.tensor([[0, 51, 255]], dtype=torch.uint8)
    result = divide.generate_code()(source, None)
    assert result.dtype == divide.dtype
    assert torch.allclose(result.float(), torch.tensor([[0, 0.2, 1.0]]), atol=1e-3)
    already = torch.full((1, 3), 255.0, dtype=divide.dtype)
    assert divide.generate_code()(already, None).eq(1).all() and already.eq(255).all()


def test_divide_keeps_channels_last(beton):
    pipeline = [ToTensor(), ToTorchImage(), DivideImage255()]
    images = next(iter(Loader(beton, 8, pipelines={"image": pipeline})))[0]
    assert images.shape == (8, 3, 2, 4) and images.is_contiguous(memory_format=torch.channels_last)


def test_impossible_arguments_are_named():
    with pytest.raises(PipelineError, match="p is a number, at least 0, at most 1; got 1.5"):
        RandomHorizontalFlip(1.5)
    for dtype in ("int8", "float31", torch.uint8):
        with pytest.raises(PipelineError, match="floating torch dtype"):
            DivideImage255(dtype)
    with pytest.raises(PipelineError, match="takes .H, W. or .H, W, C."):
        RandomHorizontalFlip().declare_state_and_memory(State(True, torch.device("cpu"), (3,), np.dtype("u1")))


def test_ours_say_that_ffcvs_loader_cannot_run_them():
    with pytest.raises(PipelineError, match="RandomHorizontalFlip runs in ffcv_hydra's Loader only"):
        RandomHorizontalFlip().generate_code()
