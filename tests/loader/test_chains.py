"""Chains of image functions give what the same operations give one by one, whatever happens to the stored images."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from ffcv_hydra import operations
from ffcv_hydra.beton import Beton, GrayscaleImageField, MaskField, RandomAccessImageField, write_beton
from ffcv_hydra.errors import SampleError
from ffcv_hydra.loader import Loader
from ffcv_hydra.loader.plan import schedule
from ffcv_hydra.operations import (
    Cutout,
    NormalizeImage,
    RandomCrop,
    RandomErasing,
    RandomHorizontalFlip,
    RandomTranslate,
    RandomVerticalFlip,
    ToTensor,
    ToTorchImage,
    WholeImage,
)
from ffcv_hydra.ordering import QuasiRandom, Random, Sequential
from ffcv_hydra.pipeline import FieldPipeline
from tests.loader.configurations import ONLY_IMAGE, check_resume, digests, of_chunks

pytestmark = pytest.mark.timeout(200)
DAMAGED = [0, 5, 6, 7, 20, 47]
NORMALIZE = NormalizeImage([120.0] * 3, [60.0] * 3)


class Pixels:
    def __len__(self) -> int:
        return 48

    def __getitem__(self, index: int):
        random = np.random.default_rng(index)
        image = Image.fromarray(random.integers(0, 256, (24, 20, 3), dtype=np.uint8))
        return image, random.integers(0, 2**16, (24, 20), dtype=np.uint16), random.integers(0, 5, (24, 20), np.uint8)


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("chains") / "pixels.beton"
    fields = {"image": RandomAccessImageField("raw"), "depth": GrayscaleImageField(bits=16), "mask": MaskField()}
    write_beton(Pixels(), path, fields, num_workers=0)
    return path


@pytest.fixture(scope="module")
def damaged(stored: Path) -> Path:
    content, path = bytearray(stored.read_bytes()), stored.with_name("damaged.beton")
    for sample in DAMAGED:
        content[int(Beton(stored).extents("image")[0][sample]) + 1000] ^= 1
    path.write_bytes(content)
    return path


CHAINS: dict[str, Callable[[], list[Any]]] = {
    "as stored": lambda: [ToTensor()],
    "flipped": lambda: [RandomHorizontalFlip(), ToTensor(), ToTorchImage()],
    "cifar": lambda: [RandomHorizontalFlip(), RandomTranslate(2), Cutout(8), ToTensor(), ToTorchImage()],
    "table": lambda: [RandomHorizontalFlip(), NORMALIZE, ToTensor()],
    "channels first": lambda: [RandomHorizontalFlip(), NORMALIZE, ToTensor(), ToTorchImage(channels_last=False)],
    "sizes": lambda: [RandomVerticalFlip(), RandomCrop([30, 12], 5, 0, "reflect"), RandomErasing(), ToTensor()],
    "broken by others": lambda: [
        Cutout(4), operations.ColorJitter(0.4, 0.4), RandomTranslate(3), RandomErasing(value="random"),
        operations.Mixup(0.4), RandomHorizontalFlip(), NORMALIZE, ToTensor(),
    ],
}  # fmt: skip


def make(path: Path, name: str, **options: Any) -> Loader:
    depth = [RandomHorizontalFlip(), Cutout(5, 60_000), ToTensor()]
    pipelines = {"image": [WholeImage(), *CHAINS[name]()], "depth": depth, "mask": "disabled"}
    return Loader(path, 10, pipelines=pipelines, **{"ordering": Random(), "num_workers": 2, "seed": 3, **options})


def functions(loader: Loader) -> int:
    branches = [branch for step in loader.plan.steps for link in step.links for branch in link.branches]
    return sum(len(branch.functions or ()) for branch in branches)


def one_by_one(monkeypatch: pytest.MonkeyPatch, *arguments: Any, **options: Any) -> Loader:
    """The loader without chains: each operation runs on chunks by itself, behind `decode_shared`."""
    with monkeypatch.context() as patch:
        patch.setattr(WholeImage, "is_stored_as_made", lambda *_: False)
        patch.setattr("ffcv_hydra.loader.plan.links.ImageFunctionOperation", type("None_", (), {}))
        loader = make(*arguments, **options)
    assert functions(loader) == 0
    return loader


@pytest.mark.parametrize("name", CHAINS)
def test_the_same_batches_as_one_by_one(stored, monkeypatch, name):
    expected = digests(one_by_one(monkeypatch, stored, name))
    for options in ({}, {"os_cache": False}, {"num_workers": 5, "batches_ahead": 1}):
        loader = make(stored, name, **options)
        assert functions(loader) >= 2
        assert digests(loader) == expected
        loader = make(stored, name, **options)
        assert digests(of_chunks(loader, 6)) == expected
    by_pages = {"ordering": QuasiRandom(1), "os_cache": False}
    assert digests(make(stored, name, **by_pages)) == digests(one_by_one(monkeypatch, stored, name, **by_pages))
    check_resume(make(stored, name), make(stored, name, num_workers=1, os_cache=False), batches=2)


def test_all_views_of_an_image_go_through_their_chains_when_it_is_decoded(scenes, monkeypatch):
    def load() -> Loader:
        tail = [operations.ColorJitter(0.4, 0.4), RandomVerticalFlip(), NORMALIZE, ToTensor(), ToTorchImage(False)]
        chain = [operations.RandomResizedCrop(24), RandomHorizontalFlip()]
        pipelines = ONLY_IMAGE | {
            "image": [*chain, *tail],
            "mask": FieldPipeline([*chain, RandomVerticalFlip(), ToTensor()], joint_with="image"),
            "views": FieldPipeline([operations.RandomResizedCrop(16), *tail], source="image", views=3),
        }
        return Loader(scenes, 16, pipelines=pipelines, ordering=Random(), num_workers=2, seed=5)

    loader = load()
    (decoding,) = [link for step in loader.plan.steps for link in step.links if link.nodes[0].field == "image"]
    assert [len(branch.functions) for branch in decoding.branches] == [3] * 4
    with monkeypatch.context() as patch:
        for module in ("links", "schedule"):
            patch.setattr(f"ffcv_hydra.loader.plan.{module}.ImageFunctionOperation", type("None_", (), {}))
        other = load()
    assert functions(other) == 0
    assert digests(loader) == digests(other)


@pytest.mark.parametrize("os_cache", [True, False])
@pytest.mark.parametrize("on_error", ["zero", "skip"])
@pytest.mark.parametrize("name", [name for name in CHAINS if name != "broken by others"])
def test_damaged_samples_are_treated_as_one_by_one(damaged, monkeypatch, name, on_error, os_cache):
    options = {"on_error": on_error, "os_cache": os_cache}
    loader, other = make(damaged, name, **options), one_by_one(monkeypatch, damaged, name, **options)
    assert digests(loader) == digests(other)
    assert loader.failed_samples == other.failed_samples == DAMAGED


def test_a_damaged_sample_is_named(damaged):
    with pytest.raises(SampleError, match=r"damaged.beton: field 'image', sample \d+: the stored bytes differ"):
        list(make(damaged, "cifar"))
    with pytest.raises(SampleError, match="field 'image', sample 0: the stored bytes differ"):
        list(make(damaged, "cifar", ordering=Sequential()))


def test_masks_that_are_not_stored_as_pixels_are_decoded(stored):
    flipped = {"image": "disabled", "depth": "disabled", "mask": [RandomHorizontalFlip(0.0), Cutout(0), ToTensor()]}
    masks = torch.cat([batch[0] for batch in Loader(stored, 10, pipelines=flipped)])
    assert np.array_equal(masks[..., 0], np.stack([Pixels()[index][2] for index in range(48)]))


def test_what_an_operation_of_a_chain_raises_names_the_samples_and_the_operations(stored, monkeypatch):
    loader = make(stored, "cifar")
    monkeypatch.setattr(operations.image_chain, "run_image_chain", lambda *_: 1 / 0)
    with pytest.raises(SampleError, match=r"samples? .*: WholeImage .*\+ Cutout: ZeroDivisionError"):
        list(loader)


@pytest.mark.parametrize(
    ("num_workers", "batches_ahead", "expected"), [(1, 3, 512), (2, 3, 512), (2, 1, 256), (8, 3, 128)]
)
def test_tasks_of_a_chain_are_as_large_as_leaves_work_for_all_threads(stored, num_workers, batches_ahead, expected):
    step = make(stored, "cifar").plan.steps[0]
    assert schedule.chain_chunk_size(step, 512, num_workers, batches_ahead) == expected
