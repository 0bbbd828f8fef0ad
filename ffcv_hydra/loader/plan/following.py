"""Boxes, points and polygons that follow the images they lie in, and items that follow their boxes."""

import copy
from dataclasses import replace

from ffcv_hydra.beton import Beton, BoundingBoxesField
from ffcv_hydra.beton.fields.image_fields import is_image
from ffcv_hydra.errors import PipelineError
from ffcv_hydra.loader.plan.movement import move_of
from ffcv_hydra.loader.plan.node import Node, with_parents
from ffcv_hydra.loader.plan.plan import Plan
from ffcv_hydra.operations import (
    ChunkDecoder,
    FollowedBoxes,
    ImageDecoder,
    KeptItems,
    PlacesDecoder,
    PrefixedDecoder,
    SplitPrefixed,
)
from ffcv_hydra.operations.operation import Operation
from ffcv_hydra.pipeline import DISABLED


def follows(node: Node) -> bool:
    """Whether what a node gives goes with an image, or with boxes, by what operations say of their maps."""
    return any(isinstance(one.operation, (PlacesDecoder, KeptItems)) for one in with_parents(node))


def moves_along(node: Node) -> bool:
    """Whether what a node gives goes through the maps of images, or with boxes that do."""
    return any(
        one.beside is not None if isinstance(one.operation, KeptItems) else bool(one.operation.moves)
        for one in with_parents(node)
        if isinstance(one.operation, (PlacesDecoder, KeptItems))
    )


def with_seen_boxes(plan: Plan, beton: Beton) -> Plan:
    """Let decoders of images that look at boxes know which field these are in.

    Raises:
        PipelineError: it is not clear which one, or there is none.
    """

    def looking(node: Node, parent: Node | None) -> Node:
        node = node.behind(parent)
        if not isinstance(node.operation, ImageDecoder) or not node.operation.looks_at_boxes:
            return node
        name, boxes = _boxes_in(node, node.operation.looks_at, plan, beton)
        return replace(node, operation=node.operation.looking_at(name, boxes), looks_at=name)

    return plan.rewritten(looking)


def _boxes_in(node: Node, wanted: str | None, plan: Plan, beton: Beton) -> tuple[str, BoundingBoxesField]:
    """The field of the boxes in the images that a node decodes: `wanted`, one joint with them, or the one there is.

    It is read in any case, whatever outputs there are.
    """
    known = {name: field for name, field in beton.fields.items() if isinstance(field, BoundingBoxesField)}
    if wanted in known:
        return wanted, known[wanted]
    roots = {request.output: request.joint_with for request in plan.requests}
    joint = {plan.ends(output)[0].field for output, root in roots.items() if root == roots[node.output]}
    found = (sorted(joint & set(known)) if wanted is None else []) or sorted(known)
    if len(found) == 1 and wanted is None:
        return found[0], known[found[0]]
    there_are = f"there are {', '.join(found)}; say which by looks_at" if found else "there is none"
    what = "one field of boxes" if wanted is None else f"'{wanted}', which is no BoundingBoxesField"
    raise PipelineError(f"pipeline of '{node.output}': {node.operation.name} looks at {what}; {there_are}")


def with_followed_images(plan: Plan, beton: Beton) -> Plan:
    """Let the decoders of places use the draws of all that moves the images of the output they are joint with.

    Raises:
        PipelineError: it is not clear which image they lie in, or an operation does not say where it moves places.
    """
    requests = {request.output: request for request in plan.requests}
    images = [output for output in plan.outputs if is_image(beton.fields[plan.ends(output)[0].field])]

    def following(node: Node, parent: Node | None) -> Node:
        node = _of_sources(node.behind(parent), parent)
        request = requests[node.output]
        if not isinstance(node.operation, PlacesDecoder) or request.stays or not images:
            return node
        if request.joint_with not in images:
            raise PipelineError(
                f"pipeline of '{node.output}': it holds places in one of {', '.join(images)}; say which by joint_with, "
                f"or joint_with: {DISABLED} for what shall not follow"
            )
        if request.follows is not None and requests[request.follows].stays:
            raise PipelineError(
                f"pipeline of '{node.output}': it moves with '{request.joint_with}', and '{request.follows}', which "
                f"its items go with, does not; let both follow, or say joint_with: {DISABLED} for both"
            )
        path = with_parents(plan.ends(request.joint_with)[node.view])[::-1]
        moves = [_followed(one, node.output) for one in path if one is path[0] or move_of(one) is not None]
        decoder = path[0].operation
        assert isinstance(decoder, ImageDecoder)
        operation = node.operation.following(decoder, [one.operation for one in moves], request.follows is not None)
        return replace(node.with_operation(operation, None), fused=(node, *moves), looks_at=path[0].looks_at)

    return plan.rewritten(following)


def _followed(node: Node, follower: str) -> Node:
    """The node, if its operation says where it moves places."""
    move = move_of(node)
    says_where = isinstance(node.operation, ImageDecoder) or type(node.operation).maps is not Operation.maps
    if says_where and (move is None or move.alone is None):
        return node
    why = f"cannot follow {node.operation.full_name}, which does not say where it moves them; use another operation"
    if move is not None and move.alone is not None:
        why = move.alone
    raise PipelineError(
        f"pipeline of '{follower}': it holds places in '{node.output}', and {why}; or say joint_with: {DISABLED} for "
        "what shall not follow"
    )


def with_followed_boxes(plan: Plan) -> Plan:
    """Let items of boxes be dropped with these, view by view."""
    requests = {request.output: request for request in plan.requests}

    def following(node: Node, parent: Node | None) -> Node:
        node, boxes = _of_sources(node.behind(parent), parent), requests[node.output].follows
        path = [] if boxes is None else with_parents(plan.ends(boxes)[node.view])
        if not path or not isinstance(decoder := path[-1].operation, FollowedBoxes):
            return node
        if isinstance(node.operation, PrefixedDecoder) and decoder.group_sizes:
            return node.with_operation(node.operation.of_groups(decoder.group_sizes), None)
        if type(node.operation) is SplitPrefixed:
            raise PipelineError(
                f"pipeline of '{node.output}': its items go with '{boxes}'; put KeptItems in the place of SplitPrefixed"
            )
        rows = next((one.parent for one in path if isinstance(one.operation, SplitPrefixed)), None)
        return replace(node, beside=rows) if isinstance(node.operation, KeptItems) else node

    return plan.rewritten(following)


def _of_sources(node: Node, parent: Node | None) -> Node:
    """A node that splits rows, for rows of as many samples as the decoder before it puts into each."""
    if parent is None or not isinstance(node.operation, SplitPrefixed):
        return node
    decoder = with_parents(parent)[-1].operation
    if not isinstance(decoder, ChunkDecoder) or decoder.num_sources == node.operation.num_sources:
        return node
    operation = copy.copy(node.operation)
    operation.num_sources = decoder.num_sources
    return node.with_operation(operation, parent)
