"""Four images in one: torchvision's resized ones where they are said to be, with all that lies on each of the four."""

from typing import Any

import numpy as np
import pytest
import torch
from torchvision.transforms.v2 import functional

from ffcv_hydra import operations as o
from ffcv_hydra.beton import Beton, write_beton
from ffcv_hydra.collection import write_sharded_beton
from ffcv_hydra.collection.mixture import Mixture
from ffcv_hydra.errors import LoaderError, PipelineError, SampleError
from ffcv_hydra.kernels.random.draws import draw_uniforms
from ffcv_hydra.kernels.random.generator import fold, key_of
from ffcv_hydra.loader import Loader
from ffcv_hydra.operations import Mosaic, ToTensor
from ffcv_hydra.operations.maps import spread, turned
from ffcv_hydra.operations.operation import State
from ffcv_hydra.ordering import Random
from tests.loader.configurations import digests, leaves
from tests.loader.scenes import FIELDS, Scenes, scene, write_scenes

pytestmark = pytest.mark.timeout(180)

COUNT, SIDE = 24, 90
SCENES = Scenes(COUNT)


@pytest.fixture(scope="module")
def beton(tmp_path_factory):
    return write_scenes(tmp_path_factory.mktemp("mosaic") / "scenes.beton", SCENES)


def load(path, *operations: Any, batch_size: int = 12, **options: Any) -> Loader:
    image = [*operations, ToTensor()]
    pipelines = {"image": image, "mask": {"operations": image, "joint_with": "image"}} | options.pop("pipelines", {})
    return Loader(path, batch_size, pipelines=pipelines, seed=3, **{"num_workers": 2, "drop_last": True} | options)


def batch(path, *operations: Any, **options: Any) -> dict[str, Any]:
    loader = load(path, *operations, **{"batch_size": COUNT} | options)
    (values,) = loader
    return dict(zip(loader.output_names, values, strict=True))


def items(found: dict[str, Any], name: str, sample: int) -> np.ndarray:
    return found[name].data[sample, : found[name].lengths[sample]].numpy()


def plain(operation: Mosaic, images: np.ndarray, keys: np.ndarray, code: str) -> np.ndarray:
    """The outcomes by torchvision's `resize`, float64."""
    drawn = np.empty((len(images), 6))
    draw_uniforms(keys, drawn)
    height, width = operation.size or images.shape[1:3]
    result = np.broadcast_to(operation.fill, (len(images), height, width, images.shape[3])).astype(np.float64)
    for n, numbers in enumerate(drawn):
        low, high = operation.centre
        middle = [int(side * (low + (high - low) * numbers[axis])) for axis, side in enumerate((height, width))]
        for part in range(4):
            scale = operation.scale[0] + (operation.scale[1] - operation.scale[0]) * numbers[2 + part]
            size = [max(1, round(side * scale)) for side in images.shape[1:3]]
            source = torch.from_numpy(images[n // 4 * 4 + (n + part) % 4].astype(np.float32)).permute(2, 0, 1)
            resized = functional.resize(source, size, functional.InterpolationMode(code), antialias=True)
            resized = resized.permute(1, 2, 0).numpy()
            is_behind = part // 2, part % 2
            cut = tuple(
                slice(0, end - centre) if behind else slice(max(0, side - centre), None)
                for behind, centre, side, end in zip(is_behind, middle, size, (height, width), strict=True)
            )
            seen = resized[cut]
            top, left = (
                centre if behind else centre - side
                for behind, centre, side in zip(is_behind, middle, seen.shape, strict=False)
            )
            result[n, top : top + seen.shape[0], left : left + seen.shape[1]] = seen
    return result


@pytest.mark.parametrize(
    ("dtype", "channels", "options", "tolerance"),
    [
        ("uint8", 3, {}, 1), ("uint8", 3, {"size": [40, 30], "scale": [0.5, 3], "fill": [1, 2, 3]}, 1),
        ("uint8", 1, {"centre": [0, 1], "fill": 114}, 1), ("uint8", 5, {"interpolation": "nearest"}, 0),
        ("float32", 4, {"fill": 0.5}, 1e-3), ("int16", 3, {"fill": -7}, 1),
        ("int64", 2, {"interpolation": "nearest"}, 0),
    ],
)  # fmt: skip
def test_pixels_are_those_of_four_resized_images(apply, dtype, channels, options, tolerance):
    images = np.random.default_rng(0).integers(0, 256, (24, 13, 17, channels)).astype(dtype)
    operation, keys = Mosaic(**options), fold(key_of(0), np.arange(24, dtype=np.uint64))
    code = "nearest-exact" if operation.interpolation == "nearest" else "bilinear"
    found, expected = apply(operation, images), plain(operation, images, keys, code)
    assert found.dtype == images.dtype and found.shape == expected.shape
    assert np.abs(found - expected).max() <= tolerance


def test_samples_of_a_group_come_in_turn():
    assert turned(10, 4).T.tolist() == [
        [0, 1, 2, 3], [1, 2, 3, 0], [2, 3, 0, 1], [3, 0, 1, 2], [4, 5, 6, 7], [5, 6, 7, 4], [6, 7, 4, 5], [7, 4, 5, 6],
        [8, 9, 8, 9], [9, 8, 9, 8],
    ]  # fmt: skip
    assert spread(turned(4, 2), turned(4, 2)).tolist() == [[0, 1, 2, 3], [1, 0, 3, 2], [1, 0, 3, 2], [0, 1, 2, 3]]


RESIZE = o.Resize([SIDE, SIDE], "nearest")
COMPOSED = {
    "alone": [RESIZE, Mosaic()],
    "larger": [RESIZE, o.RandomHorizontalFlip(), Mosaic([150, 140], scale=[0.8, 1.5]), o.RandomTranslate(9)],
    "cropped": [o.LetterBox(SIDE, "nearest"), Mosaic(centre=[0, 1]), o.RandomVerticalFlip(), o.RandomCrop(70)],
    "of crops": [o.RandomIoUCrop(SIDE, interpolation="nearest"), Mosaic()],
    "turned": [RESIZE, Mosaic(160, scale=[0.8, 1.0]), o.RandomRotation(25)],
}


@pytest.mark.parametrize("name", COMPOSED)
def test_boxes_of_all_four_are_where_their_pixels_are_with_their_labels(beton, name):
    found = batch(beton, *COMPOSED[name])
    kept, sources = check_boxes(found, np.arange(COUNT), name)
    assert sources == {0, 1, 2, 3} and (kept > 40 or name == "turned")


def check_boxes(found: dict[str, Any], scenes: np.ndarray, name: str = "alone") -> tuple[int, set[int]]:
    """Boxes, corners and labels are where their pixels are; gives how many, and which places in a group they are of.

    Args:
        found: a batch of mosaics of one of `COMPOSED`.
        scenes: int64 (N,), the scene of each sample; those of a group are in one of four.
        name: of the operations.
    """
    kept, sources = 0, set()
    for sample in range(len(scenes)):
        mask, labels = found["mask"][sample, ..., 0].numpy(), items(found, "labels", sample)
        boxes, corners = items(found, "boxes", sample), items(found, "corners", sample)
        assert len(boxes) == len(labels) == len(corners) and len({*labels.tolist()}) == len(labels)
        group = scenes[turned(len(scenes), 4)[:, sample]].tolist()
        assert {label // 100 for label in labels.tolist()} <= {*group}
        for label, box, pair in zip(labels % 100, boxes, corners, strict=True):
            rows, columns = np.nonzero(mask == label)
            if len(rows) == 0:
                assert name == "turned" or (box[2:] - box[:2]).min() <= 2
                continue
            seen = np.array([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1])
            if name == "turned":
                assert (seen[:2] >= box[:2] - 2).all() and (seen[2:] <= box[2:] + 2).all()
                continue
            assert np.abs(seen - box).max() <= 2
            low, high = pair[:, :2].min(axis=0), pair[:, :2].max(axis=0)
            assert (low <= box[:2] + 1e-3).all() and (high >= box[2:] - 1e-3).all()
            if (pair[:, 2] > 0).all():
                assert np.abs(np.concatenate([low, high]) - box).max() < 1e-3
            kept += 1
        if name != "of crops":  # which drop boxes by their centres
            numbers, counts = np.unique(mask[mask > 0], return_counts=True)
            assert {*numbers[counts > 12].tolist()} <= {*(labels % 100).tolist()}
        sources |= {group.index(label // 100) for label in labels.tolist()}
    return kept, sources


@pytest.mark.parametrize("operations", [[RESIZE, Mosaic()], [RESIZE, Mosaic(), Mosaic(120)]], ids=["once", "twice"])
def test_points_and_polygons_of_all_come_one_after_another_and_labels_with_their_boxes(beton, operations):
    found = batch(beton, *operations)
    for sample in range(COUNT):
        sources = turned(COUNT, 4)[:, sample]
        if len(operations) > 2:
            sources = turned(COUNT, 4)[:, sources].T.ravel()
        points, outlines = items(found, "points", sample), items(found, "outlines", sample)
        expected = [(source, number) for source in sources for number in range(source % 4)]
        assert len(points) == len(expected)
        for number, pair in enumerate(points):
            if (pair[:, 2] == 2).all():  # of others a part is cut off
                assert np.allclose(outlines[outlines[:, 0] == number, 1:][::2], pair[:, :2], atol=1e-3)
        for (source, number), pair in zip(expected, points, strict=True):
            check_shape(source, number, pair)
        parts = items(found, "parts", sample)
        for number, box in enumerate(items(found, "boxes", sample)):
            corners = parts[parts[:, 0] == number, 2:]
            assert np.allclose([*corners.min(0), *corners.max(0)], box, atol=1e-3)
        assert (np.diff(parts[:, 0]) >= 0).all() and (parts[:, 0] <= number).all()
        labels, corners = items(found, "labels", sample), items(found, "corners", sample)
        for label, pair in zip(labels.tolist(), corners, strict=True):
            source = label // 100
            check_shape(source, label % 100 - 3 * (source % 4) - 1, pair)


def check_shape(source: int, number: int, pair: np.ndarray) -> None:
    """Whether two corners are those of a box of a sample, larger or smaller."""
    size, boxes = scene(int(source))
    width, height = (boxes[number, 2:] - boxes[number, :2]) * SIDE / size[::-1]
    ratio = np.divide(*(pair[1, :2] - pair[0, :2])) / (width / height)
    assert abs(ratio - 1) < 0.06  # of sizes that are whole pixels


def test_each_sample_is_the_first_of_its_own_mosaic(beton):
    centred = Mosaic(2 * SIDE, centre=[0.5, 0.5], scale=[1, 1], fill=7)
    found, single = batch(beton, RESIZE, centred)["image"], batch(beton, RESIZE, drop_last=False)["image"]
    for sample in range(COUNT):
        for part, (top, left) in enumerate([(0, 0), (0, SIDE), (SIDE, 0), (SIDE, SIDE)]):
            expected = single[sample // 4 * 4 + (sample + part) % 4]
            assert torch.equal(found[sample, top : top + SIDE, left : left + SIDE], expected)


def test_shards_and_workers_make_no_difference(beton, tmp_path):
    operations = [o.RandomResizedCrop(40), Mosaic(fill=114), o.RandomHorizontalFlip()]
    expected = digests(load(beton, *operations))
    write_sharded_beton(SCENES, tmp_path / "shards", SCENES.fields, shards=5, num_workers=0)
    assert digests(load(tmp_path / "shards", *operations, num_workers=1, os_cache=False)) == expected


def test_views_are_mosaics_of_their_own(beton):
    two = {"operations": [RESIZE, Mosaic(), ToTensor()], "views": 2}
    loader = load(beton, batch_size=COUNT, pipelines={"image": two, "mask": two | {"joint_with": "image"}})
    (values,) = loader
    views = [dict(zip(loader.output_names, view, strict=True)) for view in zip(*values, strict=True)]
    alone = batch(beton, RESIZE, Mosaic())
    for name, value in alone.items():
        assert all(map(torch.equal, leaves(value), leaves(views[0][name])))
        assert not torch.equal(*(next(iter(leaves(view[name]))).sum() for view in views))
    assert check_boxes(views[1], np.arange(COUNT))[0] > 40


@pytest.fixture(scope="module")
def others(tmp_path_factory):
    """Scenes behind those of `beton`, not of whole groups, and some without any box."""
    folder = tmp_path_factory.mktemp("others")
    return [
        write_scenes(folder / "behind.beton", Scenes(14, first=COUNT)),
        write_scenes(folder / "empty.beton", Scenes(8, first=COUNT, has_boxes=False)),
    ]


def test_groups_go_on_from_one_file_of_a_list_to_the_next(beton, others):
    found = batch([others[0], beton], RESIZE, Mosaic(), batch_size=36)
    kept, sources = check_boxes(found, np.r_[COUNT : COUNT + 14, 0:22])
    assert kept > 60 and sources == {0, 1, 2, 3}


def test_members_of_a_mixture_come_into_one_image(beton, others):
    loader = load(Mixture({beton: 0.5, others[1]: 0.5}), RESIZE, Mosaic(), batch_size=16, ordering=Random())
    ((ids, _),) = loader.passes.order.samples(0, [np.arange(16)])
    found, of_both = dict(zip(loader.output_names, next(iter(loader)), strict=True)), 0
    for sample in range(16):
        group, labels = ids[sample // 4 * 4 :][:4].tolist(), items(found, "labels", sample)
        assert {label // 100 for label in labels.tolist()} <= {one for one in group if one < COUNT}
        of_both += len(labels) * (max(group) >= COUNT)
    assert of_both > 0


@pytest.mark.parametrize("first", [RESIZE, o.RandomIoUCrop(SIDE)], ids=["resized", "cropped"])
def test_a_file_without_any_box_gives_none(others, first):
    found = batch(others[1], first, Mosaic(), o.RandomHorizontalFlip(), batch_size=8)
    for name in ("labels", "boxes", "corners", "points", "outlines", "parts"):
        assert found[name].lengths.tolist() == [0] * 8 and not found[name].data.any()
    assert found["image"].any() and not found["mask"].any()


def damaged(beton, folder, field: str, sample: int):
    """A copy with one bit flipped."""
    content = bytearray(beton.read_bytes())
    content[int(Beton(beton).extents(field)[0][sample]) + 3] ^= 1
    path = folder / f"{field}.beton"
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("field", ["image", "boxes", "labels", "corners", "points"])
def test_nothing_comes_along_of_damaged_data(beton, tmp_path, field):
    path, operations, options = damaged(beton, tmp_path, field, 6), [RESIZE, Mosaic()], {"num_workers": 1}
    with pytest.raises(SampleError, match=f"field '{field}', sample 6: the stored bytes differ"):
        batch(path, *operations)
    whole, found = batch(beton, *operations, **options), batch(path, *operations, on_error="zero", **options)
    others = torch.tensor([sample // 4 != 1 for sample in range(COUNT)])
    for name in FIELDS:
        for expected, now in zip(leaves(whole[name]), leaves(found[name]), strict=True):
            assert torch.equal(expected[others], now[others])
    for sample in range(4, 8):
        labels = items(whole, "labels", sample)
        of_it = labels // 100 == 6
        if field == "boxes":
            assert np.array_equal(items(found, "labels", sample), labels[~of_it])
            assert np.array_equal(items(found, "corners", sample), items(whole, "corners", sample)[~of_it])
        else:
            assert np.array_equal(items(found, "boxes", sample), items(whole, "boxes", sample))
            assert np.array_equal(items(found, "labels", sample), labels * ~(of_it & (field == "labels")))
        if field == "image":
            black = ((values["image"][sample] == 0).all(-1).sum() for values in (whole, found))
            assert next(black) + 200 < next(black)
        if field == "points":
            assert found["points"].lengths[sample] == whole["points"].lengths[sample] - 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch_size": 6}, "Mosaic mixes 4 neighbours in the order, so .* must be divisible by 4; it is 6"),
        ({"drop_last": False}, "which are complete with drop_last=true only; it is not for evaluation"),
        ({"on_error": "skip"}, "use on_error=raise or zero"),
    ],
)
def test_what_would_tear_a_group_apart_is_refused(beton, options, message):
    with pytest.raises(LoaderError, match=message):
        load(beton, RESIZE, Mosaic(), **options)


def test_what_would_not_come_along_is_refused(beton, tmp_path):
    remedy = "Mosaic mixes 'image', and this would say what it was; say joint_with: disabled for what shall not follow"
    with pytest.raises(PipelineError, match=f"pipeline of 'labels': {remedy}"):
        load(beton, RESIZE, Mosaic(), pipelines={"boxes": "disabled", "corners": "disabled"})
    samples = [(SCENES[index][0], index) for index in range(4)]
    write_beton(samples, tmp_path / "labels.beton", {"image": FIELDS["image"], "label": None}, num_workers=0)
    with pytest.raises(PipelineError, match=f"pipeline of 'label': {remedy}"):
        Loader(tmp_path / "labels.beton", 4, pipelines={"image": [RESIZE, Mosaic()]}, drop_last=True)
    pipelines = {"image": [RESIZE, Mosaic(), o.Mixup()]}
    pipelines |= {"label": {"operations": [o.MixedTargets(4)], "joint_with": "image"}}
    with pytest.raises(PipelineError, match=f"pipeline of 'label': {remedy}"):  # the targets are Mixup's alone
        Loader(tmp_path / "labels.beton", 4, pipelines=pipelines, drop_last=True)
    with pytest.raises(PipelineError, match="'corners': it moves with 'image', and 'boxes', .* does not; let both"):
        torn = {"boxes": {"joint_with": "disabled"}, "corners": {"joint_with": "image"}}
        load(beton, RESIZE, Mosaic(), pipelines=torn)
    with pytest.raises(PipelineError, match="'mask': geometric operation 2 is nothing, but in .* it is Mosaic"):
        load(beton, RESIZE, Mosaic(), pipelines={"mask": {"operations": [RESIZE], "joint_with": "image"}})


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"size": 0}, r"Mosaic: size is \[height, width\] in pixels"),
        ({"centre": [0.5, 1.5]}, r"Mosaic: centre is \[smallest, largest\], at least 0, at most 1"),
        ({"scale": [0, 1]}, r"Mosaic: scale is \[smallest, largest\], above 0"),
        ({"interpolation": "cubic"}, "Mosaic: interpolation is one of area, bilinear, nearest; got cubic"),
        ({"fill": "grey"}, "Mosaic: fill is a number, or a list of one per channel"),
    ],
)
def test_impossible_arguments_are_refused(arguments, message):
    with pytest.raises(PipelineError, match=message):
        Mosaic(**arguments)


def test_images_that_it_cannot_resize_or_fill_are_refused():
    def state(dtype: str) -> State:
        return State(True, torch.device("cpu"), (8, 8, 3), np.dtype(dtype))

    with pytest.raises(PipelineError, match="bilinear takes images of uint8, .*; got float64; use nearest"):
        Mosaic().declare_state_and_memory(state("float64"))
    with pytest.raises(PipelineError, match="fill 300: uint8 images hold integers up to 255"):
        Mosaic(fill=300).declare_state_and_memory(state("uint8"))
