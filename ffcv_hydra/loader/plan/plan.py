"""What a loader does to every batch, as a value. Knows nothing of threads and epochs; passes make one of another."""

import math
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from ffcv_hydra.loader.plan.node import Node, with_parents
from ffcv_hydra.loader.plan.request import Request
from ffcv_hydra.loader.plan.step import Step
from ffcv_hydra.loader.plan.text import Times, output_in_words
from ffcv_hydra.operations.operation import State

Delivered = Node | tuple[Node, ...]
"""What gives an output; one node for each of its views, if it has some."""


@dataclass(frozen=True)
class Picture:
    """What is known of an output that is images or holds places in them.

    Attributes:
        state: of the output, or of each of its views.
        is_image: whether it comes from an image field, and not from an array of boxes or points.
        is_mask: whether it holds places.
        together: the outputs that must move as it does.
        level: its largest value, 255 or 1, as far as that is known.
        is_normalized: whether a mean was subtracted from it.
    """

    state: State
    is_image: bool
    is_mask: bool
    together: frozenset[str]
    level: int | None = None
    is_normalized: bool = False


@dataclass(frozen=True, eq=False)
class Plan:
    """What a loader does to every batch; `print` shows it. As nodes, two are the same only if they are one object.

    Attributes:
        requests: what was asked for, in the order of the outputs.
        nodes: all operations, each after the one that feeds it.
        outputs: by name, what gives each one.
        replaced: the names of operations that some of this package's stand in for.
        pictures: by output, what must be moved together; known once the outputs are joined.
        steps: what threads run, each after the one that feeds it; none before they are scheduled.
    """

    requests: tuple[Request, ...]
    nodes: tuple[Node, ...]
    outputs: Mapping[str, Delivered]
    replaced: frozenset[str] = frozenset()
    pictures: Mapping[str, Picture] = field(default_factory=dict)
    steps: tuple[Step, ...] = ()

    def __post_init__(self) -> None:
        for name in ("outputs", "pictures"):
            object.__setattr__(self, name, MappingProxyType(dict(getattr(self, name))))

    def ends(self, output: str) -> tuple[Node, ...]:
        """The nodes that give an output: one for each view."""
        delivered = self.outputs[output]
        return (delivered,) if isinstance(delivered, Node) else delivered

    def readers(self) -> Counter[Node]:
        """How many times each node's result is read: by another node, or as an output."""
        readers = Counter(node.parent for node in self.nodes if node.parent is not None)
        readers.update(node.beside for node in self.nodes if node.beside is not None)
        for output in self.outputs:
            readers.update(self.ends(output))
        return readers

    def rewritten(self, change: Callable[[Node, Node | None], Node]) -> "Plan":
        """The plan with other nodes.

        Args:
            change: gives what stands for a node, whose parent may have become another: the node itself (`behind` its
                new parent), the new parent if the node is gone, or a node of which some parents are new. It is called
                for each node after the one that feeds it.
        """
        made: dict[Node, Node] = {}
        nodes: dict[Node, None] = {}  # in their order, each once
        for node in self.nodes:
            found = change(node, None if node.parent is None else made[node.parent])
            if found.beside in made:
                found = replace(found, beside=made[found.beside])
            made[node] = found
            nodes.update(dict.fromkeys(reversed(with_parents(made[node]))))
        outputs: dict[str, Delivered] = {
            output: made[one] if isinstance(one, Node) else tuple(made[view] for view in one)
            for output, one in self.outputs.items()
        }
        return replace(self, nodes=tuple(nodes), outputs=outputs)

    def in_words(self, times: Times | None = None) -> str:
        """What runs for each output, with what it was measured to take, if that is given."""
        lines: list[str] = []
        for request in self.requests:
            picture = self.pictures.get(request.output)
            together = sorted(picture.together) if picture is not None else []
            lines += output_in_words(request, self.ends(request.output), self.steps, together, times or {})
        if self.replaced:
            lines.append(f"Operations of ffcv_hydra stand in for FFCV's {', '.join(sorted(self.replaced))}.")
        return "\n".join(lines)

    def __str__(self) -> str:
        return self.in_words()

    @property
    def mixing(self) -> tuple[Node, ...]:
        """The nodes that make each sample of several, which are neighbours in the order."""
        return tuple(node for node in self.nodes if node.operation.group_size > 1)

    @property
    def group_size(self) -> int:
        """How many samples, neighbours in the order, have to stay together, so that nothing is torn apart."""
        return math.lcm(*(node.operation.group_size for node in self.mixing))
