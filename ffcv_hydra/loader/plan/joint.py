"""Which random numbers a node draws, and that outputs which belong together move their pixels alike.

Each output has two streams of random numbers: one for operations that move pixels, which joint outputs share, and one
for all others, so that colours may change in an image without a difference to its mask. Outputs belong together if they
are joint, or if one of them holds places in the images of the other and does not say `joint_with: disabled`. Knows
nodes, not batches.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from ffcv_hydra.beton import Beton
from ffcv_hydra.beton.fields.image_fields import is_image
from ffcv_hydra.errors import PipelineError
from ffcv_hydra.kernels.random.generator import key_of_name
from ffcv_hydra.loader.plan.levels import is_normalized, largest_level
from ffcv_hydra.loader.plan.movement import Move, holds_places, moves_of, with_parents
from ffcv_hydra.loader.plan.plan import Node, Picture
from ffcv_hydra.loader.plan.requests import Request
from ffcv_hydra.operations import MixedTargets, MixingOperation
from ffcv_hydra.pipeline import DISABLED


class Streams:
    """Hands out the streams of one chain of nodes, in their order.

    Args:
        output: the chain's output.
        joint_with: the output whose geometric draws it shares; itself if it shares none.
        view: which view of the output the chain makes.
    """

    def __init__(self, output: str, joint_with: str, view: int) -> None:
        self.view = view
        self._geometric = [key_of_name(f"{joint_with}/geometric"), 0]
        self._other = [key_of_name(output), 0]

    def next_of(self, node: Node) -> tuple[int, int, int] | None:
        """(stream, ordinal, view) of the chain's next node; None if it is not random."""
        random = node.found.random if node.found else getattr(node.operation, "random", False)
        if not random:
            return None
        counter = self._geometric if getattr(node.operation, "geometric", False) else self._other
        counter[1] += 1
        return counter[0], counter[1] - 1, self.view


def check_joint(beton: Beton, partner: Sequence[Node], chain: Sequence[Node]) -> None:
    """Compare two chains that share their draws.

    Raises:
        PipelineError: they differ in a geometric operation, or in the sizes of the stored images.
    """
    output, other = chain[-1].output, partner[-1].output
    mine, theirs = moves_of(chain[-1]), moves_of(partner[-1])
    for place, moves in ((other, theirs), (output, mine)):
        for move in moves:
            if move.alone is not None:
                raise PipelineError(f"pipeline of '{place}': '{output}', which is joint with '{other}', {move.alone}")
    difference = _difference(mine, theirs)
    if difference is not None:
        number, found, expected = difference
        advice = "make them equal"
        if not is_image(beton.fields[chain[-1].field]):
            advice = f"no operation moves arrays: leave it out, or say joint_with: {DISABLED} and move them yourself"
        raise PipelineError(
            f"pipeline of '{output}': geometric operation {number} is {found}, but in '{other}', which it is "
            f"joint with, it is {expected}; {advice}"
        )
    _check_sizes(beton, output, chain[0].field, other, partner[0].field)


def pictures(beton: Beton, requests: Sequence[Request], last: Mapping[str, Node]) -> dict[str, Picture]:
    """What is known of each output that is images or holds places in them, and which ones it belongs together with.

    Args:
        beton: the open file.
        requests: the outputs.
        last: their nodes, of the first view.

    Raises:
        PipelineError: places would not move as the images do, and nothing says that they shall not.
    """
    holders, images = [], []
    for request in requests:
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


def follow_mixing(targets: Node, partner: Sequence[Node] | None) -> None:
    """Let a node of `MixedTargets` use the draws of the mixing operation in `partner`, the chain that it is joint with.

    Raises:
        PipelineError: there is no such operation, or more than one.
    """
    mixing = [node for node in partner or () if isinstance(node.operation, MixingOperation)]
    if len(mixing) != 1:
        known = f"'{partner[-1].output}' has {len(mixing)} of them" if partner else "it is joint with no output"
        raise PipelineError(
            f"pipeline of '{targets.output}': MixedTargets follows one Mixup or CutMix of the output that joint_with "
            f"names; {known}"
        )
    assert isinstance(targets.operation, MixedTargets) and isinstance(mixing[0].operation, MixingOperation)
    targets.operation.mixing = mixing[0].operation
    targets.operation.mixing_shape = (int(mixing[0].state.shape[0]), int(mixing[0].state.shape[1]))
    targets.stream = mixing[0].stream


def check_mixed(beton: Beton, requests: Sequence[Request], last: Mapping[str, Node]) -> None:
    """Check that what is said of images follows where these are mixed.

    Args:
        beton: the open file.
        requests: the outputs.
        last: their nodes, of the first view.

    Raises:
        PipelineError: images are mixed, no targets follow, and there is a field beside them that does not say it stays.
    """
    nodes = [node for end in last.values() for node in with_parents(end)]
    followers = [node for node in nodes if isinstance(node.operation, MixedTargets) or node.name == "LabelMixup"]
    followed = {getattr(node.operation, "mixing", "ImageMixup") for node in followers}
    follow = {node.output for node in followers}
    labels = [
        request.output
        for request in requests
        if not (request.stays or request.output in follow or is_image(beton.fields[last[request.output].field]))
    ]
    for node in nodes if labels else []:
        mixing = node.operation if isinstance(node.operation, MixingOperation) else node.name
        if mixing not in followed and (mixing is node.operation or mixing == "ImageMixup"):
            remedy = "LabelMixup" if mixing == "ImageMixup" else f"MixedTargets and joint_with: {node.output}"
            raise PipelineError(
                f"pipeline of '{labels[0]}': {node.name} mixes '{node.output}', and this would say what it was; "
                f"add {remedy}, or say joint_with: {DISABLED} for what shall not follow"
            )


def _check_sizes(beton: Beton, output: str, field: str, other: str, other_field: str) -> None:
    columns = beton.field_metadata(field), beton.field_metadata(other_field)
    for side in ("height", "width"):
        if any(side not in (column.dtype.names or ()) for column in columns):
            return
        different = np.flatnonzero(columns[0][side] != columns[1][side])
        if len(different):
            sample = different[0]
            sizes = [f"{column['height'][sample]} x {column['width'][sample]}" for column in columns]
            raise PipelineError(
                f"{beton.path}: sample {sample}: '{output}' has {sizes[0]} pixels, and '{other}', which it is joint "
                f"with, {sizes[1]}; store both at one size"
            )
