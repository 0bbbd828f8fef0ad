"""FFCV's operations and users' own, in this loader."""

import os
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from ffcv.fields.basics import IntDecoder
from ffcv.fields.ndarray import NDArrayDecoder
from ffcv.fields.rgb_image import CenterCropRGBImageDecoder
from ffcv.pipeline.compiler import Compiler
from ffcv.transforms import Cutout, ReplaceLabel, ToDevice, ToTorchImage

from ffcv_hydra.beton import Beton
from ffcv_hydra.errors import SampleError
from ffcv_hydra.loader import Loader
from ffcv_hydra.operations import CenterCrop
from ffcv_hydra.operations.operation import AllocationQuery, Operation
from ffcv_hydra.operations.to_tensor import ToTensor

pytestmark = pytest.mark.timeout(300)
COMPILED = {"image": "disabled", "label": [IntDecoder(), ToTensor()]}


class AddShared(Operation):
    """A user's operation with FFCV's shared memory and the batch's indices."""

    def declare_state_and_memory(self, previous_state):
        return replace(previous_state, jit_mode=True), AllocationQuery(previous_state.shape, previous_state.dtype)

    def declare_shared_memory(self, previous_state):
        return AllocationQuery((1,), np.dtype("int64"))

    def generate_code_for_shared_state(self):
        def prepare(shared):
            shared[:] = 1000

        return prepare

    def generate_code(self):
        my_range = Compiler.get_iterator()

        def add(labels, destination, indices, shared):
            for position in my_range(len(labels)):
                destination[position] = labels[position] + indices[position] + shared[position]
            return destination

        add.is_parallel = True
        add.with_indices = True
        return add


class Raises(Operation):
    def declare_state_and_memory(self, previous_state):
        return replace(previous_state, jit_mode=True), None

    def generate_code(self):
        def fail(batch, _):
            if batch[0, 0] >= 10:
                raise ValueError("on purpose")
            return batch

        return fail


@pytest.mark.parametrize("os_cache", [True, False])
def test_ffcvs_operations_run_and_agree_with_ours(beton, os_cache):
    sizes = Beton(beton).field_metadata("image")
    shorter = np.minimum(sizes["height"], sizes["width"])
    indices = np.flatnonzero((shorter >= 40) & (shorter < 80))  # INTER_AREA makes smaller ones grow in another way
    pipelines = {
        "image": [CenterCropRGBImageDecoder((40, 40), 1.0), Cutout(4), ToTensor(), ToTorchImage()],
        "label": [IntDecoder(), ReplaceLabel([3, 5], 77), ToTensor()],
        "array": [NDArrayDecoder(), ToTensor()],
    }
    options = {"os_cache": os_cache, "num_workers": 2, "replace_ffcv_operations": False, "indices": indices}
    theirs = list(Loader(beton, 32, pipelines=pipelines, **options))
    ours = list(Loader(beton, 32, pipelines={"image": [CenterCrop(40), ToTensor(), ToTorchImage()]}, indices=indices))
    for (image, label, array), (our_image, our_label, our_array) in zip(theirs, ours, strict=True):
        kept = (image != 0).any(1)
        cut = image.shape[2] * image.shape[3] - kept.flatten(1).sum(1)
        assert (cut >= 16).all() and (cut < 60).all()
        difference = (image.int() - our_image.int()).abs() * kept[:, None]
        assert difference.max() <= 1
        assert torch.equal(torch.where(our_label == 3, 77, torch.where(our_label == 5, 77, our_label)), label)
        assert torch.equal(array, our_array)


@pytest.mark.parametrize("num_workers", [1, 2])
def test_a_users_operation_gets_memory_indices_and_shared_state(beton, num_workers):
    loader = Loader(
        beton, 40, pipelines={"image": "disabled", "label": [AddShared(), ToTensor()]}, num_workers=num_workers
    )
    labels = torch.cat([batch[0] for batch in loader])[:, 0]
    assert labels.tolist() == [1000 + 2 * label for label in range(90)]


def test_L1_an_error_in_compiled_code_reaches_the_consumer(beton):
    iterator = iter(Loader(beton, 10, pipelines={"image": "disabled", "label": [Raises(), ToTensor()]}))
    next(iterator)
    named = "one of the samples 10, 11, 12, 13, 14, 15, 16, 17, ...: Raises: ValueError: on purpose"
    with pytest.raises(SampleError, match=f"field 'label', {named}"):
        next(iterator)


def test_L13_thread_counts_of_the_process_stay(beton):
    before = torch.get_num_threads(), Compiler.num_threads
    list(Loader(beton, 40, pipelines=COMPILED, num_workers=2, replace_ffcv_operations=False))
    assert (torch.get_num_threads(), Compiler.num_threads) == before


def test_L14_more_workers_than_numba_has_threads_work(beton):
    loader = Loader(beton, 40, pipelines=COMPILED, num_workers=64, replace_ffcv_operations=False)
    assert torch.cat([batch[0] for batch in loader])[:, 0].tolist() == list(range(90))


@pytest.mark.slow
@pytest.mark.parametrize("layer", ["workqueue", "omp"])
def test_L16_loaders_run_side_by_side_under_every_threading_layer(beton, layer):
    script = f"""
import threading
from ffcv.fields.rgb_image import CenterCropRGBImageDecoder
from ffcv_hydra.operations.to_tensor import ToTensor
from ffcv_hydra import Loader

def run():
    image = [CenterCropRGBImageDecoder((8, 8), 1.0), ToTensor()]
    loader = Loader({str(beton)!r}, 5, pipelines={{"image": image}}, num_workers=2, replace_ffcv_operations=False)
    for _ in range(5):
        counts.append(len(list(loader)))

counts = []
threads = [threading.Thread(target=run) for _ in range(3)]
for thread in threads: thread.start()
for thread in threads: thread.join()
assert counts == [18] * 15, counts
import numba
assert numba.threading_layer() == {layer!r}
"""
    environment = {**os.environ, "NUMBA_THREADING_LAYER": layer, "NUMBA_NUM_THREADS": "2"}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr


def test_L17_a_device_may_be_named_by_a_string(beton):
    pipeline = [CenterCrop(8), ToTensor(), ToDevice("cpu"), ToTorchImage()]
    images = next(iter(Loader(beton, 8, pipelines={"image": pipeline})))[0]
    assert images.shape == (8, 3, 8, 8)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_L5_memory_of_a_copy_under_way_is_not_used_again(beton):
    loader = Loader(beton, 8, pipelines={"image": [CenterCrop(256), ToTensor()]}, batches_ahead=1)
    expected = [batch[0].clone() for batch in loader]
    loader.sampler.set_epoch(0)
    copies = []
    for batch in loader:
        assert batch[0].is_pinned()
        torch.cuda._sleep(10_000_000)
        copies.append(batch[0].to("cuda", non_blocking=True))
    assert all(torch.equal(copy.cpu(), image) for copy, image in zip(copies, expected, strict=True))
