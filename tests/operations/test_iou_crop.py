"""Crops that boxes choose: torchvision's, the same for all that lies on an image, and read from the boxes as stored."""

import math
import shutil
from collections.abc import Iterable
from typing import Any

import numpy as np
import pytest
import torch
from torchvision import tv_tensors
from torchvision.transforms import v2

from ffcv_hydra.beton import (
    Beton,
    BoundingBoxesField,
    RandomAccessImageField,
    write_beton,
)
from ffcv_hydra.collection import write_sharded_beton
from ffcv_hydra.collection.mixture import Mixture
from ffcv_hydra.errors import PipelineError, SampleError
from ffcv_hydra.kernels.random.draws import draw_uniforms
from ffcv_hydra.kernels.random.generator import fold, key_of
from ffcv_hydra.loader import Loader
from ffcv_hydra.operations import Extents, RandomHorizontalFlip, RandomIoUCrop, Resize, ToTensor
from ffcv_hydra.ordering import QuasiRandom, Random
from tests.loader.configurations import digests, leaves
from tests.loader.scenes import Scenes, numbers_of, scene, write_scenes

pytestmark = pytest.mark.timeout(180)

COUNT = 60
SIDE = 130  # of outputs: more than any image has, so that no row or column of a crop is left out
FIELDS = ("image", "mask", "labels", "boxes", "points")
SCENES = Scenes(COUNT, FIELDS)
CROP = {"size": SIDE, "interpolation": "nearest"}


@pytest.fixture(scope="module")
def beton(tmp_path_factory):
    return write_scenes(tmp_path_factory.mktemp("iou_crop") / "scenes.beton", SCENES)


def load(path, crop: RandomIoUCrop, *others: Any, batch_size: int = COUNT, **options: Any) -> Loader:
    image = [crop, *others, ToTensor()]
    pipelines = {"image": image, "mask": {"operations": image, "joint_with": "image"}} | options.pop("pipelines", {})
    return Loader(path, batch_size, pipelines=pipelines, seed=3, **{"num_workers": 2} | options)


def batch(*arguments: Any, **options: Any) -> dict[str, Any]:
    loader = load(*arguments, **options)
    (values,) = loader
    return dict(zip(loader.output_names, values, strict=True))


def crops(images: torch.Tensor) -> np.ndarray:
    """int64 (N, 4): left, top, right, bottom of what scenes show."""
    low, high = images.amin((1, 2)).long(), images.amax((1, 2)).long()
    return torch.cat([low[:, :2] - 1, high[:, :2]], dim=1).numpy()


def with_centre(boxes: np.ndarray, crop: np.ndarray) -> np.ndarray:
    """bool (n,): which boxes have their centres in a crop."""
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2
    return ((crop[:2] < centres) & (centres < crop[2:])).all(axis=1)


def ious(boxes: np.ndarray, crop: np.ndarray) -> np.ndarray:
    """float64 (n,)."""
    sides = np.minimum(boxes[:, 2:], crop[2:]) - np.maximum(boxes[:, :2], crop[:2])
    shared = sides.clip(0).prod(axis=1)
    return shared / ((boxes[:, 2:] - boxes[:, :2]).prod(axis=1) + (crop[2:] - crop[:2]).prod() - shared)


def parts(operation: RandomIoUCrop, size: np.ndarray, boxes: np.ndarray, keys: np.ndarray) -> np.ndarray:
    """int64 (N, 4): crops of N images that are alike, as left, top, right, bottom."""
    data, count = boxes.astype(np.float32).reshape(-1).view(np.uint8), len(keys)
    stored = Extents(data, np.zeros(count, dtype=np.int64), np.full(count, data.size))
    found = operation.looking_at("boxes", BoundingBoxesField()).parts(
        *(np.full(count, side) for side in size.tolist()), keys, stored
    )
    assert found.placements.tolist() == [*operation.size, 0, 0]
    top, left, height, width = found.boxes.T
    return np.stack([left, top, left + width, top + height], axis=1)


def plain_crop(operation: RandomIoUCrop, size: np.ndarray, boxes: np.ndarray, key: np.ndarray) -> list[int]:
    """The same in plain Python."""
    drawn = np.empty((1, 20 * (1 + 4 * operation.trials)))
    draw_uniforms(key, drawn)
    numbers, (height, width) = iter(drawn[0].tolist()), size.tolist()
    while True:
        least = operation.sampler_options[int(next(numbers) * len(operation.sampler_options))]
        if least >= 1:
            return [0, 0, width, height]
        for _ in range(operation.trials):
            shares = [next(numbers) for _ in range(4)]
            span = operation.max_scale - operation.min_scale
            w, h = (int(side * (operation.min_scale + span * shares[n])) for n, side in enumerate((width, height)))
            left, top = int((width - w) * shares[2]), int((height - h) * shares[3])
            crop = np.array([left, top, left + w, top + h])
            inside = with_centre(boxes, crop)
            fits = operation.min_aspect_ratio <= w / h <= operation.max_aspect_ratio
            if fits and inside.any() and ious(boxes[inside], crop).max() >= least:
                return crop.tolist()


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"min_scale": 0.1, "max_scale": 0.8, "trials": 7},
        {"min_aspect_ratio": 0.9, "max_aspect_ratio": 1.1},
        {"min_scale": 0.3, "max_scale": 0.3, "sampler_options": [0.1, 0.3, 0.5, 1]},  # of one size, near the largest
    ],
)
def test_crops_are_those_of_a_plain_search(options):
    operation, keys = RandomIoUCrop(SIDE, **options), fold(key_of(1), np.arange(40, dtype=np.uint64))
    for index in range(1, COUNT, 7):
        size, boxes = scene(index)
        if len(boxes):
            found = parts(operation, size, boxes, keys)
            assert found.tolist() == [plain_crop(operation, size, boxes, key) for key in keys[:, None]]
            assert len(np.unique(found, axis=0)) > 10


def test_crops_are_distributed_as_torchvisions():
    size, boxes = np.array([90, 120]), np.array([[10, 10, 60, 50], [70, 30, 115, 85]])
    ours = parts(RandomIoUCrop(SIDE), size, boxes, fold(key_of(2), np.arange(20000, dtype=np.uint64)))
    inputs = [
        tv_tensors.Image(torch.zeros(3, *size)),
        tv_tensors.BoundingBoxes(torch.tensor(boxes), format="XYXY", canvas_size=tuple(size.tolist())),
    ]
    torch.manual_seed(0)
    crop, theirs = v2.RandomIoUCrop(), []
    for _ in range(1200):
        found = crop.make_params(inputs) or {"top": 0, "left": 0, "height": 90, "width": 120}
        top, left = found["top"], found["left"]
        theirs.append([left, top, left + found["width"], top + found["height"]])
    for function in (
        lambda crops: (crops == [0, 0, 120, 90]).all(axis=1), lambda crops: crops[:, 0] / 120,
        lambda crops: crops[:, 1] / 90, lambda crops: (crops[:, 2] - crops[:, 0]) / 120,
        lambda crops: (crops[:, 3] - crops[:, 1]) / 90,
    ):  # fmt: skip
        one, other = function(ours), function(np.array(theirs))
        assert abs(one.mean() - other.mean()) < 4 * math.sqrt(other.var() / len(other) + one.var() / len(one))


@pytest.mark.parametrize("least", [0.0, 0.3, 0.6])
def test_a_box_with_its_centre_in_the_crop_has_the_intersection_over_union(beton, least):
    found = batch(beton, RandomIoUCrop(**CROP, sampler_options=[least], min_scale=0.1))
    largest = []
    for index, crop in enumerate(crops(found["image"])):
        (height, width), boxes = scene(index)
        if len(boxes) == 0:
            assert crop.tolist() == [0, 0, width, height]
        elif crop.tolist() != [0, 0, width, height]:
            inside = with_centre(boxes, crop)
            assert inside.any() and ious(boxes[inside], crop).max() >= least
            largest.append(ious(boxes[inside], crop).max())
    assert len(largest) > 20 and (least > 0 or min(largest) < 0.1)


def test_what_no_crop_can_have_keeps_the_whole_image(beton):
    found = batch(beton, RandomIoUCrop(**CROP, sampler_options=[0.999]))
    assert [crop[2:].tolist() for crop in crops(found["image"])] == [scene(i)[0][::-1].tolist() for i in range(COUNT)]
    assert found["boxes"].lengths.tolist() == [index % 4 for index in range(COUNT)]


def test_no_box_is_dropped_where_the_whole_image_is_kept(tmp_path):
    image = np.zeros((60, 100, 3), dtype=np.uint8)
    path = tmp_path / "outside.beton"  # the first box has its centre outside
    fields = {"image": RandomAccessImageField(write_mode="raw"), "boxes": BoundingBoxesField()}
    write_beton([(image, [[-20, 10, 10, 30], [40, 20, 60, 40]])], path, fields, num_workers=0)
    (batch,) = Loader(path, 1, pipelines={"image": [RandomIoUCrop((60, 100), sampler_options=[1])]})
    assert batch[1].data[0].tolist() == [[0, 10, 10, 30], [40, 20, 60, 40]]


def check_places(found: dict[str, Any], scenes: Iterable[int]) -> int:
    """All that lies on images of some scenes went through their crops; gives how many boxes were dropped."""
    dropped = 0
    for place, (index, crop) in enumerate(zip(scenes, crops(found["image"]), strict=True)):
        boxes, image, mask = scene(index)[1], found["image"][place], found["mask"][place, ..., 0]
        scale = SIDE / (crop[2:] - crop[:2])
        is_mirrored = image[0, 0, 0] > image[0, -1, 0]

        def moved(places: np.ndarray, crop=crop, scale=scale, is_mirrored=is_mirrored) -> np.ndarray:
            x, y = ((places - crop[:2]) * scale).T
            return np.stack([SIDE - x if is_mirrored else x, y], axis=1)

        kept = with_centre(boxes, crop)
        dropped += int((~kept).sum())
        count, numbers = int(found["boxes"].lengths[place]), numbers_of(index)
        assert found["labels"].data[place, :count].tolist() == (100 * index + numbers[kept]).tolist()
        assert found["labels"].lengths[place] == count
        for number, box in zip(np.flatnonzero(kept), found["boxes"].data[place, :count].numpy(), strict=True):
            corners = moved(boxes[number].reshape(2, 2).astype(float))
            expected = np.concatenate([corners.min(0), corners.max(0)]).clip(0, SIDE)
            assert np.abs(box - expected).max() < 1e-3
            rows, columns = (mask == numbers[number]).nonzero(as_tuple=True)
            seen = np.array([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1])
            assert np.abs(seen - box).max() <= 0.51
        x, y = (image[..., axis].long() - 1 for axis in (0, 1))
        assert torch.equal(torch.from_numpy(Scenes(1, ["mask"], index)[0][0])[y, x], mask)
        expected = moved(boxes.reshape(-1, 2).astype(float))
        assert np.allclose(found["points"].data[place, : len(boxes), :, :2].reshape(-1, 2), expected, atol=1e-3)
    return dropped


def test_all_that_lies_on_an_image_goes_through_its_crop(beton):
    assert check_places(batch(beton, RandomIoUCrop(**CROP), RandomHorizontalFlip(0.5)), range(COUNT)) > 10


def test_views_have_crops_of_their_own(beton):
    two = {"operations": [RandomIoUCrop(**CROP), ToTensor()], "views": 2}
    loader = load(beton, RandomIoUCrop(**CROP), pipelines={"image": two, "mask": two | {"joint_with": "image"}})
    (values,) = loader
    views = [dict(zip(loader.output_names, view, strict=True)) for view in zip(*values, strict=True)]
    for name, expected in batch(beton, RandomIoUCrop(**CROP)).items():
        assert all(map(torch.equal, leaves(expected), leaves(views[0][name])))
    assert [check_places(view, range(COUNT)) > 10 for view in views] == [True, True]
    assert (crops(views[0]["image"]) != crops(views[1]["image"])).any(axis=1).sum() > 10


def test_members_of_a_mixture_are_cropped_by_their_own_boxes(beton, tmp_path):
    other = write_scenes(tmp_path / "other.beton", Scenes(11, FIELDS, first=COUNT))  # ids are the scenes' numbers
    loader = load(Mixture({beton: 0.7, other: 0.3}), RandomIoUCrop(**CROP), batch_size=40, ordering=Random())
    ((ids, _),) = loader.passes.order.samples(0, [np.arange(40)])
    found = dict(zip(loader.output_names, next(iter(loader)), strict=True))
    assert (ids >= COUNT).sum() == 12 and check_places(found, ids.tolist()) > 5


def test_images_of_a_file_without_any_box_are_whole(tmp_path):
    path = write_scenes(tmp_path / "empty.beton", Scenes(8, FIELDS, has_boxes=False))
    found = batch(path, RandomIoUCrop(**CROP, sampler_options=[0.5]), batch_size=8)
    assert [crop.tolist() for crop in crops(found["image"])] == [[0, 0, *scene(index)[0][::-1]] for index in range(8)]
    assert all(found[name].lengths.tolist() == [0] * 8 for name in ("boxes", "labels", "points"))


def test_boxes_are_looked_at_though_no_output_has_them(beton):
    crop = RandomIoUCrop(**CROP)
    whole, alone = batch(beton, crop), batch(beton, crop, pipelines={"boxes": "disabled", "labels": "disabled"})
    for name in ("image", "mask"):
        assert torch.equal(whole[name], alone[name])
    assert torch.equal(whole["points"].data, alone["points"].data)
    other = {"other": {"source": "image", "operations": [Resize([9, 9]), ToTensor()]}}
    stays = {name: {"joint_with": "other"} for name in ("points", "boxes")}
    assert torch.equal(batch(beton, crop, pipelines=other | stays)["image"], whole["image"])


def test_the_same_comes_from_pages_shards_and_mixtures_by_any_workers(beton, tmp_path):
    def loader(path, **options) -> Loader:
        return load(path, RandomIoUCrop(40), RandomHorizontalFlip(), batch_size=12, **options)

    expected = digests(loader(beton))
    assert digests(loader(beton, os_cache=False, num_workers=1)) == expected
    write_sharded_beton(SCENES, tmp_path / "shards", SCENES.fields, shards=3, num_workers=0)
    assert digests(loader(tmp_path / "shards", os_cache=False)) == expected
    by_pages = digests(loader(beton, ordering=QuasiRandom(2)))
    running = iter(found := loader(beton, os_cache=False, ordering=QuasiRandom(2)))
    assert digests(running) == by_pages
    assert digests(found) != by_pages  # of another epoch
    shutil.copy(beton, tmp_path / "again.beton")
    twice = digests(loader([beton, tmp_path / "again.beton"]))
    assert len(twice) == 10 and twice[:5] == expected


@pytest.fixture(scope="module")
def damaged(beton, tmp_path_factory):
    """The boxes of sample 7 have one bit flipped."""
    path = tmp_path_factory.mktemp("damaged") / "damaged.beton"
    content = bytearray(beton.read_bytes())
    content[int(Beton(beton).extents("boxes")[0][7])] ^= 1
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("os_cache", [True, False])
@pytest.mark.parametrize("boxes", [None, "disabled"])
def test_damaged_boxes_are_found_and_named(beton, damaged, os_cache, boxes):
    crop, options = RandomIoUCrop(**CROP), {"os_cache": os_cache, "pipelines": {"boxes": boxes}}
    with pytest.raises(SampleError, match="damaged.beton: field 'boxes', sample 7: the stored bytes differ"):
        batch(damaged, crop, **options)
    whole, zeros = batch(beton, crop, **options), batch(damaged, crop, on_error="zero", **options)
    for name, expected in whole.items():
        expected, found = (getattr(value, "data", value) for value in (expected, zeros[name]))
        others = torch.arange(COUNT) != 7
        assert torch.equal(found[others], expected[others])
        assert name == "labels" or not found[7].any()
    skipped = batch(damaged, crop, on_error="skip", **options)
    assert len(skipped["image"]) == COUNT - 1 and torch.equal(skipped["image"][7:], whole["image"][8:])


@pytest.fixture(scope="module")
def of_two(tmp_path_factory):
    """Every scene has the boxes of the one behind it, too, in another field."""
    path = tmp_path_factory.mktemp("two") / "two.beton"
    samples = [(SCENES[index][0], scene(index)[1], scene(index + 1)[1]) for index in range(COUNT)]
    fields = {"image": SCENES.fields["image"], "first": BoundingBoxesField(), "second": BoundingBoxesField()}
    write_beton(samples, path, fields, num_workers=0)
    return path


def test_it_looks_at_one_field_of_boxes(of_two, tmp_path):
    pipelines: dict[str, Any] = {"image": [RandomIoUCrop(20)]}
    what = "pipeline of 'image': RandomIoUCrop looks at"
    with pytest.raises(PipelineError, match=f"{what} one field of boxes; there are first, second; say which by looks_"):
        Loader(of_two, 4, pipelines=pipelines)
    with pytest.raises(PipelineError, match=f"{what} 'third', which is no BoundingBoxesField; there are first, second"):
        Loader(of_two, 4, pipelines={"image": [RandomIoUCrop(20, looks_at="third")]})
    list(Loader(of_two, 4, pipelines=pipelines | {"first": "disabled"}))
    list(Loader(of_two, 4, pipelines=pipelines | {"second": {"joint_with": "disabled"}}))
    path = tmp_path / "none.beton"
    write_beton([SCENES[0][:1]], path, {"image": RandomAccessImageField(write_mode="raw")}, num_workers=0)
    with pytest.raises(PipelineError, match=f"{what} one field of boxes; there is none$"):
        Loader(path, 1, pipelines=pipelines)


@pytest.mark.parametrize("chooser", ["first", "second"])
def test_of_several_fields_one_chooses_the_crop_and_all_go_with_it(of_two, chooser):
    pipelines: dict[str, Any] = {"image": [RandomIoUCrop(**CROP, looks_at=chooser), ToTensor()]}
    ((images, *fields),) = Loader(of_two, COUNT, pipelines=pipelines, seed=3)
    others = dict.fromkeys({"first", "second"} - {chooser}, "disabled")
    ((alone, _),) = Loader(of_two, COUNT, pipelines=pipelines | others, seed=3)
    assert torch.equal(images, alone)
    dropped = [0, 0]
    for index, part in enumerate(crops(images)):
        for which, found in enumerate(fields):
            boxes = scene(index + which)[1]
            kept = with_centre(boxes, part) | (part == [0, 0, *scene(index)[0][::-1]]).all()
            expected = ((boxes[kept].reshape(-1, 2, 2) - part[:2]) * SIDE / (part[2:] - part[:2])).clip(0, SIDE)
            expected = expected[(expected[:, 1] > expected[:, 0]).all(axis=1)].reshape(-1, 4)  # others lie beside it
            assert found.lengths[index] == len(expected)
            assert np.allclose(found.data[index, : len(expected)], expected, atol=1e-3)
            dropped[which] += len(boxes) - len(expected)
    assert min(dropped) > 10


def test_the_plan_says_that_boxes_are_looked_at(beton):
    text = str(load(beton, RandomIoUCrop(20)).plan)
    assert text.count("RandomIoUCrop: looks at 'boxes' as stored") == 2 and "follows RandomIoUCrop\n" in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"min_scale": 0}, r"RandomIoUCrop: \[min_scale, max_scale\] is \[smallest, largest\], above 0, at most 1"),
        ({"min_scale": 0.9, "max_scale": 0.5}, r"\[min_scale, max_scale\] is"),
        ({"min_aspect_ratio": 3}, r"RandomIoUCrop: \[min_aspect_ratio, max_aspect_ratio\] is"),
        ({"sampler_options": []}, "RandomIoUCrop: sampler_options is a list of numbers; got"),
        ({"sampler_options": [-0.1]}, "RandomIoUCrop: sampler_options are shares from 0 on; got"),
        ({"trials": 0}, "RandomIoUCrop: trials is an integer, at least 1; got 0"),
    ],
)
def test_impossible_arguments_are_refused(arguments, message):
    with pytest.raises(PipelineError, match=message):
        RandomIoUCrop(20, **arguments)
