"""From pipelines to a plan. Users' lists and operations are copied, never changed: building twice gives the same."""

import copy
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from ffcv.fields.base import Field
from ffcv.fields.basics import BasicDecoder
from ffcv.fields.bytes import BytesDecoder, BytesField
from ffcv.fields.ndarray import NDArrayDecoder
from ffcv.fields.rgb_image import SimpleRGBImageDecoder
from ffcv.pipeline.graph import INITIAL_STATE
from ffcv.pipeline.operation import Operation
from ffcv.pipeline.pipeline_spec import PipelineSpec
from ffcv.pipeline.state import State
from ffcv.transforms import ModuleWrapper, ToTensor
from torch import nn

from ffcv_hydra.beton import Beton
from ffcv_hydra.errors import PipelineError
from ffcv_hydra.kernels.random import key_of_name
from ffcv_hydra.loader.foreign import ForeignCode
from ffcv_hydra.loader.modules import probe
from ffcv_hydra.loader.plan import Kind, Node, Plan, Step
from ffcv_hydra.operations import (
    DEFAULT_DECODERS,
    ChunkDecoder,
    ChunkOperation,
    PrefixedBytesDecoder,
    SplitPrefixedBytes,
    replacement_of,
)
from ffcv_hydra.pipeline import DISABLED, Pipeline

_FFCV_DECODERS = (BasicDecoder, SimpleRGBImageDecoder, NDArrayDecoder, BytesDecoder)


class PlanBuilder:
    """Builds the plan of one loader.

    Args:
        beton: the open file.
        num_threads: that FFCV's operations may use.
        memory_read: compiled, for FFCV's decoders.
        replace: put the project's operations for FFCV's, where they mean the same.
    """

    def __init__(self, beton: Beton, num_threads: int, memory_read: Any, replace: bool) -> None:
        self.beton = beton
        self.num_threads = num_threads
        self.memory_read = memory_read
        self.replace = replace
        self.replaced: set[str] = set()
        self._nodes: list[Node] = []
        self._node_of_original: dict[int, Node] = {}

    def build(self, pipelines: Mapping[str, Pipeline] | Sequence[Pipeline]) -> Plan:
        """The plan for `pipelines`, by output name or in the order of the file's fields.

        Fields that are not named get their default pipeline.

        Raises:
            PipelineError: naming the field and the operation that do not fit.
        """
        if not isinstance(pipelines, Mapping):
            names = list(self.beton.fields)
            if len(pipelines) != len(names):
                raise PipelineError(
                    f"expected {len(names)} pipelines, one for each field of {self.beton.path} ({', '.join(names)}); "
                    f"got {len(pipelines)}"
                )
            pipelines = dict(zip(names, pipelines, strict=True))
        wanted = {name: pipelines.get(name) for name in self.beton.fields}
        wanted.update({name: pipeline for name, pipeline in pipelines.items() if name not in wanted})
        outputs = {}
        for output, pipeline in wanted.items():
            if isinstance(pipeline, str):
                if pipeline != DISABLED:
                    raise PipelineError(
                        f"pipeline of '{output}': expected a list, null or '{DISABLED}'; got '{pipeline}'"
                    )
                continue
            outputs[output] = self._build_output(output, pipeline)
        if not outputs:
            raise PipelineError(f"{self.beton.path}: every field's pipeline is '{DISABLED}'; keep at least one")
        _mark_shared(self._nodes, list(outputs.values()))
        return Plan(_steps(self._nodes), outputs)

    def _build_output(self, output: str, pipeline: Sequence[Any] | PipelineSpec | None) -> Node:
        source, operations = _source_and_operations(output, pipeline)
        if isinstance(source, Operation):
            node = self._node_of_original.get(id(source))
            if node is None:
                raise PipelineError(
                    f"pipeline of '{output}' starts from {type(source).__name__}, which no other one holds"
                )
            ordinal = 0
        else:
            if source not in self.beton.fields:
                known = ", ".join(self.beton.fields)
                raise PipelineError(f"pipeline for '{source}': {self.beton.path} has no such field; it has {known}")
            stored = self.beton.fields[source]
            first = operations[0] if operations else None
            if first is not None and _is_decoder(first):
                operations = operations[1:]
                _check_decoder(first, stored, source)
            elif pipeline is None:
                first, *operations = _default_operations(stored, source)
            else:
                first = _default_decoder(stored, source)
            node = self._add(output, source, first, None, INITIAL_STATE, 0)
            ordinal = int(node.stream is not None)
        for operation in operations:
            node = self._add(output, node.field, operation, node, node.state, ordinal)
            ordinal += node.stream is not None
        return node

    def _add(
        self, output: str, field_name: str, original: Any, parent: Node | None, state: State, ordinal: int
    ) -> Node:
        if parent is not None and _is_decoder(original):
            raise PipelineError(f"pipeline of '{output}': the decoder {type(original).__name__} must come first")
        operation = original.module if isinstance(original, ModuleWrapper) else original
        if isinstance(operation, nn.Module):
            node = self._module_node(output, field_name, operation, parent, state)
        elif isinstance(operation, Operation):
            node = self._operation_node(output, field_name, self._replacement(operation, parent), parent, state)
        else:
            raise PipelineError(
                f"pipeline of '{output}': {original!r} is neither an FFCV Operation nor a torch.nn.Module"
            )
        random = node.found.random if node.found else getattr(node.operation, "random", False)
        if random:
            node.stream = (key_of_name(output), ordinal, 0)
        if parent is not None and parent.kind is Kind.CONSUMER:
            node.kind = Kind.CONSUMER
        self._nodes.append(node)
        self._node_of_original[id(original)] = node
        return node

    def _replacement(self, operation: Operation, parent: Node | None) -> Operation:
        if not self.replace:
            return operation
        before = []
        while parent is not None:
            before.append(parent.operation)
            parent = parent.parent
        found = replacement_of(operation, before)
        if found is not operation:
            self.replaced.add(type(operation).__name__)
        return found

    def _operation_node(
        self, output: str, field_name: str, original: Operation, parent: Node | None, state: State
    ) -> Node:
        operation = copy.copy(original)
        operation.accept_field(self.beton.fields[field_name])
        operation.accept_globals(self.beton.field_metadata(field_name), self.memory_read)
        chunked = isinstance(operation, ChunkOperation)
        too_late = PipelineError(
            f"pipeline of '{output}': {type(original).__name__} works on arrays; put it before ToTensor"
        )
        try:
            after, memory = operation.declare_state_and_memory(state)
            shared = operation.declare_shared_memory(state)
        except AssertionError as error:  # FFCV's states refuse compiled code on tensors
            if not state.jit_mode:
                raise too_late from error
            raise
        except Exception as error:
            what = str(error) if isinstance(error, PipelineError) else f"{type(error).__name__}: {error}"
            raise PipelineError(f"pipeline of '{output}': {type(original).__name__}: {what}") from error
        if not state.jit_mode and (chunked or after.jit_mode):
            raise too_late
        node = Node(output, field_name, operation, parent, Kind.CHUNK if chunked else Kind.BATCH, after, memory, shared)
        if not chunked:
            node.code = ForeignCode(operation, after.jit_mode, parent is None, self.num_threads)
        return node

    def _module_node(self, output: str, field_name: str, module: nn.Module, parent: Node | None, state: State) -> Node:
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
                f"{type(error).__name__}: {error}"
            ) from error
        after = replace(state, shape=found.shape, dtype=found.dtype, device=found.device)
        return Node(
            output, field_name, module, parent, Kind.CONSUMER if found.random else Kind.BATCH, after, found=found
        )


def _source_and_operations(output: str, pipeline: Any) -> tuple[str | Operation, list[Any]]:
    if isinstance(pipeline, PipelineSpec):
        decoder = [] if pipeline.decoder is None else [pipeline.decoder]
        return pipeline.source, decoder + list(pipeline.transforms)
    if pipeline is None:
        return output, []
    if isinstance(pipeline, Sequence):
        return output, list(pipeline)
    raise PipelineError(f"pipeline of '{output}': expected a list of operations; got {type(pipeline).__name__}")


def _is_decoder(operation: Any) -> bool:
    return isinstance(operation, (ChunkDecoder, *_FFCV_DECODERS))


def _check_decoder(decoder: Any, stored: Field, name: str) -> None:
    fits = (
        isinstance(stored, decoder.field_types)
        if isinstance(decoder, ChunkDecoder)
        else isinstance(decoder, stored.get_decoder_class())
    )
    if not fits:
        raise PipelineError(f"pipeline of '{name}': {type(decoder).__name__} cannot decode a {type(stored).__name__}")


def _default_decoder(stored: Field, name: str) -> Operation:
    for decoder in DEFAULT_DECODERS:
        if isinstance(stored, decoder.field_types):
            return decoder()
    try:
        return stored.get_decoder_class()()
    except TypeError as error:
        raise PipelineError(
            f"pipeline of '{name}': {type(stored).__name__} has no default decoder; name one"
        ) from error


def _default_operations(stored: Field, name: str) -> list[Operation]:
    """What a field's data goes through when no pipeline is given."""
    if type(stored) is BytesField:
        return [PrefixedBytesDecoder(), ToTensor(), SplitPrefixedBytes()]
    return [_default_decoder(stored, name), ToTensor()]


def _mark_shared(nodes: list[Node], outputs: list[Node]) -> None:
    """Say of each node whether something else reads what it reads."""
    readers = Counter(node.parent for node in nodes if node.parent is not None)
    readers.update(outputs)
    for node in nodes:
        node.shares_source = node.parent is not None and readers[node.parent] > 1


def _steps(nodes: list[Node]) -> list[Step]:
    steps: list[Step] = []
    step_of: dict[Node, Step] = {}
    for node in nodes:
        before = step_of[node.parent] if node.parent is not None else None
        if before is not None and before.kind is node.kind and not node.shares_source:
            before.nodes.append(node)
            step_of[node] = before
            continue
        step_of[node] = Step([node], before)
        steps.append(step_of[node])
        if before is not None:
            before.children.append(step_of[node])
    return steps
