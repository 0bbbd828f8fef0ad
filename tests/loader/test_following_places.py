"""Boxes, points and polygons go where the pixels go that they were drawn on, and items with their boxes."""

from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from ffcv_hydra import operations as o
from ffcv_hydra.beton import BoundingBoxesField, MaskField, write_beton
from ffcv_hydra.collection import write_sharded_beton
from ffcv_hydra.errors import PipelineError
from ffcv_hydra.loader import Loader
from ffcv_hydra.operations import FollowedBoxes, PaddedArray, RandomResizedCrop, ToList, ToTensor
from ffcv_hydra.ordering import Random
from tests.loader.configurations import check_resume, digests, joined, of_chunks
from tests.loader.scenes import Scenes, write_scenes

pytestmark = pytest.mark.timeout(180)

COUNT = 48
FIELDS = ("image", "labels", "boxes", "corners", "outlines", "parts")
SCENES = Scenes(COUNT, FIELDS)


@pytest.fixture(scope="module")
def beton(tmp_path_factory):
    return write_scenes(tmp_path_factory.mktemp("following") / "scenes.beton", SCENES)


OPTIONS = ("num_workers", "ordering", "rank", "world_size")


def load(beton, image: Any, batch_size: int = COUNT, **pipelines: Any) -> Loader:
    options = {name: pipelines.pop(name) for name in OPTIONS if name in pipelines}
    return Loader(beton, batch_size, pipelines={"image": image, **pipelines}, seed=3, **{"num_workers": 1, **options})


def batch(beton, *image: Any, **pipelines: Any) -> Any:
    """The only batch, in the order of the file, with the names of its outputs."""
    loader = load(beton, [*image, ToTensor()], **pipelines)
    (values,) = loader
    return dict(zip(loader.output_names, values, strict=True))


def test_points_that_leave_the_image_are_marked_and_change_places_in_a_mirror(beton):
    mirrored = batch(beton, o.Resize([50, 50]), o.RandomHorizontalFlip(1.0))
    turned = batch(beton, o.Resize([50, 50]), o.RandomHorizontalFlip(1.0), o.RandomVerticalFlip(1.0))
    plain = batch(beton, o.Resize([50, 50]))
    expected = plain["corners"].data.clone()
    labelled = expected[..., 2] > 0
    expected[..., 0][labelled] = 50 - expected[..., 0][labelled]
    assert torch.allclose(mirrored["corners"].data, expected.flip(2))
    expected[..., 1][labelled] = 50 - expected[..., 1][labelled]
    assert torch.allclose(turned["corners"].data, expected, atol=1e-4)  # twice mirrored is turned

    cropped = batch(beton, o.CenterCrop(30, 0.4), boxes="disabled")["corners"]
    inside = ((cropped.data[..., :2] >= 0) & (cropped.data[..., :2] <= 30)).all(-1)
    exists = (torch.arange(cropped.data.shape[1]) < cropped.lengths[:, None])[..., None].expand(inside.shape)
    assert torch.equal(cropped.data[..., 2], torch.where(inside & exists, 2.0, 0.0))
    assert (~inside & exists).any() and (inside & exists).any()


@pytest.mark.parametrize(
    ("options", "keeps"),
    [
        ({"min_area": 100}, lambda area, side, share: area >= 100),
        ({"min_side": 9}, lambda area, side, share: side >= 9),
        ({"min_visibility": 0.6}, lambda area, side, share: share >= 0.6),
        ({"min_area": 40, "min_side": 3, "min_visibility": 0.2}, lambda a, s, v: a >= 40 and s >= 3 and v >= 0.2),
    ],
)
def test_boxes_with_too_little_left_are_dropped(beton, options, keeps):
    image = RandomResizedCrop(40, [0.3, 0.6])
    every = batch(beton, image, outlines="disabled")
    corners = batch(beton, image, boxes="disabled", labels="disabled")["corners"]
    some = batch(beton, image, boxes=[FollowedBoxes(**options)], outlines="disabled")
    dropped = 0
    for sample in range(COUNT):
        expected = []
        for row in range(every["boxes"].lengths[sample]):
            label, box = int(every["labels"].data[sample, row]), every["boxes"].data[sample, row]
            before = corners.data[sample, (label - 1) % 100 % 3, :, :2]
            width, height = (box[2:] - box[:2]).tolist()
            share = width * height / float((before.amax(0) - before.amin(0)).prod())
            if keeps(width * height, min(width, height), share):
                expected.append(label)
            else:
                dropped += 1
        count = int(some["boxes"].lengths[sample])
        assert some["labels"].data[sample, :count].tolist() == expected
        assert not some["boxes"].data[sample, count:].any() and not some["labels"].data[sample, count:].any()
        assert not some["corners"].data[sample, count:].any() and some["corners"].lengths[sample] == count
    assert dropped > 3


def test_polygons_go_with_their_boxes_and_have_the_numbers_of_these(beton):
    crop = RandomResizedCrop(40, [0.3, 0.6]), o.RandomHorizontalFlip()
    found = batch(beton, *crop, boxes=[FollowedBoxes(min_side=5)])
    boxes, parts, outlines = (found[name] for name in ("boxes", "parts", "outlines"))
    dropped = 0
    for sample in range(COUNT):
        rows = parts.data[sample, : parts.lengths[sample]]
        numbers = range(int(boxes.lengths[sample]))
        expected = [(number, part) for number in numbers for part in range(1 + sample % 3)]
        assert list(dict.fromkeys(map(tuple, rows[:, :2].int().tolist()))) == expected
        for number, part in expected:
            corners = rows[(rows[:, 0] == number) & (rows[:, 1] == part), 2:]
            around = torch.cat([corners.amin(0), corners.amax(0)])
            assert torch.allclose(around, boxes.data[sample, number], atol=1e-3)
        every = outlines.data[sample, : outlines.lengths[sample], 0].unique()
        dropped += len(every) - len(numbers)
        assert not parts.data[sample, len(rows) :].any()
    assert dropped > 3


def test_what_is_cut_away_stays_away(beton):
    """A shift brings nothing back that a crop before it has left out."""
    found = batch(beton, o.CenterCrop(40, 0.5), o.RandomTranslate(20))
    image, boxes = found["image"], found["boxes"]
    for sample in range(COUNT):
        empty = (image[sample] == 0).all(-1)
        for left, top, right, bottom in boxes.data[sample, : boxes.lengths[sample]].round().int().tolist():
            assert not empty[top:bottom, left:right].any()


def test_without_an_image_or_disabled_they_are_as_stored(beton):
    stays = {name: {"joint_with": "disabled"} for name in ("boxes", "outlines")}  # and what follows the boxes
    moved = batch(beton, RandomResizedCrop(20), **stays)
    alone = batch(beton, RandomResizedCrop(20), **stays)
    loader = Loader(beton, COUNT, pipelines={"image": "disabled"}, num_workers=1)
    (found,) = loader
    for values in (moved, alone, dict(zip(loader.output_names, found, strict=True))):
        for sample in range(COUNT):
            _, labels, boxes, corners, outlines, parts = SCENES[sample]
            count = sample % 4
            assert values["labels"].data[sample, :count].tolist() == labels.tolist()
            expected = np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], axis=1)
            assert values["boxes"].data[sample, :count].tolist() == expected.tolist()
            assert values["corners"].data[sample, :count, :, :2].tolist() == corners.tolist()
            expected = [list(corner) for outline in outlines for corner in outline]
            assert values["outlines"].data[sample, : 4 * count, 1:].tolist() == expected
            expected = [list(corner) for outlines in parts for outline in outlines for corner in outline]
            assert values["parts"].data[sample, : len(expected), 2:].tolist() == expected


def test_views_have_boxes_of_their_own(beton):
    image = {"operations": [RandomResizedCrop(30), ToTensor()], "views": 3}
    loader = load(beton, image, outlines="disabled")
    ((images, labels, boxes, points, _),) = loader
    assert len(images) == len(labels) == len(boxes) == len(points) == 3
    assert len({tuple(one.data.ravel().tolist()) for one in boxes}) == 3
    for label, box, point in zip(labels, boxes, points, strict=True):
        assert torch.equal(label.lengths, box.lengths) and torch.equal(point.lengths, box.lengths)


def test_one_view_is_the_first_of_several(beton):
    one = batch(beton, RandomResizedCrop(30), o.RandomHorizontalFlip())
    several = load(beton, {"operations": [RandomResizedCrop(30), o.RandomHorizontalFlip(), ToTensor()], "views": 2})
    ((_, _, boxes, *_),) = several
    assert torch.equal(one["boxes"].data, boxes[0].data)


def test_lists_and_targets_are_as_torchvisions_detectors_take_them(beton):
    found = batch(beton, RandomResizedCrop(30), boxes=[FollowedBoxes(min_side=1), ToList()], labels=[ToList()])
    padded = batch(beton, RandomResizedCrop(30), boxes=[FollowedBoxes(min_side=1)])
    assert isinstance(padded["boxes"], PaddedArray)
    targets = o.to_targets(boxes=found["boxes"], labels=found["labels"])
    same = o.to_targets(boxes=padded["boxes"], labels=padded["labels"])
    assert len(targets) == COUNT and any(len(target["boxes"]) for target in targets)
    for one, other in zip(targets, same, strict=True):
        assert one["boxes"].shape == (len(one["labels"]), 4) and one["boxes"].dtype == torch.float32
        assert one["labels"].dtype == torch.int64
        assert torch.equal(one["boxes"], other["boxes"]) and torch.equal(one["labels"], other["labels"])
    with pytest.raises(PipelineError, match="ToList takes values with their lengths, .*; got Tensor"):
        o.to_targets(images=found["image"])


MOVING = [RandomResizedCrop(30), o.RandomHorizontalFlip(), o.RandomRotation(30), o.RandomTranslate(4), ToTensor()]


def loader(path, batch_size: int = 12, **options: Any) -> Loader:
    return load(path, MOVING, batch_size, ordering=Random(), boxes=[FollowedBoxes(min_visibility=0.3)], **options)


def test_they_do_not_depend_on_workers_chunks_ranks_or_shards(beton, tmp_path):
    expected = digests(loader(beton))
    assert digests(loader(beton, num_workers=2)) == digests(loader(beton, num_workers=3)) == expected
    assert digests(of_chunks(loader(beton), 4)) == expected
    write_sharded_beton(SCENES, tmp_path / "shards", SCENES.fields, shards=3, num_workers=0)
    assert digests(loader(tmp_path / "shards")) == expected
    whole = digests(joined([batch]) for batch in loader(beton))
    ranks = [loader(beton, 6, rank=rank, world_size=2) for rank in (0, 1)]
    assert digests(joined(list(parts)) for parts in zip(*ranks, strict=True)) == whole


def test_a_resumed_epoch_goes_on_with_the_same_boxes(beton):
    check_resume(loader(beton), loader(beton, num_workers=2), batches=2)


def test_a_smaller_output_has_smaller_boxes(beton):
    found = load(beton, [o.Resize([40, 40]), ToTensor()])
    (large,) = found
    found.set_output_size("image", lambda epoch: 20)
    (small,) = found
    assert torch.allclose(large[2].data, 2 * small[2].data)


class Silent(o.ImageOperation):
    """Moves pixels, and does not say where to."""

    geometric = True

    def run(self, source, target, chunk):
        target[:] = source[:, ::-1]


@pytest.mark.parametrize(
    ("operations", "what"),
    [
        ([Silent(), ToTensor()], "cannot follow .*Silent, which does not say where it moves them; use another"),
        ([o.Mixup(), ToTensor()], "cannot follow what .*Mixup does; leave it out"),
        ([ToTensor(), o.ToTorchImage(), nn.MaxPool2d(2)], "cannot follow .*MaxPool2d"),
    ],
)
def test_an_image_that_cannot_be_followed_is_refused(beton, operations, what):
    expected = f"pipeline of 'boxes': it holds places in 'image', and {what}.*; or say joint_with: disabled for what"
    with pytest.raises(PipelineError, match=expected) as error:
        load(beton, [o.CenterCrop(20), *operations])
    assert "\n" not in str(error.value)


def test_items_of_boxes_are_split_by_what_drops_them_too(beton):
    split = [o.PrefixedDecoder(), ToTensor(), o.SplitPrefixed()]
    with pytest.raises(PipelineError, match="'labels': its items go with 'boxes'; put KeptItems in the place of Split"):
        load(beton, [o.CenterCrop(20)], labels={"operations": split, "joint_with": "boxes"})
    kept = [*split[:2], o.KeptItems()]
    found = batch(beton, o.CenterCrop(20), labels={"operations": kept, "joint_with": "boxes"})
    assert torch.equal(found["labels"].lengths, found["boxes"].lengths)


def test_of_several_images_one_has_to_be_named(beton):
    other = {"source": "image", "operations": [o.CenterCrop(20), ToTensor()]}
    with pytest.raises(PipelineError, match="'boxes': it holds places in one of image, other; say which by joint_with"):
        load(beton, [o.Resize([30, 30]), ToTensor()], other=other, corners="disabled", outlines="disabled")
    named = {name: {"joint_with": "other"} for name in ("boxes", "corners", "outlines")}
    found = batch(beton, o.Resize([30, 30]), other=other, **named)
    assert torch.equal(found["boxes"].data, batch(beton, o.CenterCrop(20))["boxes"].data)


def test_a_mask_beside_the_image_is_no_image_to_choose(tmp_path):
    fields = {"image": None, "mask": MaskField(), "boxes": BoundingBoxesField()}
    samples = [(Image.new("RGB", (40, 30)), np.zeros((30, 40), np.uint8), [[4, 3, 8, 15]])] * 4
    write_beton(samples, tmp_path / "a.beton", fields, num_workers=0)
    pipelines = {"image": [o.Resize([60, 20])], "mask": {"operations": [o.Resize([60, 20])], "joint_with": "image"}}
    ((_, _, boxes),) = Loader(tmp_path / "a.beton", 4, pipelines=pipelines, num_workers=1)
    assert boxes.data.tolist() == [[[2, 6, 4, 30]]] * 4


def test_the_plan_says_what_is_followed(beton):
    text = str(load(beton, [RandomResizedCrop(30), o.RandomHorizontalFlip(), ToTensor()]).plan)
    assert "FollowedBoxes\n    follows RandomResizedCrop\n    follows RandomHorizontalFlip\n" in text
