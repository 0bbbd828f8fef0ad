"""From pipelines to a plan. Users' lists and operations are copied, never changed: building twice gives the same."""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import nn

from ffcv_hydra.beton import Beton
from ffcv_hydra.beton.fields.base import Field
from ffcv_hydra.errors import PipelineError, describe_error
from ffcv_hydra.foreign import adapted
from ffcv_hydra.loader.plan.batch_code import BatchCode
from ffcv_hydra.loader.plan.fusion import fuse
from ffcv_hydra.loader.plan.joint import Streams, check_joint, check_mixed, follow_mixing, pictures
from ffcv_hydra.loader.plan.levels import check_levels
from ffcv_hydra.loader.plan.modules import probe
from ffcv_hydra.loader.plan.plan import Kind, Node, Plan
from ffcv_hydra.loader.plan.requests import Request, requests_of
from ffcv_hydra.loader.plan.steps import as_steps
from ffcv_hydra.operations import (
    ChunkOperation,
    MixedTargets,
    ScalarDecoder,
    SizedDecoder,
    default_decoder,
    default_operations,
)
from ffcv_hydra.operations.made_again import made_again
from ffcv_hydra.operations.operation import INITIAL_STATE, Operation
from ffcv_hydra.pipeline import Pipeline


class PlanBuilder:
    """Builds the plan of one loader.

    Args:
        beton: the open file.
        num_threads: that FFCV's operations may use.
        memory_read: compiled, for FFCV's decoders.
        replace: put the project's operations for FFCV's, where they mean the same.
        sizes: output sizes, by output, in place of those that the decoders were made with; also for joint outputs.
    """

    def __init__(
        self,
        beton: Beton,
        num_threads: int,
        memory_read: Any,
        replace: bool,
        sizes: Mapping[str, int | Sequence[int]] | None = None,
    ) -> None:
        self.beton = beton
        self.num_threads = num_threads
        self.memory_read = memory_read
        self.replace = replace
        self.replaced: set[str] = set()
        self._sizes = dict(sizes or {})
        self._nodes: list[Node] = []
        self._node_of_original: dict[int, Node] = {}

    def build(self, pipelines: Mapping[str, Pipeline] | Sequence[Pipeline]) -> Plan:
        """The plan for `pipelines`, by output name or in the order of the file's fields.

        Fields that are not named get their default pipeline.

        Raises:
            PipelineError: naming the field and the operation that do not fit.
        """
        requests = requests_of(pipelines, self.beton)
        self._check_sizes(requests)
        chains: dict[str, list[list[Node]]] = {}
        for request in sorted(requests, key=lambda request: request.joint_with != request.output):
            partners = chains.get(request.joint_with)
            chains[request.output] = [
                self._build_chain(request, view, partners[view] if partners else None)
                for view in range(request.views or 1)
            ]
        outputs: dict[str, Node | list[Node]] = {
            request.output: chains[request.output][0][-1]
            if request.views is None
            else [chain[-1] for chain in chains[request.output]]
            for request in requests
        }
        last = {output: views[0][-1] for output, views in chains.items()}
        check_mixed(self.beton, requests, last)
        found = pictures(self.beton, requests, last)
        nodes, outputs = fuse(self._nodes, outputs)
        return Plan(as_steps(nodes, outputs), outputs, found)

    def _check_sizes(self, requests: Sequence[Request]) -> None:
        joint_with = {request.output: request.joint_with for request in requests}
        for output in self._sizes:
            if output not in joint_with:
                known = ", ".join(joint_with)
                raise PipelineError(f"a size is set for '{output}', which is no output; outputs are {known}")
            if joint_with[output] != output:
                raise PipelineError(
                    f"a size is set for '{output}', which is joint with '{joint_with[output]}'; set that one's"
                )

    def _build_chain(self, request: Request, view: int, partner: list[Node] | None) -> list[Node]:
        """The nodes of one output, or of one of its views, from the decoder on.

        Args:
            request: the output.
            view: which of its views.
            partner: the chain that it shares its geometric draws with.
        """
        chain: list[Node] = []
        operations = request.operations
        if not isinstance(request.source, str):
            start = self._node_of_original.get(id(request.source))
            if start is None:
                name = type(request.source).__name__
                raise PipelineError(f"pipeline of '{request.output}' starts from {name}, which no other one holds")
            chain.append(start)
        else:
            stored = self.beton.fields[request.source]
            first: Any = adapted(operations[0]) if operations else None
            if not _is_decoder(first):
                operations = _with_default(stored, request.source, operations)
            elif not first.decodes(stored):
                raise PipelineError(f"pipeline of '{request.source}': {first.name} cannot decode a {stored.name}")
        streams = Streams(request.output, request.joint_with, view)
        for operation in operations or []:
            chain.append(self._add(request, chain[-1] if chain else None, operation, streams))
            if isinstance(chain[-1].operation, MixedTargets):
                follow_mixing(chain[-1], partner)
        if partner is not None and not any(isinstance(node.operation, MixedTargets) for node in chain):
            check_joint(self.beton, partner, chain)
        return chain

    def _add(self, request: Request, parent: Node | None, original: Any, streams: Streams) -> Node:
        output = request.output
        operation = adapted(original)
        if parent is not None and _is_decoder(operation):
            raise PipelineError(f"pipeline of '{output}': the decoder {operation.name} must come first")
        source = request.source if parent is None else parent.field
        assert isinstance(source, str)
        try:
            if isinstance(operation, Operation):
                operation = made_again(operation)
            check_levels(operation, parent)
        except PipelineError as error:
            raise PipelineError(f"pipeline of '{output}': {error}") from None
        if isinstance(operation, nn.Module):
            node = self._module_node(output, source, operation, parent)
        elif isinstance(operation, Operation):
            operation = self._resized(request, self._replacement(operation, parent))
            node = self._operation_node(output, source, operation, parent)
        else:
            raise PipelineError(f"pipeline of '{output}': {original!r} is neither an Operation nor a torch.nn.Module")
        node.stream = streams.next_of(node)
        node.view = streams.view
        if parent is not None and parent.kind is Kind.CONSUMER:
            node.kind = Kind.CONSUMER
        self._nodes.append(node)
        if streams.view == 0:
            self._node_of_original[id(original)] = node
        return node

    def _resized(self, request: Request, operation: Operation) -> Operation:
        size = self._sizes.get(request.joint_with)
        labels = isinstance(operation, ScalarDecoder) and request.joint_with != request.output
        if size is None or not _is_decoder(operation) or labels:
            return operation
        if not isinstance(operation, SizedDecoder):
            raise PipelineError(
                f"a size is set for '{request.joint_with}', but the decoder of '{request.output}', "
                f"{operation.name}, has none; use RandomResizedCrop, CenterCrop or Resize"
            )
        return operation.with_size(size)

    def _replacement(self, operation: Operation, parent: Node | None) -> Operation:
        if not self.replace:
            return operation
        before = []
        while parent is not None:
            before.append(parent.operation)
            parent = parent.parent
        found = operation.equivalent(before)
        if found is not operation:
            self.replaced.add(operation.name)
        return found

    def _operation_node(self, output: str, field_name: str, original: Operation, parent: Node | None) -> Node:
        state = INITIAL_STATE if parent is None else parent.state
        operation = copy.copy(original)
        operation.num_threads = self.num_threads
        operation.accept_field(self.beton.fields[field_name])
        operation.accept_globals(self.beton.field_metadata(field_name), self.memory_read)
        chunked = isinstance(operation, ChunkOperation)
        too_late = PipelineError(f"pipeline of '{output}': {original.name} works on arrays; put it before ToTensor")
        if chunked and not state.jit_mode:
            raise too_late
        try:
            after, memory = operation.declare_state_and_memory(state)
            shared = operation.declare_shared_memory(state)
        except AssertionError as error:  # FFCV's states refuse compiled code on tensors
            if not state.jit_mode:
                raise too_late from error
            raise
        except Exception as error:
            what = str(error) if isinstance(error, PipelineError) else describe_error(error)
            raise PipelineError(f"pipeline of '{output}': {original.name}: {what}") from error
        if not state.jit_mode and after.jit_mode:
            raise too_late
        node = Node(output, field_name, operation, parent, Kind.CHUNK if chunked else Kind.BATCH, after, memory, shared)
        if not chunked:
            node.code = BatchCode(operation, after.jit_mode, parent is None)
        return node

    def _module_node(self, output: str, field_name: str, module: nn.Module, parent: Node | None) -> Node:
        state = INITIAL_STATE if parent is None else parent.state
        name = type(module).__name__
        if parent is None or not isinstance(state.dtype, torch.dtype):
            raise PipelineError(
                f"pipeline of '{output}': the torch module {name} takes a tensor; put ToTensor before it"
            )
        try:
            found = probe(module, tuple(state.shape), state.dtype, torch.device(state.device))
        except Exception as error:
            raise PipelineError(
                f"pipeline of '{output}': {name} failed on a batch of two ({state.dtype}, {tuple(state.shape)}): "
                f"{describe_error(error)}"
            ) from error
        after = replace(state, shape=found.shape, dtype=found.dtype, device=found.device)
        return Node(
            output, field_name, module, parent, Kind.CONSUMER if found.random else Kind.BATCH, after, found=found
        )


def _is_decoder(operation: Any) -> bool:
    return isinstance(operation, Operation) and operation.is_decoder


def _with_default(stored: Field, name: str, operations: Sequence[Any] | None) -> list[Any]:
    """The operations behind the field's default decoder; without any, the field's default pipeline."""
    try:
        return default_operations(stored) if operations is None else [default_decoder(stored), *operations]
    except PipelineError as error:
        raise PipelineError(f"pipeline of '{name}': {error}") from error
