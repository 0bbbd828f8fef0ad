"""Random compositions of all that moves images: places go where the pixels go, and where torchvision puts them."""

from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from torchvision import tv_tensors

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
from ffcv_hydra.kernels.random.generator import fold
from ffcv_hydra.loader import Loader
from ffcv_hydra.operations import Extents
from ffcv_hydra.operations.maps import turned
from tests.loader.scenes import Scene, random_scene
from tests.loader.ways import Step, Thing, Way, steps_of, steps_of_mosaic, way_of

pytestmark = [
    pytest.mark.timeout(300),
    pytest.mark.skipif(not hasattr(tv_tensors, "KeyPoints"), reason="torchvision has no points"),
]

COUNT = 24
MASKS = ("columns", "rows", "whose")
FIELDS = {
    "image": RandomAccessImageField(write_mode="raw"),
    **{name: MaskField() for name in MASKS},
    "boxes": BoundingBoxesField(),
    "numbers": RaggedArrayField("int64", follows="boxes"),
    "points": KeypointsField(2, [[0, 1]]),
    "outlines": PolygonsField(),
    "parts": PolygonsField(follows="boxes"),
}
SCENES = [random_scene(index) for index in range(COUNT)]
BOXES_OF_EACH = [one.boxes.astype(np.float32).ravel().view(np.uint8) for one in SCENES]  # as they are stored
STORED_SIZES = np.array([len(boxes) for boxes in BOXES_OF_EACH])
STORED_BOXES = Extents(np.concatenate(BOXES_OF_EACH), np.cumsum(STORED_SIZES) - STORED_SIZES, STORED_SIZES)


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
    st.builds(lambda size, least: o.RandomIoUCrop(size, least, sampler_options=[0, 0.3, 1]), SIZES, SHARES),
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
MOSAIC = st.builds(
    lambda size, centre, scales: o.Mosaic(size, sorted(centre), sorted(scales)),
    st.one_of(st.none(), SIZES), st.tuples(SHARES, SHARES), st.tuples(*[st.floats(0.3, 1.5)] * 2),
)  # fmt: skip
MOVES = st.lists(st.one_of(UPRIGHT, TURNING), max_size=2)
COMPOSITIONS = st.builds(
    lambda decoder, before, mosaic, after: [decoder, *before, *mosaic, *after],
    DECODERS, MOVES, st.lists(MOSAIC, max_size=1), MOVES,
)  # fmt: skip
LEAST = st.fixed_dictionaries(
    {}, optional={"min_area": st.floats(0, 200), "min_visibility": SHARES, "min_side": st.floats(0, 12)}
)


class Seen(NamedTuple):
    """A scene in one of the images of a batch.

    Attributes:
        one: the scene.
        steps: what torchvision does to it.
        way: of its places.
        centred: bool (n,), of the boxes: whether the decoder keeps them.
    """

    one: Scene
    steps: list[Step]
    way: Way
    centred: np.ndarray


class Found(NamedTuple):
    """A batch, and what is to be seen in each of its images."""

    values: dict[str, Any]
    seen: list[list[Seen]]


def load(beton: Any, composition: list[Any], seed: int, least: dict[str, float] | None = None) -> Found:
    """A batch in which `all_boxes` are those that no `least` drops."""
    joint = {"operations": [*composition, o.ToTensor()], "joint_with": "image"}
    every = {"source": "boxes", "operations": [o.FollowedBoxes()]}, {"source": "numbers", "joint_with": "all_boxes"}
    pipelines = {"image": joint["operations"], **dict.fromkeys(MASKS, joint), "boxes": [o.FollowedBoxes(**least or {})]}
    pipelines |= {"all_boxes": every[0], "all_numbers": every[1]}
    loader = Loader(beton, COUNT, pipelines=pipelines, seed=seed, num_workers=1, drop_last=True)
    node = next(node for node in loader.plan.nodes if node.output == "boxes" and node.fused)
    ((ids, keys),) = loader.passes.order.samples(0, [np.arange(COUNT)])
    heights, widths, _ = node.operation.decoder.stored(ids)
    steps: list[list[tuple[int, list[Step]]]] = [[(sample, [])] for sample in ids.tolist()]
    centred = [np.ones(len(one.boxes), dtype=bool) for one in SCENES]
    for move, part in zip(node.operation.moves, node.fused[1:], strict=True):
        own = None if part.stream is None else fold(keys, *part.stream)
        looks = {"boxes": STORED_BOXES} if isinstance(move, o.ImageDecoder) else {}
        maps = move.maps(heights, widths, own, **looks)
        if isinstance(move, o.RandomIoUCrop):
            cropped = move.parts(heights, widths, own, STORED_BOXES).boxes
            centred = [has_centres(*one) for one in zip(SCENES, cropped, strict=True)]
        if isinstance(move, o.Mosaic):
            four = steps_of_mosaic(move, int(heights[0]), int(widths[0]), own)
            steps = [
                [
                    (source, [*before, of_part[sample]])
                    for of_part, place in zip(four, places, strict=True)
                    for source, before in steps[place]
                ]
                for sample, places in enumerate(turned(COUNT, 4).T)
            ]
        else:
            more = steps_of(move, heights, widths, own, STORED_BOXES)
            steps = [
                [(source, [*before, *behind]) for source, before in of_sample]
                for of_sample, behind in zip(steps, more, strict=True)
            ]
        heights, widths = maps.heights, maps.widths
    (values,) = loader
    seen = [
        [Seen(SCENES[source], way, way_of(SCENES[source], way), centred[source]) for source, way in of_sample]
        for of_sample in steps
    ]
    return Found(dict(zip(loader.output_names, values, strict=True)), seen)


def has_centres(one: Scene, part: np.ndarray) -> np.ndarray:
    """Whether the middle of each box is in a part, top, left, height, width, or that is all."""
    corners = one.boxes.astype(np.float32).astype(np.float64).reshape(-1, 2, 2)
    begin, size, middles = part[[1, 0]], part[[3, 2]], corners.mean(axis=1)
    return ((middles > begin) & (middles < begin + size)).all(axis=1) | (tuple(part[2:]) == one.rows.shape)


def kept(found: Found, sample: int, which: str = "all_") -> dict[int, np.ndarray]:
    """The boxes that are kept, by their numbers."""
    numbers, boxes = found.values[f"{which}numbers"], found.values[f"{which}boxes"]
    count = int(boxes.lengths[sample])
    assert count == numbers.lengths[sample]
    return dict(zip(numbers.data[sample, :count].tolist(), boxes.data[sample, :count].double().numpy(), strict=True))


def polygons_of(found: Found, sample: int, name: str) -> dict[tuple[int, ...], np.ndarray]:
    """The corners of polygons of which something is left, by their numbers."""
    values = found.values[name]
    rows = values.data[sample, : values.lengths[sample]].double().numpy()
    assert (np.diff(rows[:, 0]) >= 0).all() and not values.data[sample, len(rows) :].any()
    numbers = rows[:, :-2].astype(int)
    return {tuple(one.tolist()): rows[(numbers == one).all(axis=1), -2:] for one in np.unique(numbers, axis=0)}


class Outline(NamedTuple):
    """A polygon as it is stored, what there is of it in the batch, and where all of it would be."""

    stored: np.ndarray
    left: np.ndarray
    thing: Thing


def outlines_of(found: Found, sample: int) -> list[list[Outline]]:
    """The polygons of each scene in an image, those of its boxes that are kept among them; there are no others."""
    outlines, parts = polygons_of(found, sample, "outlines"), polygons_of(found, sample, "parts")
    places, nothing = {number: place for place, number in enumerate(kept(found, sample, ""))}, np.empty((0, 2))
    result, offset = [], 0
    for one, _, way, _ in found.seen[sample]:
        of_scene = []
        for number, (outline, thing) in enumerate(zip(one.outlines, way.outlines, strict=True), offset):
            of_scene.append(Outline(outline, outlines.pop((number,), nothing), thing))
        offset += len(one.outlines)
        things = iter(way.parts)
        for box, of_box in zip(one.numbers.tolist(), one.parts, strict=True):
            for number, (part, thing) in enumerate(zip(of_box, things, strict=False)):
                if box in places:
                    of_scene.append(Outline(part, parts.pop((places[box], number), nothing), thing))
        result.append(of_scene)
    assert not outlines and not parts
    return result


@given(composition=COMPOSITIONS, seed=st.integers(0, 1000), least=LEAST)
@settings(max_examples=50, deadline=None, phases=[Phase.reuse, Phase.generate])
def test_places_are_where_torchvision_puts_them(beton, composition, seed, least):
    found = load(beton, composition, seed, least)
    for sample, of_sample in enumerate(found.seen):
        every = kept(found, sample)
        assert every.keys() <= {number for seen in of_sample for number in seen.one.numbers}
        for seen in of_sample:
            check_boxes(seen, every)
            check_least(seen, every, kept(found, sample, ""), o.FollowedBoxes(**least))
        check_points(found, sample)
        for outline in sum(outlines_of(found, sample), []):
            if outline.thing.inside.all():
                assert np.allclose(outline.left, outline.thing.places[-1], atol=5e-3)


def check_boxes(seen: Seen, boxes: dict[int, np.ndarray]) -> None:
    """Those that torchvision keeps, where it puts them."""
    one, way = seen.one, seen.way
    theirs = tv_tensors.BoundingBoxes(torch.from_numpy(one.boxes), format="XYXY", canvas_size=one.rows.shape)
    alive = np.ones(len(theirs), dtype=bool)
    for step in seen.steps:
        theirs = step(theirs)
        alive &= np.asarray(theirs[:, 2:] - theirs[:, :2]).min(1, initial=np.inf) > 1e-4
    for place, number in enumerate(one.numbers.tolist()):
        if not seen.centred[place]:
            assert number not in boxes
            continue
        if not way.boxes[place].inside[: way.last_turn + 1].all():  # torchvision turns what is left of it, and not all
            continue
        expected = np.asarray(theirs[place])
        if alive[place] and way.turns < 2:
            assert np.allclose(boxes[number], expected, atol=5e-3)
        elif number in boxes and way.turns > 1 and (boxes[number][2:] - boxes[number][:2] > 0.01).all():
            assert (boxes[number][:2] >= expected[:2] - 5e-3).all()
            assert (boxes[number][2:] <= expected[2:] + 5e-3).all()
        elif way.turns < 2:
            assert number not in boxes or (boxes[number][2:] - boxes[number][:2]).min() < 1e-3


def check_least(seen: Seen, every: dict[int, np.ndarray], left: dict[int, np.ndarray], least: o.FollowedBoxes) -> None:
    """Of all boxes those are left that have enough of area, side, and of what they would have without edges."""
    for number, thing in zip(seen.one.numbers.tolist(), seen.way.boxes, strict=True):
        if number not in every:
            assert number not in left
            continue
        sides, whole = every[number][2:] - every[number][:2], thing.around[2:] - thing.around[:2]
        slack = 5e-3 * (1 + whole.sum())
        more = [
            sides.prod() - least.min_area, sides.min() - least.min_side,
            sides.prod() - least.min_visibility * whole.prod(),
        ]  # fmt: skip
        if min(more) > slack:
            assert np.array_equal(left[number], every[number])
        elif min(more) < -slack:
            assert number not in left


def check_points(found: Found, sample: int) -> None:
    """Points are torchvision's; those outside of the image are not visible."""
    expected = []
    for one, _, way, _ in found.seen[sample]:
        places = np.concatenate([way.points.places[-1], way.points.inside.all(0)[:, None]], axis=1).reshape(3, 2, 3)
        labels = one.points[..., 2:]
        places = np.where(labels > 0, places * np.concatenate([np.ones((3, 2, 2)), labels], axis=2), one.points)
        expected.append(places[:, ::-1] if way.is_mirrored else places)
    points = found.values["points"]
    assert points.lengths[sample] == 3 * len(expected)
    assert np.allclose(points.data[sample].double().numpy(), np.concatenate(expected), atol=5e-3)


@given(composition=COMPOSITIONS, seed=st.integers(0, 1000))
@settings(max_examples=50, deadline=None, phases=[Phase.reuse, Phase.generate])
def test_places_are_where_their_pixels_are(beton, composition, seed):
    found = load(beton, composition, seed)
    errors = []
    for sample, of_sample in enumerate(found.seen):
        columns, rows, whose = (found.values[name][sample, ..., 0].numpy().astype(int) for name in MASKS)
        assert ((columns == 0) == (rows == 0)).all() and ((columns == 0) == (whose == 0)).all()
        boxes, outlines = kept(found, sample), outlines_of(found, sample)
        points = found.values["points"].data[sample].numpy().reshape(len(of_sample), -1, 3)
        for seen, of_points, of_outlines in zip(of_sample, points, outlines, strict=True):
            own = whose == seen.one.whose[0, 0]
            places = zip(seen.one.boxes, seen.one.numbers.tolist(), seen.way.boxes, seen.centred, strict=True)
            for (left, top, right, bottom), number, thing, is_centred in places:
                within = own & (columns > left) & (columns <= right) & (rows > top) & (rows <= bottom)
                if is_centred and left % 1 == 0:
                    check_box(boxes.get(number), within, seen.way, thing.inside.all())
            found_errors = errors_of_points(seen, of_points, own * columns, own * rows)
            errors += found_errors if seen.way.turns < 2 else []  # turns by little are all off to the same side
            for outline in of_outlines:
                check_outline(outline, own * columns, own * rows, seen.way.reach)
    if len(errors) > 100:  # a half if places were those of pixels' middles; a scale of just 0.5, a tie, makes a quarter
        assert np.abs(np.mean(errors, axis=0)).max() < 0.4


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


def errors_of_points(seen: Seen, points: np.ndarray, columns: np.ndarray, rows: np.ndarray) -> list[np.ndarray]:
    """How far from points that are seen the pixel is put that lies there, in pixels of the outcome."""
    way, errors, (height, width) = seen.way, [], rows.shape
    stored = seen.one.points[:, ::-1] if way.is_mirrored else seen.one.points
    for (x, y, visibility), source in zip(points, stored.reshape(-1, 3)[:, :2], strict=True):
        column, row = int(x), int(y)
        if visibility > 0 and column < width and row < height and rows[row, column] > 0:
            there = np.array([columns[row, column], rows[row, column]]) - 0.5
            error = way.matrix @ (there - source) - [column + 0.5 - x, row + 0.5 - y]
            assert np.abs(error).max() <= way.reach
            errors.append(error)
    return errors


def check_outline(outline: Outline, columns: np.ndarray, rows: np.ndarray, reach: float) -> None:
    """A polygon covers the pixels that it covered, but for those on its edges, and no others."""
    y, x = np.mgrid[: rows.shape[0], : rows.shape[1]] + 0.5
    left, moved = outline.left, outline.thing.places[-1]
    wrong = covers(outline.stored, columns - 0.5, rows - 0.5) & (columns > 0) != covers(left, x, y)
    if wrong.any():
        places = np.stack([x[wrong], y[wrong]], axis=1)
        assert np.minimum(distance(moved, places), distance(left, places)).max() <= 1.5 * reach
    assert ((left > -1e-3) & (left < [rows.shape[1] + 1e-3, rows.shape[0] + 1e-3])).all()


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
