"""The fourth pass: who draws from which random numbers, and that outputs which belong together stay together.

Each output has two streams of random numbers: one for operations that move pixels, which joint outputs share, and one
for all others, so that colours may change in an image without a difference to its mask.
"""

from collections import Counter
from dataclasses import replace

from ffcv_hydra.beton import Beton
from ffcv_hydra.kernels.random.generator import key_of_name
from ffcv_hydra.loader.plan.following import with_followed_boxes, with_followed_images, with_seen_boxes
from ffcv_hydra.loader.plan.levels import check_levels
from ffcv_hydra.loader.plan.mixing import check_mixed, with_followers
from ffcv_hydra.loader.plan.node import Node
from ffcv_hydra.loader.plan.plan import Plan
from ffcv_hydra.loader.plan.together import check_joint, pictures


def join(plan: Plan, beton: Beton) -> Plan:
    """Hand out the streams, and refuse what would tear outputs apart or cannot be meant.

    Before: nodes know what they make. After: each random node has its stream, targets follow the mixing of their
    images, decoders that look at boxes know these, places follow what moves their images, and items their boxes; joint
    outputs move alike, normalisations fit what they are given, and `pictures` are known.

    Raises:
        PipelineError: naming the output, and what does not fit.
    """
    for node in plan.nodes:
        check_levels(node)
    plan = with_seen_boxes(with_followers(_with_streams(plan)), beton)
    plan = with_followed_boxes(with_followed_images(plan, beton))
    check_joint(plan, beton)
    check_mixed(plan, beton)
    return replace(plan, pictures=pictures(plan, beton))


def _with_streams(plan: Plan) -> Plan:
    roots = {request.output: request.joint_with for request in plan.requests}
    handed_out: Counter[tuple[str, int, bool]] = Counter()

    def with_stream(node: Node, parent: Node | None) -> Node:
        node = node.behind(parent)
        if not node.operation.random:
            return node
        is_geometric = bool(node.operation.geometric)
        name = f"{roots[node.output]}/geometric" if is_geometric else node.output
        place = node.output, node.view, is_geometric
        handed_out[place] += 1
        return replace(node, stream=(key_of_name(name), handed_out[place] - 1, node.view))

    return plan.rewritten(with_stream)
