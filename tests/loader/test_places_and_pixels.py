"""Random compositions of all that moves images: places go where the pixels go, and where torchvision puts them."""

from collections.abc import Callable
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from torchvision import tv_tensors
from torchvision.transforms.v2 import functional

from ffcv_hydra import operations as o
from ffcv_hydra.beton import (
    BoundingBoxesField,
    KeypointsField,
    MaskField,
    PolygonsField,
    RaggedArrayField,
    RandomAccessImageField,
    write_beton,
)
from ffcv_hydra.kernels.images import auto_augment
from ffcv_hydra.kernels.random.generator import fold
from ffcv_hydra.loader import Loader
from ffcv_hydra.operations.auto_augment import AutoAugmentation, magnitude_table
from tests.kernels.images.test_auto_augment import draw

pytestmark = [
    pytest.mark.timeout(300),
    pytest.mark.skipif(not hasattr(tv_tensors, "KeyPoints"), reason="torchvision has no points"),
]

COUNT = 24
FIELDS = {
    "image": RandomAccessImageField(write_mode="raw"),
    "columns": MaskField(),
    "rows": MaskField(),
    "boxes": BoundingBoxesField(),
    "numbers": RaggedArrayField("int64", follows="boxes"),
    "points": KeypointsField(2, [[0, 1]]),
    "outlines": PolygonsField(),
}


class Scene(NamedTuple):
    """Places in an image of a size of its own; the masks say of each pixel where it is from, counted from 1."""

    image: np.ndarray
    columns: np.ndarray
    rows: np.ndarray
    boxes: np.ndarray
    numbers: np.ndarray
    points: np.ndarray
    outlines: list[np.ndarray]


def scene(index: int) -> Scene:
    """Boxes of even scenes have whole sides; some points are not labelled."""
    random = np.random.default_rng(index)
    size = random.integers(30, 180, 2)
    rows, columns = (np.mgrid[: size[0], : size[1]] + 1).astype(np.uint8)
    ends = np.sort(random.uniform(0, size[::-1], (index % 4, 2, 2)), axis=1)
    ends[:, 1] = np.minimum(ends[:, 1] + 3, size[::-1])
    boxes = np.round(ends) if index % 2 == 0 else ends
    points = np.concatenate([random.uniform(0, size[::-1], (3, 2, 2)), random.integers(0, 3, (3, 2, 1))], axis=2)
    outlines = [random.uniform(0, size[::-1], (corners, 2)) for corners in random.integers(3, 7, index % 3)]
    image, numbers = np.repeat(columns[..., None], 3, axis=2), np.arange(len(boxes))
    return Scene(image, columns, rows, boxes.reshape(-1, 4), numbers, points, outlines)


SCENES = [scene(index) for index in range(COUNT)]


@pytest.fixture(scope="module")
def beton(tmp_path_factory):
    path = tmp_path_factory.mktemp("places") / "scenes.beton"
    write_beton(SCENES, path, FIELDS, num_workers=0)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # torch's threads take longer to come together than all that they do here
    yield path
    torch.set_num_threads(threads)


SIZES = st.sampled_from([41, (50, 36), (44, 70)])
SHARES = st.floats(0.05, 1)
DEGREES = st.floats(-180, 180)
DECODERS = st.one_of(
    st.builds(lambda size, low: o.RandomResizedCrop(size, [low, 1]), SIZES, SHARES),
    st.builds(o.CenterCrop, SIZES, SHARES),
    st.builds(o.Resize, SIZES.filter(lambda size: size != 41)),
    st.builds(o.ResizeShorterSide, st.integers(20, 80), SIZES),
    st.builds(o.LetterBox, SIZES),
    st.builds(o.RandomShortestSide, st.lists(st.integers(10, 60), min_size=1, max_size=3), SIZES),
    st.builds(lambda size, most, p: o.RandomZoomOut(size, [1, most], p), SIZES, st.floats(1, 5), SHARES),
)
UPRIGHT = st.one_of(
    st.builds(o.RandomHorizontalFlip, SHARES),
    st.builds(o.RandomVerticalFlip, SHARES),
    st.builds(o.RandomTranslate, st.integers(0, 30)),
    st.builds(lambda padding: o.RandomCrop([30, 33], padding), st.tuples(*[st.integers(0, 20)] * 4)),
)
SHEAR = st.floats(-40, 40)
TURNING = st.one_of(
    st.builds(lambda angle: o.RandomRotation([angle, angle]), DEGREES),
    st.builds(
        lambda angle, shift, scale, x, y: o.RandomAffine([angle, angle], shift, [scale, scale], [x, x, y, y]),
        DEGREES, st.tuples(SHARES, SHARES), st.floats(0.4, 2), SHEAR, SHEAR,
    ),
    st.builds(o.RandAugment, st.integers(0, 3), st.integers(0, 30)),
    st.builds(o.TrivialAugmentWide),
)  # fmt: skip
COMPOSITIONS = st.builds(
    lambda decoder, operations: [decoder, *operations], DECODERS, st.lists(st.one_of(UPRIGHT, TURNING), max_size=3)
)
Step = Callable[[Any], Any]


def steps_of(operation: Any, heights: np.ndarray, widths: np.ndarray, keys: np.ndarray | None) -> list[list[Step]]:
    """Per sample, what torchvision does to places by the parameters that an operation draws."""
    matrices, tall, wide, *_ = operation.maps(heights, widths, keys)
    if isinstance(operation, o.ImageDecoder):
        boxes, placed, *_ = operation.parts(heights, widths, keys)
        return [
            [_decoding(*one, *operation.output_size)]
            for one in np.concatenate([boxes, np.broadcast_to(placed, boxes.shape)], axis=1).tolist()
        ]
    if isinstance(operation, AutoAugmentation):
        bins, count = operation.num_magnitude_bins, operation.num_ops
        chosen, magnitudes = np.empty((len(keys), count), dtype=np.int64), np.empty((len(keys), count))
        table = magnitude_table(operation.space, bins, int(heights[0]), int(widths[0])).ravel()
        draw(keys, operation.magnitude, table, bins, chosen, magnitudes)
        return [[_policy(*one) for one in zip(*row, strict=True)] for row in zip(chosen, magnitudes, strict=True)]
    return [[_step(operation, *one)] for one in zip(matrices, tall.tolist(), wide.tolist(), strict=True)]


def _decoding(top, left, height, width, high, wide, above, before, *size) -> Step:  # noqa: PLR0913
    def step(places: Any) -> Any:
        resized = functional.resize(functional.crop(places, top, left, height, width), [high, wide])
        return functional.crop(resized, above, before, *size)

    return step


def _policy(chosen: int, magnitude: float) -> Step:
    shear, shift = float(np.degrees(np.arctan(magnitude))), int(magnitude)
    affine = {
        auto_augment.SHEAR_X: (0.0, [0, 0], 1.0, [shear, 0.0]),
        auto_augment.SHEAR_Y: (0.0, [0, 0], 1.0, [0.0, shear]),
        auto_augment.TRANSLATE_X: (0.0, [shift, 0], 1.0, [0.0, 0.0]),
        auto_augment.TRANSLATE_Y: (0.0, [0, shift], 1.0, [0.0, 0.0]),
    }.get(chosen)
    if affine is not None:
        return lambda places: functional.affine(places, *affine, center=[0, 0])
    return lambda places: functional.rotate(places, magnitude) if chosen == auto_augment.ROTATE else places


def _step(operation: Any, matrix: np.ndarray, height: int, width: int) -> Step:
    if isinstance(operation, o.RandomHorizontalFlip):
        # of points torchvision makes width - 1 - x
        return lambda places: places if matrix[0, 0] > 0 else _shifted(functional.horizontal_flip(places), 0)
    if isinstance(operation, o.RandomVerticalFlip):
        return lambda places: places if matrix[1, 1] > 0 else _shifted(functional.vertical_flip(places), 1)
    if isinstance(operation, (o.RandomCrop, o.RandomTranslate)):
        return lambda places: functional.crop(places, -int(matrix[1, 2]), -int(matrix[0, 2]), height, width)
    if isinstance(operation, o.RandomRotation):
        return lambda places: functional.rotate(places, operation.degrees[0])
    middle = np.array([width / 2, height / 2])
    shift = (matrix[:, :2] @ middle + matrix[:, 2] - middle).round().astype(int).tolist()
    shears = [operation.shear[0], operation.shear[2]]
    return lambda places: functional.affine(places, operation.degrees[0], shift, operation.scale[0], shears)


def _shifted(places: Any, axis: int) -> Any:
    if not isinstance(places, tv_tensors.KeyPoints):
        return places
    shifted = places.as_subclass(torch.Tensor).clone()
    shifted[..., axis] += 1
    return tv_tensors.wrap(shifted, like=places)


class Way(NamedTuple):
    """What torchvision's functions make of points in one image, step by step.

    Attributes:
        places: float64 (S + 1, K, 2), before and after each step, not clipped.
        inside: bool (S + 1, K), whether they are in the image then.
        matrix: float64 (2, 2), of all steps.
        last_turn: the last step behind which upright boxes are not; -1 if there is none.
        turns: the number of such steps.
        reach: how far off pixels may be, since each step takes the nearest, in pixels of the outcome.
        is_mirrored: whether the outcome is.
    """

    places: np.ndarray
    inside: np.ndarray
    matrix: np.ndarray
    last_turn: int
    turns: int
    reach: float
    is_mirrored: bool


def way_of(one: Scene, steps: list[Step]) -> Way:
    """The way of the corners of boxes, of points, and of the corners of polygons."""
    axes, corners = np.array([[0.0, 0], [1, 0], [0, 1]]), one.boxes[:, [[0, 1], [2, 1], [2, 3], [0, 3]]]
    everything = [axes, corners.reshape(-1, 2), one.points[..., :2].reshape(-1, 2), *one.outlines]
    places = tv_tensors.KeyPoints(torch.from_numpy(np.concatenate(everything)), canvas_size=one.rows.shape)
    found, inside = [np.asarray(places)], [np.ones(len(places), dtype=bool)]
    linear, turned = [np.eye(2)], []
    for step in steps:
        places = step(places)
        found.append(np.asarray(places))
        height, width = places.canvas_size
        inside.append(((found[-1] >= -1e-6) & (found[-1] <= [width + 1e-6, height + 1e-6])).all(1))
        linear.append((found[-1][1:3] - found[-1][0]).T)
        turned.append(np.abs(linear[-1] @ np.linalg.inv(linear[-2]))[[0, 1], [1, 0]].max() > 1e-6)
    behind = [np.abs(linear[-1] @ np.linalg.inv(before)) for before in linear]  # what pixels before a step become
    reach = 1e-3 + sum(
        0.51 * max(one.sum(1).max(), other.sum(1).max())
        for one, other in pairwise(behind)
        if np.abs(one - other).max() > 1e-6
    )
    return Way(
        np.stack(found)[:, 3:], np.stack(inside)[:, 3:], linear[-1], max(np.flatnonzero(turned), default=-1),
        sum(turned), reach, np.linalg.det(linear[-1]) < 0,
    )  # fmt: skip


class Found(NamedTuple):
    """A batch, and what torchvision does to each of its samples."""

    values: dict[str, Any]
    steps: list[list[Step]]
    ways: list[Way]


def load(beton: Any, composition: list[Any], seed: int) -> Found:
    joint = {"operations": [*composition, o.ToTensor()], "joint_with": "image"}
    pipelines = {"image": [*composition, o.ToTensor()], "columns": joint, "rows": joint}
    loader = Loader(beton, COUNT, pipelines=pipelines, seed=seed, num_workers=1)
    node = next(node for node in loader.plan.nodes if node.output == "boxes" and node.fused)
    ((ids, keys),) = loader.passes.order.samples(0, [np.arange(COUNT)])
    heights, widths, _ = node.operation.decoder.stored(ids)
    steps: list[list[Step]] = [[] for _ in ids]
    for move, part in zip(node.operation.moves, node.fused[1:], strict=True):
        own = None if part.stream is None else fold(keys, *part.stream)
        for one, more in zip(steps, steps_of(move, heights, widths, own), strict=True):
            one += more
        _, heights, widths, *_ = move.maps(heights, widths, own)
    (values,) = loader
    ways = [way_of(one, way) for one, way in zip(SCENES, steps, strict=True)]
    return Found(dict(zip(loader.output_names, values, strict=True)), steps, ways)


def kept(found: Found, sample: int) -> dict[int, np.ndarray]:
    """The boxes that are kept, by their numbers among those that are stored."""
    numbers, boxes = found.values["numbers"], found.values["boxes"]
    count = int(boxes.lengths[sample])
    assert count == numbers.lengths[sample]
    return dict(zip(numbers.data[sample, :count].tolist(), boxes.data[sample, :count].double().numpy(), strict=True))


def outlines_of(found: Found, sample: int) -> dict[int, np.ndarray]:
    """The corners of polygons of which something is left, by their numbers among those that are stored."""
    outlines = found.values["outlines"]
    rows = outlines.data[sample, : outlines.lengths[sample]].double().numpy()
    assert (np.diff(rows[:, 0]) >= 0).all() and not outlines.data[sample, len(rows) :].any()
    return {int(number): rows[rows[:, 0] == number, 1:] for number in np.unique(rows[:, 0])}


@given(composition=COMPOSITIONS, seed=st.integers(0, 1000))
@settings(max_examples=50, deadline=None, phases=[Phase.reuse, Phase.generate])
def test_places_are_where_torchvision_puts_them(beton, composition, seed):
    found = load(beton, composition, seed)
    for sample, (one, steps, way) in enumerate(zip(SCENES, found.steps, found.ways, strict=True)):
        boxes = kept(found, sample)
        theirs = tv_tensors.BoundingBoxes(torch.from_numpy(one.boxes), format="XYXY", canvas_size=one.rows.shape)
        alive = np.ones(len(theirs), dtype=bool)
        for step in steps:
            theirs = step(theirs)
            alive &= np.asarray(theirs[:, 2:] - theirs[:, :2]).min(1, initial=np.inf) > 1e-4
        for number in range(len(one.boxes)):
            is_whole = way.inside[: way.last_turn + 1, 4 * number : 4 * number + 4].all()
            if not is_whole:  # torchvision turns what is left of it, and not all
                continue
            expected = np.asarray(theirs[number])
            if alive[number] and way.turns < 2:
                assert np.allclose(boxes[number], expected, atol=5e-3)
            elif number in boxes and way.turns > 1 and (boxes[number][2:] - boxes[number][:2] > 0.01).all():
                assert (boxes[number][:2] >= expected[:2] - 5e-3).all()
                assert (boxes[number][2:] <= expected[2:] + 5e-3).all()
            elif way.turns < 2:
                assert number not in boxes or (boxes[number][2:] - boxes[number][:2]).min() < 1e-3
        check_points(found, sample)


def check_points(found: Found, sample: int) -> None:
    """Points and corners of polygons are torchvision's; what was outside of the image is not visible."""
    one, way = SCENES[sample], found.ways[sample]
    points, begin = found.values["points"].data[sample].double().numpy(), 4 * len(one.boxes)
    expected = np.concatenate([way.places[-1], way.inside.all(0)[:, None]], axis=1)[begin : begin + 6].reshape(3, 2, 3)
    labels = one.points[..., 2:]
    expected = np.where(labels > 0, expected * [1, 1, 0] + labels * expected * [0, 0, 1], one.points)
    if way.is_mirrored:
        expected = expected[:, ::-1]
    assert np.allclose(points[..., :2], expected[..., :2], atol=5e-3)
    assert (points[..., 2] == expected[..., 2]).all()
    outlines, begin = outlines_of(found, sample), begin + 6
    for number, outline in enumerate(one.outlines):
        corners = slice(begin, begin + len(outline))
        if way.inside[:, corners].all():
            assert np.allclose(outlines[number], way.places[-1][corners], atol=5e-3)
        begin += len(outline)


@given(composition=COMPOSITIONS, seed=st.integers(0, 1000))
@settings(max_examples=50, deadline=None, phases=[Phase.reuse, Phase.generate])
def test_places_are_where_their_pixels_are(beton, composition, seed):
    found = load(beton, composition, seed)
    errors = []
    for sample, (one, way) in enumerate(zip(SCENES, found.ways, strict=True)):
        columns, rows = (found.values[name][sample, ..., 0].numpy().astype(int) for name in ("columns", "rows"))
        assert ((columns == 0) == (rows == 0)).all()
        boxes = kept(found, sample)
        for number, (left, top, right, bottom) in enumerate(one.boxes if sample % 2 == 0 else []):
            within = (columns > left) & (columns <= right) & (rows > top) & (rows <= bottom)
            is_whole = way.inside[:, 4 * number : 4 * number + 4].all()
            check_box(boxes.get(number), within, way, is_whole)
        errors += errors_of_points(found, sample, columns, rows)
        check_outlines(found, sample, columns, rows)
    if len(errors) > 100:
        assert np.abs(np.mean(errors, axis=0)).max() < 0.2  # or places would be those of pixels' middles


def check_box(box: np.ndarray | None, within: np.ndarray, way: Way, is_whole: bool) -> None:
    """A box is around the pixels that were in it; exactly, if it was never turned."""
    y, x = np.nonzero(within)
    if len(x) == 0:
        assert way.turns or box is None or (box[2:] - box[:2]).min() <= 2 * way.reach
        return
    seen = np.array([x.min(), y.min(), x.max() + 1, y.max() + 1])
    if box is None:
        assert (seen[2:] - seen[:2]).min() <= way.reach
        return
    assert (seen[:2] >= box[:2] - way.reach).all() and (seen[2:] <= box[2:] + way.reach).all()
    if way.turns == 0:
        assert np.abs(seen - box).max() <= way.reach
    elif way.turns == 1 and is_whole and (box[2:] - box[:2]).min() > 12:
        assert np.abs(seen - box).max() <= way.reach + 3  # at sharp corners there are few pixels


def errors_of_points(found: Found, sample: int, columns: np.ndarray, rows: np.ndarray) -> list[np.ndarray]:
    """How far from points that are seen the pixel is put that lies there, in pixels of the outcome."""
    one, way, errors = SCENES[sample], found.ways[sample], []
    points, (height, width) = found.values["points"].data[sample].numpy(), rows.shape
    stored = one.points[:, ::-1] if way.is_mirrored else one.points
    for (x, y, visibility), source in zip(points.reshape(-1, 3), stored.reshape(-1, 3)[:, :2], strict=True):
        column, row = int(x), int(y)
        if visibility > 0 and column < width and row < height and rows[row, column] > 0:
            there = np.array([columns[row, column], rows[row, column]]) - 0.5
            error = way.matrix @ (there - source) - [column + 0.5 - x, row + 0.5 - y]
            assert np.abs(error).max() <= way.reach
            errors.append(error)
    return errors


def check_outlines(found: Found, sample: int, columns: np.ndarray, rows: np.ndarray) -> None:
    """Polygons cover the pixels that they covered, but for those on their edges, and no others."""
    one, way = SCENES[sample], found.ways[sample]
    begin, outlines = 4 * len(one.boxes) + 6, outlines_of(found, sample)
    y, x = np.mgrid[: rows.shape[0], : rows.shape[1]] + 0.5
    for number, outline in enumerate(one.outlines):
        left, moved = outlines.get(number, np.empty((0, 2))), way.places[-1][begin : begin + len(outline)]
        wrong = covers(outline, columns - 0.5, rows - 0.5) & (columns > 0) != covers(left, x, y)
        if wrong.any():
            places = np.stack([x[wrong], y[wrong]], axis=1)
            assert np.minimum(distance(moved, places), distance(left, places)).max() <= 1.5 * way.reach
        assert ((left > -1e-3) & (left < [rows.shape[1] + 1e-3, rows.shape[0] + 1e-3])).all()
        begin += len(outline)


def covers(polygon: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Whether places are in a polygon (k, 2): a ray from there crosses it an odd number of times."""
    inside = np.zeros(x.shape, dtype=bool)
    for (x0, y0), (x1, y1) in zip(polygon, np.roll(polygon, -1, axis=0), strict=True):
        if y0 != y1:
            inside ^= ((y0 <= y) != (y1 <= y)) & (x < x0 + (y - y0) / (y1 - y0) * (x1 - x0))
    return inside


def distance(polygon: np.ndarray, places: np.ndarray) -> np.ndarray:
    """float64 (n,): how far places (n, 2) are from the nearest edge of a polygon."""
    found = np.full(len(places), np.inf)
    for start, end in zip(polygon, np.roll(polygon, -1, axis=0), strict=True):
        along = end - start
        share = np.clip((places - start) @ along / max(along @ along, 1e-12), 0, 1)
        found = np.minimum(found, np.linalg.norm(places - start - share[:, None] * along, axis=1))
    return found
