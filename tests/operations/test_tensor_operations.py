import os

import numpy as np
import pytest
import torch

from ffcv_hydra.beton import ImageArrayField, RandomAccessImageField
from ffcv_hydra.beton.fields.array_fields import NDArrayField
from ffcv_hydra.errors import PipelineError
from ffcv_hydra.operations import Convert, DivideImage255, ToDevice, ToTensor, ToTorchImage
from ffcv_hydra.operations.operation import State

CPU = torch.device("cpu")
TENSOR = State(False, CPU, (3,), torch.uint8)
ARRAY = State(True, CPU, (3,), np.dtype("u1"))


@pytest.mark.parametrize("dtype", ["u1", "u2", "i8", "f2", "f4", "?"])
def test_to_tensor_shares_the_memory_and_says_the_dtype(dtype):
    array = np.ones((2, 3), dtype=dtype)
    after, memory = ToTensor().declare_state_and_memory(State(True, CPU, (3,), array.dtype))
    tensor = ToTensor().generate_code()(array, None)
    assert memory is None and not after.jit_mode and after.dtype == tensor.dtype
    assert tensor.data_ptr() == array.ctypes.data and tensor.tolist() == array.tolist()


@pytest.mark.parametrize("dtype", ["float16", torch.float16, np.float16, np.dtype("float16")])
def test_convert_takes_names_and_dtypes(dtype):
    operation = Convert(dtype)
    source = torch.tensor([[0, 2, 255]], dtype=torch.uint8)
    assert operation.declare_state_and_memory(TENSOR)[0].dtype == torch.float16
    found = operation.generate_code()(source, None)
    assert found.dtype == torch.float16 and found.tolist() == [[0, 2, 255]]
    assert Convert("bfloat16").generate_code()(source, None).dtype == torch.bfloat16


@pytest.mark.parametrize("operation", [Convert("int8"), DivideImage255(), ToDevice("cpu")])
def test_operations_on_tensors_ask_for_one(operation):
    with pytest.raises(PipelineError, match="takes a tensor: put ToTensor before it"):
        operation.declare_state_and_memory(ARRAY)


@pytest.mark.parametrize("stored", [ImageArrayField(3, "int16"), NDArrayField("uint16", (4, 4))], ids=["image", "any"])
def test_what_was_stored_with_16_bits_is_not_divided_by_255(stored):
    operation = DivideImage255()
    operation.accept_field(stored)
    for dtype in (torch.int16, torch.int32):
        with pytest.raises(PipelineError, match="of 0 to 255, the field's are u?int16: use NormalizeImage"):
            operation.declare_state_and_memory(State(False, CPU, (3, 4, 4), dtype))
    operation.declare_state_and_memory(State(False, CPU, (3, 4, 4), torch.float32))  # of any scale


def test_levels_may_be_of_any_dtype_before_they_are_divided():
    operation = DivideImage255()
    operation.accept_field(RandomAccessImageField())
    after, _ = operation.declare_state_and_memory(State(False, CPU, (3, 4, 4), torch.int16))
    assert after.dtype == torch.float32


def test_what_is_no_image_is_not_turned():
    with pytest.raises(PipelineError, match=r"takes tensors of images \(H, W, C\); got \(4, 4\): leave it out"):
        ToTorchImage().declare_state_and_memory(State(False, CPU, (4, 4), torch.float32))


def test_what_is_impossible_is_named():
    with pytest.raises(PipelineError, match="a tensor already; leave it out"):
        ToTensor().declare_state_and_memory(TENSOR)
    with pytest.raises(PipelineError, match="torch has no dtype for arrays of <U3"):
        ToTensor().declare_state_and_memory(State(True, CPU, (3,), np.dtype("<U3")))
    for dtype in ("float31", "nn", None, np.dtype("<U3"), 5):
        with pytest.raises(PipelineError, match="Convert: dtype is a torch dtype such as float32; got"):
            Convert(dtype)
    for device in ("gpu", "cuda:x", -7):
        with pytest.raises(PipelineError, match="ToDevice: device is a name such as cuda:0, or a number; got"):
            ToDevice(device)


@pytest.mark.parametrize(
    "count, current, local_rank, expected",
    [
        (0, 0, "1", "cpu"),
        (4, 0, None, "cuda:0"),
        (4, 0, "2", "cuda:2"),
        (4, 3, "1", "cuda:3"),  # the rank has set its device
        (1, 0, "5", "cuda:0"),  # each rank sees its own device alone
    ],
)
def test_without_a_name_the_device_is_the_ranks_own(count, current, local_rank, expected, monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: current)
    monkeypatch.delenv("LOCAL_RANK", raising=False)
    if local_rank is not None:
        monkeypatch.setitem(os.environ, "LOCAL_RANK", local_rank)
    after, memory = ToDevice().declare_state_and_memory(TENSOR)
    assert after.device == torch.device(expected) and memory is None
    of_any_gpu = ToDevice("cuda").declare_state_and_memory(TENSOR)[0].device
    assert of_any_gpu == torch.device(expected if count else "cuda")  # where there is none, that is said by torch


def test_a_device_is_a_name_a_number_or_a_device():
    devices = [ToDevice(device).device for device in ("cuda:1", 1, torch.device("cuda", 1))]
    assert devices == [torch.device("cuda", 1)] * 3


@pytest.mark.parametrize(
    "device",
    ["cpu", pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU"))],
)
def test_the_memory_format_stays_on_the_way(device):
    image = torch.arange(120).reshape(2, 5, 4, 3).permute(0, 3, 1, 2)
    operation = ToDevice(device)
    operation.declare_state_and_memory(State(False, CPU, (3, 5, 4), torch.int64))
    moved = operation.generate_code()(image, None)
    assert moved.device.type == device and moved.stride() == image.stride() and torch.equal(moved.cpu(), image)
