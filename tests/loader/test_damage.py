"""Stored data that is not what was written: found, named, and treated as the user chose."""

import logging
from pathlib import Path

import numpy as np
import pytest
import torch
from ffcv.fields import RGBImageField
from ffcv.fields.rgb_image import CenterCropRGBImageDecoder
from ffcv.transforms import ToTensor
from ffcv.writer import DatasetWriter

from ffcv_hydra.beton import Beton
from ffcv_hydra.errors import LoaderError, SampleError
from ffcv_hydra.loader import Loader
from ffcv_hydra.operations import CenterCrop, RandomHorizontalFlip, RandomResizedCrop

pytestmark = pytest.mark.timeout(200)
DAMAGED = [12, 41, 88]


@pytest.fixture(scope="module")
def damaged(beton: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The images of three samples have one bit flipped each, and one has its array changed."""
    path = tmp_path_factory.mktemp("damaged") / "damaged.beton"
    content = bytearray(beton.read_bytes())
    whole = Beton(beton)
    for sample in DAMAGED:
        content[int(whole.extents("image")[0][sample]) + 400] ^= 4
    content[int(whole.extents("array")[0][7])] ^= 1
    path.write_bytes(content)
    return path


def image_loader(path: Path, **options) -> Loader:
    image = [RandomResizedCrop(16), RandomHorizontalFlip(), ToTensor()]
    return Loader(path, 10, pipelines={"image": image, "array": "disabled"}, num_workers=2, **options)


@pytest.mark.parametrize("os_cache", [True, False])
def test_R1_a_single_flipped_bit_names_file_field_and_sample(damaged, os_cache):
    with pytest.raises(SampleError, match=r"damaged.beton: field 'image', sample 12: the stored bytes differ"):
        list(image_loader(damaged, os_cache=os_cache))
    with pytest.raises(SampleError, match="field 'array', sample 7: "):
        list(Loader(damaged, 10, pipelines={"image": "disabled"}, os_cache=os_cache))


@pytest.mark.parametrize("replace", [True, False])
def test_R1_ffcvs_decoders_are_guarded_too(damaged, replace):
    pipelines = {"image": [CenterCropRGBImageDecoder((8, 8), 1.0), ToTensor()], "array": "disabled"}
    with pytest.raises(SampleError, match="field 'image', sample 12"):
        list(Loader(damaged, 10, pipelines=pipelines, replace_ffcv_operations=replace))
    loader = Loader(damaged, 10, pipelines=pipelines, replace_ffcv_operations=replace, on_error="zero")
    images = torch.cat([batch[0] for batch in loader])
    assert [index for index in range(90) if not images[index].any()] == DAMAGED == loader.failed_samples


@pytest.mark.parametrize("num_workers", [1, 4])
def test_R1_skip_leaves_damaged_samples_out_and_the_rest_unchanged(beton, damaged, num_workers):
    whole = list(image_loader(beton))
    loader = image_loader(damaged, on_error="skip")
    batches = list(loader)
    assert [len(batch[1]) for batch in batches] == [10, 9, 10, 10, 9, 10, 10, 10, 9]
    for expected, found in zip(whole, batches, strict=True):
        kept = [label not in DAMAGED for label in expected[1][:, 0].tolist()]
        assert torch.equal(expected[0][kept], found[0]) and torch.equal(expected[1][kept], found[1])
    assert loader.failed_samples == DAMAGED
    assert [loader.sample_ids(k).tolist() for k in range(9)] == [batch[1][:, 0].tolist() for batch in batches]


def test_R1_zero_keeps_the_batch_and_blanks_the_field(beton, damaged):
    whole, blanked = (
        torch.cat([batch[0] for batch in loader])
        for loader in (image_loader(beton), image_loader(damaged, on_error="zero"))
    )
    for index in range(90):
        assert torch.equal(blanked[index], torch.zeros_like(whole[index]) if index in DAMAGED else whole[index])


def test_damaged_samples_are_logged_once(damaged, caplog):
    loader = image_loader(damaged, on_error="skip")
    with caplog.at_level(logging.WARNING):
        list(loader), list(loader)
    messages = [record.getMessage() for record in caplog.records if "sample" in record.getMessage()]
    assert len(messages) == 3
    assert all(message.endswith("(skipped)") for message in messages)


def test_a_batch_left_empty_is_an_error(damaged):
    loader = Loader(
        damaged,
        1,
        pipelines={"image": [CenterCrop(8), ToTensor()], "array": "disabled"},
        indices=[3, 12],
        on_error="skip",
    )
    iterator = iter(loader)
    next(iterator)
    with pytest.raises(SampleError, match="sample 12.*and so is every other sample of this batch"):
        next(iterator)


def test_an_unknown_policy_is_refused(beton):
    with pytest.raises(LoaderError, match="on_error must be raise, skip or zero; got 'ignore'"):
        Loader(beton, 1, on_error="ignore")


def test_R1_files_of_stock_ffcv_report_what_does_not_decode(tmp_path, capsys):
    class Images:
        def __len__(self):
            return 20

        def __getitem__(self, index):
            coarse = np.random.default_rng(index).integers(0, 256, (40, 50, 3), dtype=np.uint8)
            return (coarse,)

    path = tmp_path / "stock.beton"
    DatasetWriter(str(path), {"image": RGBImageField(write_mode="jpg")}, num_workers=1).from_indexed_dataset(Images())
    content = bytearray(path.read_bytes())
    offsets, sizes = Beton(path).extents("image")
    offset, size = int(offsets[5]), int(sizes[5])
    content[offset + size // 2 : offset + size] = bytes(size - size // 2)
    path.write_bytes(content)
    with pytest.raises(SampleError, match=r"stock.beton: field 'image', sample 5: the JPEG .* cannot be decoded"):
        list(Loader(path, 8))
    loader = Loader(path, 8, on_error="skip")
    assert sum(len(batch[0]) for batch in loader) == 19 and loader.failed_samples == [5]
