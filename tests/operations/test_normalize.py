import numpy as np
import pytest
import torch
from torchvision.transforms.v2 import functional

from ffcv_hydra.errors import PipelineError
from ffcv_hydra.operations import NormalizeImage, NormalizeTensor
from ffcv_hydra.operations.operation import State

MEAN, STD = [123.675, 116.28, 103.53], [58.395, 57.12, 57.375]
DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU"))]


@pytest.mark.parametrize("type_", ["float32", "float16", np.float16, np.dtype("float32"), torch.float16])
def test_arrays_are_normalised_to_the_formula(type_, apply, noise):
    found = apply(NormalizeImage(MEAN, STD, type_), noise)
    expected = (noise - np.array(MEAN)) / np.array(STD)
    assert found.dtype == (np.float16 if "float16" in str(type_) else np.float32)
    assert np.array_equal(found, expected.astype(found.dtype))


@pytest.mark.parametrize("channels", [1, 4])
def test_arrays_of_any_number_of_channels(channels, apply):
    image = np.arange(256, dtype=np.uint8).repeat(channels).reshape(1, 16, 16, channels)
    found = apply(NormalizeImage([10] * channels, [2] * channels), image)
    assert np.array_equal(found, (image.astype(np.float32) - 10) / 2)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("type_", ["float32", "float16", "bfloat16"])
@pytest.mark.parametrize("contiguous", [False, True])
def test_tensors_are_normalised_where_they_are(device, type_, contiguous, noise):
    batch = torch.from_numpy(noise).to(device).permute(0, 3, 1, 2)
    batch = batch.contiguous() if contiguous else batch
    operation = NormalizeTensor(MEAN, STD, type_)
    state = State(False, torch.device(device), (3, 13, 17), torch.uint8)
    assert operation.declare_state_and_memory(state)[0].dtype == operation.dtype
    found = operation.generate_code()(batch, None)
    assert found.dtype == operation.dtype and found.device == batch.device and found.stride() == batch.stride()
    expected = functional.normalize(batch.float(), MEAN, STD)
    assert torch.allclose(found.float(), expected, rtol={"float32": 1e-6, "float16": 6e-4, "bfloat16": 4e-3}[type_])


def test_floating_tensors_are_not_changed_in_place():
    batch = torch.ones(2, 3, 4, 4)
    found = NormalizeTensor([0.5] * 3, [0.25] * 3).generate_code()(batch, None)
    assert (batch == 1).all() and (found == 2).all()


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: NormalizeImage([1, 2], [1]), "NormalizeImage: mean and std have one number per channel each"),
        (lambda: NormalizeImage([1], [0]), "std above 0"),
        (lambda: NormalizeImage("mean", [1]), "NormalizeImage: mean is a list of numbers; got mean"),
        (lambda: NormalizeImage([1], [1], "bfloat16"), "NormalizeImage: type is float32 or float16; got bfloat16"),
        (lambda: NormalizeTensor([1], [1], "uint8"), "NormalizeTensor: type is a floating torch dtype"),
    ],
)
def test_impossible_arguments_are_named(make, message):
    with pytest.raises(PipelineError, match=message):
        make()


def test_what_does_not_fit_is_refused():
    cpu = torch.device("cpu")
    with pytest.raises(PipelineError, match="takes images .H, W, C. of uint8, uint16, int16, float32; got float64"):
        NormalizeImage(MEAN, STD).declare_state_and_memory(State(True, cpu, (4, 4, 3), np.dtype("f8")))
    with pytest.raises(PipelineError, match="mean and std are of 3 channels, and images have 1"):
        NormalizeImage(MEAN, STD).declare_state_and_memory(State(True, cpu, (4, 4, 1), np.dtype("u1")))
    with pytest.raises(PipelineError, match="takes tensors .C, H, W.; got .4, 4, 3.: put ToTensor and ToTorchImage"):
        NormalizeTensor(MEAN, STD).declare_state_and_memory(State(False, cpu, (4, 4, 3), torch.uint8))
    with pytest.raises(PipelineError, match="mean and std are of 1 channel, and images have 5"):
        NormalizeTensor([1], [1]).declare_state_and_memory(State(False, cpu, (5, 4, 4), torch.uint8))
