"""Steps that only give a batch another form: a tensor for an array, other axes for the same memory.

For such steps memory can be had in that form to begin with. Knows steps and their nodes; nothing of batches or threads.
"""

from dataclasses import dataclass

import numpy as np
import torch

from ffcv_hydra.loader.plan.plan import Kind, Node, Plan, Step
from ffcv_hydra.operations.tensor_operation import TensorOperation
from ffcv_hydra.operations.to_tensor import ToTensor

_NO_SAMPLES = np.empty(0, dtype=np.int64)


@dataclass(frozen=True, eq=False)
class Form:
    """What a step makes of a tensor, without a look at what is in it.

    Attributes:
        step: whose first node is `ToTensor`.
    """

    step: Step

    def __call__(self, tensor: torch.Tensor) -> torch.Tensor:
        """The form of (N, ...)."""
        for node in self.step.nodes[1:]:
            assert node.code is not None
            tensor = node.code(tensor, None, None, _NO_SAMPLES, None, None)
        return tensor


def form_behind(step: Step, plan: Plan) -> Form | None:
    """The form in which alone the result of a step of chunks is read, if there is such a one."""
    if step.kind is not Kind.CHUNK or len(step.kept) > 1 or len(step.children) != 1:
        return None
    child = step.children[0]
    if not isinstance(child.nodes[0].operation, ToTensor) or not all(map(_is_view, child.nodes)):
        return None
    inner = {step.kept[0], *child.nodes[:-1]}
    readers = {node for other in plan.steps for node in other.nodes if node.parent in inner}
    outputs = [output if isinstance(output, list) else [output] for output in plan.outputs.values()]
    is_read = not readers <= set(child.nodes) or any(not inner.isdisjoint(nodes) for nodes in outputs)
    return None if is_read else Form(child)


def _is_view(node: Node) -> bool:
    operation = node.operation
    is_view = isinstance(operation, TensorOperation) and operation.is_view
    return is_view and node.kind is Kind.BATCH and not node.shares_source
