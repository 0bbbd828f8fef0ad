"""Rows of the list of FFCV's traps that have no test of their own elsewhere, by number."""

import os
import subprocess
import sys
import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
import torch
from ffcv.fields import basics, ndarray, rgb_image
from ffcv.fields import bytes as ffcv_bytes
from ffcv.pipeline.operation import Operation
from ffcv.pipeline.pipeline_spec import PipelineSpec
from ffcv.transforms import Cutout, NormalizeImage, RandomHorizontalFlip, Squeeze, ToTensor, ToTorchImage

from ffcv_hydra import operations
from ffcv_hydra.beton import Beton, write_beton
from ffcv_hydra.errors import BetonError, PipelineError
from ffcv_hydra.loader import Loader
from ffcv_hydra.loader.engine import batch_job
from ffcv_hydra.loader.plan.node import Kind
from ffcv_hydra.operations import CenterCrop
from ffcv_hydra.ordering import QuasiRandom, Random

pytestmark = pytest.mark.timeout(200)


def only_image(*pipeline, **others):
    return {"image": list(pipeline), "label": "disabled", "array": "disabled", **others}


@pytest.mark.parametrize("index", range(2))
def test_L9_filter_keeps_ids_and_everything_else(beton, index):
    options = {"ordering": Random(), "indices": np.arange(10, 90), "seed": 3, "rank": index, "world_size": 2}
    loader = Loader(beton, 5, pipelines={"image": [CenterCrop(8), ToTensor()]}, **options)
    left = loader.filter("label", lambda label: label.item() % 7 == 3)
    assert left.indices.tolist() == [10, 17, 24, 31, 38, 45, 52, 59, 66, 73, 80, 87]
    assert (left.rank, left.world_size, left.seed, left.batch_size) == (index, 2, 3, 5)
    assert {int(label) for batch in left for label in batch[1]} <= set(left.indices.tolist())


def test_L9_an_output_that_is_not_there_is_named(beton):
    with pytest.raises(PipelineError, match="gives no output 'lable'; it gives image, label, array"):
        Loader(beton, 5, pipelines={"image": [CenterCrop(8)]}).filter("lable", bool)


@pytest.mark.parametrize("os_cache", [True, False])
def test_L12_quasi_random_is_pure_and_works_over_ranks(beton, os_cache):
    options = {"pipelines": {"image": "disabled"}, "ordering": QuasiRandom(pages=1), "os_cache": os_cache}
    whole = [batch[0] for batch in Loader(beton, 8, **options)]
    assert all(torch.equal(a, b[0]) for a, b in zip(whole, Loader(beton, 8, **options), strict=True))
    ranks = [[batch[0] for batch in Loader(beton, 4, rank=rank, world_size=2, **options)] for rank in range(2)]
    assert all(torch.equal(a, torch.cat(parts)) for a, *parts in zip(whole, *ranks, strict=True))


@pytest.mark.parametrize("expected", [1 << 16, 16])
def test_quasi_random_reads_pages_whole_and_lets_them_go(tmp_path, monkeypatch, expected):
    monkeypatch.setattr(batch_job, "_SAMPLES_EXPECTED", expected)

    class Large:
        def __len__(self):
            return 40

        def __getitem__(self, index):
            return (np.full(500_000, index, dtype=np.uint8),)

    path = tmp_path / "large.beton"
    write_beton(Large(), path, {"data": None}, num_workers=0, page_size=1 << 21)
    loader = Loader(path, 4, ordering=QuasiRandom(pages=2), os_cache=False, num_workers=1, batches_ahead=1)
    caches = []
    made = loader.passes.executor.pages
    loader.passes.executor.pages = lambda: caches.append(made()) or caches[-1]
    open_pages, seen = [], []
    for ((data, lengths),) in loader:
        assert (data == data[:, :1]).all() and (lengths == 500_000).all()
        seen += data[:, 0].tolist()
        open_pages.append(len(caches[0]))
    assert sorted(seen) == list(range(40))
    assert 1 <= max(open_pages) <= 4 and len(caches[0]) == 0


def test_R3_a_page_that_ends_early_is_an_error(beton, tmp_path):
    path = tmp_path / "short.beton"
    path.write_bytes(beton.read_bytes())
    options = {"ordering": QuasiRandom(pages=2), "os_cache": False, "num_workers": 1}
    loader = Loader(path, 4, pipelines=only_image(CenterCrop(8), ToTensor()), **options)
    pages = loader.passes.executor.pages()
    os.truncate(path, path.stat().st_size - 1)
    last = int(Beton(beton).extents("image")[0].max())
    with pytest.raises(BetonError, match=r"short.beton: the file ends before byte \d+; it was cut short"):
        pages.copy(last, 100, np.empty(100, dtype=np.uint8))


def test_L13_importing_leaves_torchs_threads_alone():
    script = (
        "import sys, torch; torch.set_num_threads(3); import ffcv_hydra.ffcv_bridge; "
        "assert 'ffcv' in sys.modules; assert torch.get_num_threads() == 3"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


def test_L15_scratch_belongs_to_threads_not_to_samples(beton):
    loader = Loader(beton, 45, pipelines=only_image(rgb_image.RandomResizedCropRGBImageDecoder((8, 8)), ToTensor()))
    for _ in range(3):
        list(loader)
    assert loader.passes.executor.memory.pool.allocated() <= 5 * 45 * 8 * 8 * 3
    largest = 70 * 70 * 3  # decoded, and as it is stored
    in_use = sum(len(scratch.buffer("pixels", 0)) for scratch in loader.passes.scratches[0])
    assert in_use <= loader.num_workers * 2 * largest


def test_R6_opening_many_samples_makes_no_object_per_sample(tmp_path):
    class Many:
        def __len__(self):
            return 100_000

        def __getitem__(self, index):
            return index, np.array([index % 200], dtype=np.uint8)

    path = tmp_path / "many.beton"
    write_beton(Many(), path, None, num_workers=0, chunksize=10_000)
    tracemalloc.start()
    loader = Loader(path, 100)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20e6  # 1,000,000 samples at 0.2 kB each would be 200 MB; arrays alone are 5 MB here
    assert len(loader) == 1_000


class InPlace(Operation):
    """What FFCV's colour operations do: they change the memory they are given."""

    def declare_state_and_memory(self, previous_state):
        return replace(previous_state, jit_mode=True), None

    def generate_code(self):
        def blank(images, _):
            images[:] = 0
            return images

        return blank


@pytest.mark.parametrize("operation", [InPlace(), Cutout(8)])
def test_T2_outputs_that_share_a_decoder_have_their_own_data(beton, operation):
    crop = CenterCrop(8)
    outputs = only_image(crop, ToTensor(), changed=PipelineSpec(crop, transforms=[operation, ToTensor()]))
    expected = torch.cat([batch[0] for batch in Loader(beton, 30, pipelines=only_image(CenterCrop(8), ToTensor()))])
    batches = list(Loader(beton, 30, pipelines=outputs))
    assert torch.equal(torch.cat([batch[0] for batch in batches]), expected)
    assert not torch.cat([batch[1] for batch in batches]).any()


@pytest.mark.parametrize("replace_ffcv_operations", [True, False])
def test_T5_int16_images_stay_int16(tmp_path, replace_ffcv_operations):
    class Depth:
        def __len__(self):
            return 4

        def __getitem__(self, index):
            return (np.full((2, 3, 1), 1000 + index, dtype=np.int16),)

    path = tmp_path / "depth.beton"
    write_beton(Depth(), path, {"depth": None}, num_workers=0)
    pipelines = {"depth": [ndarray.NDArrayDecoder(), ToTensor(), ToTorchImage()]}
    images = next(iter(Loader(path, 4, pipelines=pipelines, replace_ffcv_operations=replace_ffcv_operations)))[0]
    assert images.dtype == (torch.int16 if replace_ffcv_operations else torch.float16)
    if replace_ffcv_operations:
        assert images[:, 0, 0, 0].tolist() == [1000, 1001, 1002, 1003]


def test_T5_float16_of_ffcvs_normalisation_still_comes_as_float16(beton):
    mean, std = np.zeros(3), np.full(3, 255.0)
    image = [CenterCrop(8), NormalizeImage(mean, std, np.float16), ToTensor(), ToTorchImage()]
    images = next(iter(Loader(beton, 8, pipelines=only_image(*image))))[0]
    assert images.dtype == torch.float16 and 0 < images.max() <= 1


@pytest.mark.parametrize("batch_size", [1, 4])
def test_T7_squeeze_never_removes_the_batch(beton, batch_size):
    loader = Loader(
        beton, batch_size, pipelines={"image": "disabled", "label": [basics.IntDecoder(), ToTensor(), Squeeze()]}
    )
    assert next(iter(loader))[0].shape == (batch_size,)


def test_T7_squeeze_takes_axes_and_names_those_that_are_not_there(beton):
    squeezed = [CenterCrop((1, 8)), ToTensor(), operations.Squeeze(1)]
    assert next(iter(Loader(beton, 1, pipelines=only_image(*squeezed))))[0].shape == (1, 8, 3)
    assert next(iter(Loader(beton, 1, pipelines=only_image(*squeezed[:2], operations.Squeeze(0, 2)))))[0].shape == (
        1,
        1,
        8,
        3,
    )
    with pytest.raises(PipelineError, match="Squeeze: a batch of samples"):
        Loader(beton, 1, pipelines=only_image(*squeezed[:2], operations.Squeeze(5)))


@pytest.mark.parametrize("decoder", [ndarray.NDArrayDecoder(), None])
def test_T9_arrays_are_decoded_by_all_threads(beton, decoder):
    pipeline = None if decoder is None else [decoder, ToTensor()]
    loader = Loader(beton, 80, pipelines={"image": "disabled", "array": pipeline}, num_workers=2)
    step = next(step for step in loader.plan.steps if step.nodes[0].field == "array")
    assert step.kind is Kind.CHUNK
    job = next(loader.passes.batch_jobs(loader.passes.executor, 0, 0))
    loader.passes.executor.start(job)
    assert len([task for task in job.tasks if task[0] is step]) >= 2


def test_T9_bytes_are_decoded_by_all_threads(tmp_path):
    class Texts:
        def __len__(self):
            return 64

        def __getitem__(self, index):
            return (np.arange(index, dtype=np.uint8),)

    write_beton(Texts(), tmp_path / "texts.beton", {"text": None}, num_workers=0)
    for pipeline in (None, [ffcv_bytes.BytesDecoder(), ToTensor()]):
        loader = Loader(tmp_path / "texts.beton", 64, pipelines={"text": pipeline}, num_workers=2)
        assert loader.plan.steps[0].kind is Kind.CHUNK


def test_ffcvs_operations_are_replaced_where_ours_mean_the_same(beton):
    pipelines = {
        "image": [
            rgb_image.RandomResizedCropRGBImageDecoder((8, 8)),
            RandomHorizontalFlip(),
            ToTensor(),
            ToTorchImage(),
        ],
        "label": [basics.IntDecoder(), ToTensor()],
        "array": "disabled",
    }
    first, second = (list(Loader(beton, 30, pipelines=pipelines, ordering=Random())) for _ in range(2))
    assert all(torch.equal(a[0], b[0]) for a, b in zip(first, second, strict=True))  # ours are seeded
    ours = [operations.RandomResizedCrop(8), operations.RandomHorizontalFlip(), ToTensor(), ToTorchImage()]
    third = list(Loader(beton, 30, pipelines={**pipelines, "image": ours}, ordering=Random()))
    assert all(torch.equal(a[0], b[0]) for a, b in zip(first, third, strict=True))


def test_subclasses_of_ffcvs_operations_are_left_alone(beton):
    class Fixed(rgb_image.CenterCropRGBImageDecoder):
        pass

    loader = Loader(beton, 30, pipelines=only_image(Fixed((8, 8), 1.0), ToTensor()))
    assert isinstance(loader.plan.steps[0].nodes[0].operation.original, Fixed)
