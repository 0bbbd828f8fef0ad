"""Which random numbers a node draws, and that joint outputs move their pixels alike.

Each output has two streams of random numbers: one for operations that move pixels, which joint outputs share, and one
for all others, so that colours may change in an image without a difference to its mask. Knows nodes, not batches.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from ffcv import transforms
from ffcv.fields.rgb_image import RandomResizedCropRGBImageDecoder

from ffcv_hydra.beton import Beton
from ffcv_hydra.errors import PipelineError
from ffcv_hydra.kernels.random import key_of_name
from ffcv_hydra.loader.plan import Node
from ffcv_hydra.operations import MixedTargets, MixingOperation
from ffcv_hydra.operations.auto_augment import AutoAugmentation

_MOVE_PIXELS_ALONE = (
    AutoAugmentation,
    MixingOperation,
    transforms.RandomHorizontalFlip,
    transforms.RandomResizedCrop,
    transforms.RandomTranslate,
    RandomResizedCropRGBImageDecoder,
)


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
    for node in (*partner, *chain):
        if isinstance(node.operation, _MOVE_PIXELS_ALONE):
            raise PipelineError(
                f"pipeline of '{node.output}': '{output}', which is joint with '{other}', cannot follow what "
                f"{type(node.operation).__module__}.{node.name} does; leave it out"
            )
    mine, theirs = ([_geometry(node) for node in nodes if _is_geometric(node)] for nodes in (chain, partner))
    for position in range(max(len(mine), len(theirs))):
        found, expected = (steps[position] if position < len(steps) else "nothing" for steps in (mine, theirs))
        if found != expected:
            raise PipelineError(
                f"pipeline of '{output}': geometric operation {position + 1} is {found}, but in '{other}', which it is "
                f"joint with, it is {expected}; make them equal"
            )
    if mine:
        _check_sizes(beton, output, chain[0].field, other, partner[0].field)


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


def _is_geometric(node: Node) -> bool:
    return getattr(node.operation, "geometric", False)


def _geometry(node: Node) -> str:
    operation: Any = node.operation
    arguments = ", ".join(f"{name}={getattr(operation, name)}" for name in operation.joint_parameters)
    return f"{node.name}({arguments})"


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
