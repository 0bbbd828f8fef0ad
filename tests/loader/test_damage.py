"""Stored data that is not what was written: found, named, and treated as the user chose."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from ffcv import fields as theirs
from ffcv.fields.basics import IntDecoder
from ffcv.fields.rgb_image import CenterCropRGBImageDecoder
from ffcv.writer import DatasetWriter

from ffcv_hydra.beton import Beton, BoundingBoxesField, RandomAccessImageField, write_beton
from ffcv_hydra.errors import LoaderError, SampleError
from ffcv_hydra.loader import Loader
from ffcv_hydra.loader.engine.rows import rows_of
from ffcv_hydra.operations import CenterCrop, PaddedArray, RandomHorizontalFlip, RandomResizedCrop, ToList
from ffcv_hydra.operations.operation import Operation, State
from ffcv_hydra.operations.to_tensor import ToTensor

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


def few(path: Path, indices: list[int], batch_size: int = 1, **options) -> Loader:
    """Single samples as they were stored; 12, 41 and 88 are damaged."""
    pipelines = {"image": [CenterCrop(8), ToTensor()], "array": "disabled"}
    return Loader(path, batch_size, pipelines=pipelines, indices=indices, on_error="skip", **options)


def labels(batches) -> list[list[int]]:
    return [batch[1][:, 0].tolist() for batch in batches]


@pytest.mark.parametrize("num_workers", [1, 4])
def test_F34_a_batch_left_empty_is_left_out(damaged, num_workers, caplog):
    loader = few(damaged, [12, 3, 41, 88, 4], num_workers=num_workers)
    running = iter(loader)
    assert labels([next(running)]) == [[3]] and loader.state_dict()["batches"] == 2
    assert [loader.sample_ids(index).tolist() for index in range(1)] == [[3]]
    assert labels(running) == [[4]] and loader.state_dict()["batches"] == len(loader) == 5
    assert loader.failed_samples == DAMAGED
    left_out = [record.getMessage() for record in caplog.records if "left out" in record.getMessage()]
    assert len(left_out) == 3 and "every sample of batch 0 of epoch 0 is damaged" in left_out[0]
    assert labels(loader) == [[3], [4]]  # in the next epoch, too


def test_F34_a_state_goes_on_behind_a_batch_that_was_left_out(damaged):
    loader = few(damaged, [3, 12, 4, 41])
    running = iter(loader)
    next(running), next(running)
    for state in (loader.state_dict(), {**loader.state_dict(), "batches": 1}):
        resumed = few(damaged, [3, 12, 4, 41])
        resumed.load_state_dict(state)
        assert labels(resumed) == ([[4]] if state["batches"] == 1 else [])
        assert resumed.sampler.epoch == 1


def test_F34_in_training_another_batch_comes_in_its_place_so_that_ranks_stay_together(damaged):
    indices = [12, 7, 3, 8, 41, 5, 88, 6]
    ranks = [few(damaged, indices, world_size=2, rank=rank, drop_last=True) for rank in range(2)]
    assert [labels(rank) for rank in ranks] == [[[3], [3], [3], [3]], [[7], [8], [5], [6]]]
    ranks[0].sampler.set_epoch(0)
    running = iter(ranks[0])
    for index, batch in enumerate(running):
        assert ranks[0].sample_ids(index).tolist() == [3] == batch[1][:, 0].tolist()
        assert ranks[0].state_dict()["batches"] == index + 1
    resumed = few(damaged, indices, world_size=2, drop_last=True)
    resumed.load_state_dict({**ranks[0].state_dict(), "batches": 2})
    assert labels(resumed) == [[3], [3]]


def test_F34_ranks_that_see_every_sample_once_stay_together_by_an_error(damaged):
    loader = few(damaged, [3, 7, 12, 8], world_size=2)
    with pytest.raises(SampleError, match="batch 1 of epoch 0 is damaged, and a rank that left it out .*on_error=zero"):
        list(loader)


@pytest.mark.parametrize("drop_last", [True, False])
def test_F34_data_without_any_good_sample_are_an_error(damaged, drop_last):
    with pytest.raises(SampleError, match="every .*sample.* is damaged.*; convert it again"):
        list(few(damaged, [12, 41], drop_last=drop_last))


def test_F34_filter_knows_which_batch_was_left_out(damaged):
    loader = few(damaged, [12, 3, 41, 4], batch_size=1)
    assert loader.filter("label", lambda label: label.item() == 4).indices.tolist() == [4]


class Gives(Operation):
    """What a user's operation may make of labels (N, 1)."""

    def __init__(self, function: Callable[[torch.Tensor], Any]) -> None:
        super().__init__()
        self.function = function

    def declare_state_and_memory(self, previous_state: State) -> tuple[State, None]:
        return previous_state, None

    def generate_code(self) -> Callable[..., Any]:
        return lambda labels, _: self.function(labels)


def all_kinds(labels: torch.Tensor) -> Any:
    names = [f"sample {label}" for label in labels[:, 0].tolist()]
    return labels, (labels, labels + 1), {"twice": labels * 2, "names": names, "scale": 0.5}, names, torch.tensor(7)


def test_F34_any_output_can_be_cut(damaged):
    label = [IntDecoder(), ToTensor(), Gives(all_kinds)]
    pipelines = {"image": [CenterCrop(8), ToTensor()], "array": "disabled", "label": label}
    ((_, (plain, pair, mapping, names, scalar)),) = Loader(
        damaged, 4, pipelines=pipelines, indices=[3, 12, 5, 41], on_error="skip"
    )
    assert plain[:, 0].tolist() == [3, 5]
    assert type(pair) is tuple and [part[:, 0].tolist() for part in pair] == [[3, 5], [4, 6]]
    assert mapping["twice"][:, 0].tolist() == [6, 10] and mapping["scale"] == 0.5
    assert mapping["names"] == names == ["sample 3", "sample 5"]
    assert scalar == 7


def test_F34_named_parts_and_lists_of_views_are_cut():
    rows, kept = np.arange(3), np.array([0, 2])
    padded = PaddedArray(torch.arange(6).view(3, 2), torch.arange(3))
    found = rows_of(padded, kept, 3)
    assert type(found) is PaddedArray and found.lengths.tolist() == [0, 2]
    assert [part.tolist() for part in rows_of([rows, rows, rows], kept, 3)] == [[0, 2]] * 3
    assert rows_of(("a", "b", "c"), kept, 3) == ("a", "c")
    assert [len(item) for item in rows_of([np.zeros(1), np.zeros(2), np.zeros(3)], kept, 3)] == [1, 3]


@pytest.mark.parametrize("views", [None, 2])
def test_a_damaged_samples_items_are_left_out_of_lists_of_any_lengths(tmp_path, views):
    """Also where all samples of a batch have as many items as it has samples."""
    samples = [(np.full((8, 8, 3), index, np.uint8), [[index, 1, 5, 6]] * 4) for index in range(4)]
    fields = {"image": RandomAccessImageField(write_mode="raw"), "boxes": BoundingBoxesField()}
    path = tmp_path / "a.beton"
    write_beton(samples, path, fields, num_workers=0)
    content = bytearray(path.read_bytes())
    content[int(Beton(path).extents("image")[0][2])] ^= 1
    path.write_bytes(content)
    pipelines = {"image": {"operations": [CenterCrop(8), ToTensor()], "views": views}, "boxes": [ToList()]}
    ((images, boxes),) = Loader(path, 4, pipelines=pipelines, num_workers=1, on_error="skip")
    for image, of_view in [(images, boxes)] if views is None else zip(images, boxes, strict=True):
        assert image[:, 0, 0, 0].tolist() == [rows[0, 0] for rows in of_view] == [0, 1, 3]
        assert [rows.shape for rows in of_view] == [(4, 4)] * 3


@pytest.mark.parametrize(("value", "what"), [(torch.zeros(2, 1), r"an array \(2, 1\)"), ({"x": object()}, "a object")])
def test_F34_what_cannot_be_cut_is_said(value, what):
    with pytest.raises(TypeError, match=what):
        rows_of(value, np.array([0, 2]), 3)


def test_F34_an_output_that_cannot_be_cut_is_named(damaged):
    label = [IntDecoder(), ToTensor(), Gives(lambda labels: (labels, labels[1:]))]
    pipelines = {"image": [CenterCrop(8), ToTensor()], "array": "disabled", "label": label}
    loader = Loader(damaged, 4, pipelines=pipelines, indices=[3, 12, 5, 41], on_error="skip")
    with pytest.raises(LoaderError, match=r"cannot leave a damaged sample out of output 'label', an array \(3, 1\)"):
        list(loader)


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
    DatasetWriter(str(path), {"image": theirs.RGBImageField(write_mode="jpg")}, num_workers=1).from_indexed_dataset(
        Images()
    )
    content = bytearray(path.read_bytes())
    offsets, sizes = Beton(path).extents("image")
    offset, size = int(offsets[5]), int(sizes[5])
    content[offset + size // 2 : offset + size] = bytes(size - size // 2)
    path.write_bytes(content)
    with pytest.raises(SampleError, match=r"stock.beton: field 'image', sample 5: the JPEG .* cannot be decoded"):
        list(Loader(path, 8))
    loader = Loader(path, 8, on_error="skip")
    assert sum(len(batch[0]) for batch in loader) == 19 and loader.failed_samples == [5]
