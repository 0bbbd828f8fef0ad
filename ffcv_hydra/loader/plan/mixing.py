"""Targets that follow the mixing of their images, labels that would not, and groups that would be torn apart."""

from dataclasses import replace

from ffcv_hydra.beton import Beton
from ffcv_hydra.beton.fields.image_fields import is_image
from ffcv_hydra.errors import LoaderError, PipelineError
from ffcv_hydra.loader.plan.following import moves_along
from ffcv_hydra.loader.plan.node import Node, with_parents
from ffcv_hydra.loader.plan.plan import Plan
from ffcv_hydra.loader_options import LoaderOptions
from ffcv_hydra.operations import MixedTargets, MixingOperation
from ffcv_hydra.pipeline import DISABLED


def with_followers(plan: Plan) -> Plan:
    """Let `MixedTargets` use the draws of the mixing operation in the output that its own one is joint with.

    Raises:
        PipelineError: there is no such operation, or more than one.
    """
    roots = {request.output: request.joint_with for request in plan.requests}

    def following(node: Node, parent: Node | None) -> Node:
        node = node.behind(parent)
        if not isinstance(node.operation, MixedTargets):
            return node
        root = roots[node.output]
        before = with_parents(plan.ends(root)[node.view]) if root != node.output else []
        mixing = [one for one in before if isinstance(one.operation, MixingOperation)]
        if len(mixing) != 1:
            known = f"'{root}' has {len(mixing)} of them" if before else "it is joint with no output"
            raise PipelineError(
                f"pipeline of '{node.output}': MixedTargets follows one Mixup or CutMix of the output that joint_with "
                f"names; {known}"
            )
        assert isinstance(mixing[0].operation, MixingOperation)
        height, width, _ = mixing[0].state.shape
        operation = node.operation.following(mixing[0].operation, (int(height), int(width)))
        return replace(node, operation=operation, stream=mixing[0].stream)

    return plan.rewritten(following)


def check_mixed(plan: Plan, beton: Beton) -> None:
    """Check that what is said of images follows where these are mixed.

    Raises:
        PipelineError: images are mixed, no targets follow, and there is a field beside them that does not say it stays.
    """
    ends = {request.output: plan.ends(request.output)[0] for request in plan.requests}
    nodes = [node for end in ends.values() for node in with_parents(end)]
    mixing = [node for node in nodes if node.operation.mixed_targets is not None or node.operation.group_size > 1]
    followers = {node: _followers(node, nodes) for node in mixing}
    following = {follower.output for found in followers.values() for follower in found}
    told = [
        request.output
        for request in plan.requests
        if not (request.stays or is_image(beton.fields[ends[request.output].field]))
        and not moves_along(ends[request.output])
    ]
    for node, found in followers.items():
        beside = {follower.output for other in mixing if other.output == node.output for follower in followers[other]}
        has_targets = node.operation.mixed_targets is not None  # others tell nothing of what they mix
        labels = [output for output in told if output not in (following if has_targets else following - beside)]
        if labels and not found:
            targets = node.operation.mixed_targets
            remedy = targets if node.stream is None else f"{targets} and joint_with: {node.output}"
            raise PipelineError(
                f"pipeline of '{labels[0]}': {node.name} mixes '{node.output}', and this would say what it was; "
                f"{f'add {remedy}, or ' if targets else ''}say joint_with: {DISABLED} for what shall not follow"
            )


def check_groups(plan: Plan, options: LoaderOptions, world_size: int) -> None:
    """Check that groups stay together, and that no sample is mixed with one that is not there.

    Raises:
        LoaderError: samples are mixed, and an option would leave one alone.
    """
    for node in plan.mixing:
        size = node.operation.group_size
        what = f"pipeline of '{node.output}': {node.name} mixes {size} neighbours in the order"
        if options.batch_size % size:
            raise LoaderError(f"{what}, so the batch size must be divisible by {size}; it is {options.batch_size}")
        if size > 2 and not options.drop_last:
            raise LoaderError(f"{what}, which are complete with drop_last=true only; it is not for evaluation")
        if world_size > 1 and not options.drop_last:
            raise LoaderError(f"{what}, which several ranks keep together with drop_last=true only")
        if options.on_error == "skip":
            raise LoaderError(f"{what}, and those of a skipped sample lack it; use on_error=raise or zero")


def check_evaluated(plan: Plan, stage: str) -> None:
    """Check that an evaluation stage sees each sample as it is, whatever batches it has.

    Raises:
        LoaderError: samples become parts of images of several; a pair that is mixed stays a blend of itself.
    """
    for node in plan.mixing:
        if node.operation.group_size > 2:
            raise LoaderError(
                f"pipeline of '{node.output}' for {stage}: {node.name} makes each image of several samples; it is not "
                "for evaluation, leave it out there"
            )


def _followers(mixing: Node, nodes: list[Node]) -> list[Node]:
    return [node for node in nodes if node.name == mixing.operation.mixed_targets and node.stream == mixing.stream]
