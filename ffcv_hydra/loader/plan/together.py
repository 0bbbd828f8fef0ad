"""That outputs which belong together move their pixels alike.

Outputs belong together if they are joint, or if one of them holds places in the images of the other and does not say
`joint_with: disabled`.
"""

from collections.abc import Sequence

import numpy as np

from ffcv_hydra.beton import Beton
from ffcv_hydra.beton.fields.image_fields import is_image
from ffcv_hydra.beton.reading.source_names import with_name
from ffcv_hydra.errors import PipelineError
from ffcv_hydra.loader.plan.following import follows
from ffcv_hydra.loader.plan.levels import is_normalized, largest_level
from ffcv_hydra.loader.plan.movement import Move, holds_places, moves_of
from ffcv_hydra.loader.plan.node import Node, with_parents
from ffcv_hydra.loader.plan.plan import Picture, Plan
from ffcv_hydra.operations import MixedTargets
from ffcv_hydra.pipeline import DISABLED

_SAMPLES_AT_ONCE = 1 << 20


def check_joint(plan: Plan, beton: Beton) -> None:
    """Compare outputs that share their draws, view by view; targets of mixed images share no place, and places follow.

    Raises:
        PipelineError: they differ in a geometric operation, or in the sizes of the stored images.
    """
    for request in plan.requests:
        if request.joint_with != request.output:
            for end, partner in zip(plan.ends(request.output), plan.ends(request.joint_with), strict=True):
                if not (follows(end) or any(isinstance(node.operation, MixedTargets) for node in with_parents(end))):
                    _compare(beton, end, partner)


def _compare(beton: Beton, end: Node, partner: Node) -> None:
    output, other = end.output, partner.output
    mine, theirs = moves_of(end), moves_of(partner)
    for place, moves in ((other, theirs), (output, mine)):
        for move in moves:
            if move.alone is not None:
                raise PipelineError(f"pipeline of '{place}': '{output}', which is joint with '{other}', {move.alone}")
    difference = _difference(mine, theirs)
    if difference is not None:
        number, found, expected = difference
        advice = "make them equal"
        if not is_image(beton.fields[end.field]):
            advice = f"no operation moves arrays: leave it out, or say joint_with: {DISABLED} and move them yourself"
        raise PipelineError(
            f"pipeline of '{output}': geometric operation {number} is {found}, but in '{other}', which it is "
            f"joint with, it is {expected}; {advice}"
        )
    _check_sizes(beton, output, end.field, other, partner.field)


def pictures(plan: Plan, beton: Beton) -> dict[str, Picture]:
    """What is known of each output that is images or holds places in them, and which ones it belongs together with.

    Raises:
        PipelineError: places would not move as the images do, and nothing says that they shall not.
    """
    last = {output: plan.ends(output)[0] for output in plan.outputs}
    holders, images = [], []
    for request in plan.requests:
        field = last[request.output].field
        stored = beton.fields[field]
        if holds_places(field, stored, beton.extents(field) is not None):
            holders.append(request)
        elif is_image(stored):
            images.append(request)
    everything = (*images, *holders)
    together = {
        one.output: {other.output for other in everything if other.joint_with == one.joint_with} - {one.output}
        for one in everything
    }
    names = {image.output for image in images}
    for holder in holders:
        if holder.stays or not images or not names.isdisjoint(together[holder.output]):
            continue
        moves = moves_of(last[holder.output])
        owners = [image.output for image in images if moves_of(last[image.output]) == moves]
        if not owners:
            raise _torn_apart(beton, last[holder.output], last[images[0].output])
        for owner in owners:
            together[holder.output].add(owner)
            together[owner].add(holder.output)
    masks = {holder.output for holder in holders}
    return {
        output: Picture(
            node.state,
            is_image(beton.fields[node.field]),
            output in masks,
            frozenset(together[output]),
            largest_level(node),
            is_normalized(node),
        )
        for output, node in last.items()
        if output in together
    }


def _torn_apart(beton: Beton, holder: Node, image: Node) -> PipelineError:
    difference = _difference(moves_of(holder), moves_of(image))
    if difference is None:
        text = next(move.text for move in moves_of(holder) if move.draws is not None)
        why = f"each has a {text} of its own"
    else:
        number, found, expected = difference
        why = f"geometric operation {number} is {found}, but there it is {expected}"
    alike = f"say joint_with: {image.output} and make them equal"
    if not is_image(beton.fields[holder.field]):
        alike = f"leave the pixels of '{image.output}' where they are"  # no operation moves arrays
    return PipelineError(
        f"pipeline of '{holder.output}': it holds places in '{image.output}', and would not move with it: {why}; "
        f"{alike}, or say joint_with: {DISABLED} for what shall not follow"
    )


def _difference(mine: Sequence[Move], theirs: Sequence[Move]) -> tuple[int, str, str] | None:
    """Number, from 1 on, and texts of the first moves that differ."""
    for position in range(max(len(mine), len(theirs))):
        found, expected = (moves[position] if position < len(moves) else Move("nothing") for moves in (mine, theirs))
        if found.text != expected.text:
            return position + 1, str(found), str(expected)
    return None


def _check_sizes(beton: Beton, output: str, field: str, other: str, other_field: str) -> None:
    columns = beton.field_metadata(field), beton.field_metadata(other_field)
    for side in ("height", "width"):
        if any(side not in (column.dtype.names or ()) for column in columns):
            return
        sides = [column[side] for column in columns]
        if len({int(bound) for one in sides for bound in (one.min(), one.max())}) == 1:
            continue
        for start in range(0, beton.num_samples, _SAMPLES_AT_ONCE):
            mine, theirs = (one[start : start + _SAMPLES_AT_ONCE] for one in sides)
            if different := np.flatnonzero(mine != theirs).tolist():
                sample = np.array([start + different[0]])
                rows = [column[sample][0] for column in columns]
                sizes = [f"{row['height']} x {row['width']}" for row in rows]
                raise PipelineError(
                    f"{beton.path}: sample {with_name(int(sample[0]), beton.sample_name)}: '{output}' has {sizes[0]} "
                    f"pixels, and '{other}', which it is joint with, {sizes[1]}; store both at one size"
                )
