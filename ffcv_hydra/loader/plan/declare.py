"""The third pass: what each operation makes of what it is given, and how it is run."""

import copy
from collections.abc import Sequence

import numpy as np

from ffcv_hydra.beton import Beton
from ffcv_hydra.errors import PipelineError, describe_error
from ffcv_hydra.loader.plan.batch_code import BatchCode, compiled_memory_read
from ffcv_hydra.loader.plan.node import Kind, Node
from ffcv_hydra.loader.plan.plan import Plan
from ffcv_hydra.loader.plan.request import Request
from ffcv_hydra.loader.plan.resolve import Chain
from ffcv_hydra.loader.plan.torch_module import TorchModule
from ffcv_hydra.operations import ChunkDecoder, ChunkOperation, KeptItems
from ffcv_hydra.operations.operation import INITIAL_STATE, Operation


def declare(requests: Sequence[Request], chains: Sequence[Chain], beton: Beton, num_threads: int) -> Plan:
    """From chains of operations to a plan.

    Before: operations know nothing of the file. After: each is a node, whose operation knows the field, its metadata
    and what it is given; states, memory and kinds are known, torch modules were tried.

    Args:
        requests: the outputs.
        chains: of all of them, in an order in which each comes after the one that it goes on from.
        beton: the open file.
        num_threads: that compiled operations may use.

    Raises:
        PipelineError: naming the output, and the operation that refuses what it is given.
    """
    memory_read = compiled_memory_read()
    made: list[list[Node]] = []
    ends: dict[str, list[Node]] = {}
    for chain in chains:
        stored = beton.fields[chain.field]
        node = None if chain.start is None else made[chain.start[0]][chain.start[1]]
        made.append([])
        for original in chain.operations:
            try:
                operation = copy.copy(original)
                operation.num_threads = num_threads
                operation.accept_field(stored)
                operation.accept_globals(_metadata(operation, beton, chain.field), memory_read)
                node = _declared(chain, operation, node)
            except Exception as error:
                what = str(error) if isinstance(error, PipelineError) else describe_error(error)
                raise PipelineError(f"pipeline of '{chain.output}': {original.name}: {what}") from error
            made[-1].append(node)
        assert node is not None
        ends.setdefault(chain.output, []).append(node)
    return Plan(
        requests=tuple(requests),
        nodes=tuple(node for nodes in made for node in nodes),
        outputs={
            request.output: ends[request.output][0] if request.views is None else tuple(ends[request.output])
            for request in requests
        },
        replaced=frozenset().union(*(chain.replaced for chain in chains)),
    )


def _metadata(operation: Operation, beton: Beton, field: str) -> np.ndarray:
    """What an operation knows of a field: compiled ones an array."""
    if isinstance(operation, ChunkDecoder) and operation.reads_file:  # it runs when the stored bytes were looked at
        return beton.for_those_who_looked.field_metadata(field)
    metadata = beton.field_metadata(field)
    return np.asarray(metadata) if operation.is_decoder and not isinstance(operation, ChunkOperation) else metadata


def _declared(chain: Chain, operation: Operation, parent: Node | None) -> Node:
    state = INITIAL_STATE if parent is None else parent.state
    too_late = PipelineError("works on arrays; put it before ToTensor")
    is_chunked = isinstance(operation, ChunkOperation)
    if is_chunked and not state.jit_mode:
        raise too_late
    try:
        after, memory = operation.declare_state_and_memory(state)
        shared = operation.declare_shared_memory(state)
    except AssertionError as error:
        if state.jit_mode:
            raise
        raise too_late from error  # FFCV's states refuse compiled code on tensors
    if not state.jit_mode and after.jit_mode:
        raise too_late
    _check_flip(operation)
    code = None if is_chunked else BatchCode(operation, after.jit_mode, parent is None)
    kind = _kind(operation, parent)
    return Node(chain.output, chain.view, chain.field, operation, parent, kind, after, memory, shared, code=code)


def _check_flip(operation: Operation) -> None:
    """Compare what an operation says of flips with what else it says: masks and boxes follow what is geometric."""
    p = operation.as_flip() if operation.random else None
    if p is not None and not (isinstance(p, int | float) and 0 <= p <= 1):
        raise PipelineError(f"as_flip gives {p!r}; return a probability, or None")
    if p is not None and not operation.geometric:
        raise PipelineError("as_flip says that it mirrors, and geometric that it moves no pixels; say geometric = True")


def _kind(operation: Operation, parent: Node | None) -> Kind:
    if isinstance(operation, ChunkOperation):
        return Kind.CHUNK
    if isinstance(operation, KeptItems):
        return Kind.CONSUMER  # which alone comes after all outputs that it may need
    is_behind_consumer = parent is not None and parent.kind is Kind.CONSUMER
    draws_from_generators = isinstance(operation, TorchModule) and operation.random
    return Kind.CONSUMER if is_behind_consumer or draws_from_generators else Kind.BATCH
