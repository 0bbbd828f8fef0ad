"""The second pass: which operations an output goes through, from the decoder on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import nn

from ffcv_hydra.beton import Beton
from ffcv_hydra.errors import PipelineError
from ffcv_hydra.foreign import adapted
from ffcv_hydra.loader.plan.request import Request, naming
from ffcv_hydra.loader.plan.torch_module import TorchModule
from ffcv_hydra.operations import (
    PlacesDecoder,
    PrefixedDecoder,
    ScalarDecoder,
    SizedDecoder,
    ToList,
    ToTensor,
    default_decoder,
    default_operations,
)
from ffcv_hydra.operations.defaults import behind_rows
from ffcv_hydra.operations.made_again import made_again
from ffcv_hydra.operations.operation import Operation

Sizes = Mapping[str, int | Sequence[int]]


@dataclass(frozen=True)
class Chain:
    """What one output, or one of its views, goes through.

    Attributes:
        output: its name.
        view: which of its views.
        field: that the data comes from.
        start: the operation that it goes on from, as (chain, position in that chain's operations); None if it begins
            with a decoder.
        operations: the loader's own copies.
        replaced: the names of operations that some of these stand in for.
    """

    output: str
    view: int
    field: str
    start: tuple[int, int] | None
    operations: tuple[Operation, ...]
    replaced: frozenset[str]


def resolve(requests: Sequence[Request], beton: Beton, replace: bool, sizes: Sizes) -> tuple[Chain, ...]:
    """From requests to chains of operations; those that outputs are joint with come before these.

    Before: what the user gave, maybe nothing. After: each chain begins with a decoder of its field, or goes on from a
    chain before it; FFCV's classes have become ours; all is the loader's own, made again as it is set now, and of the
    sizes that are set.

    Args:
        requests: the outputs.
        beton: the open file.
        replace: put the project's operations for FFCV's, where they mean the same.
        sizes: output sizes, by output, in place of those that the decoders were made with; also for joint outputs.

    Raises:
        PipelineError: naming the output and the operation that do not fit.
    """
    _check_sizes(requests, sizes)
    chains: list[Chain] = []
    places: dict[int, tuple[int, int]] = {}  # of the users' operations
    for request in sorted(requests, key=lambda one: (one.joint_with != one.output, one.follows is not None)):
        field, start, given = _beginning(request, beton, chains, places)
        before = () if start is None else chains[start[0]].operations[: start[1] + 1]
        size = sizes.get(request.joint_with)
        for view in range(request.views or 1):
            operations = list(before)
            replaced = set()
            for original in given:
                with naming(request.output):
                    operation = _own(original, is_first=not operations)
                    found = operation.equivalent(operations) if replace else operation
                if found is not operation:
                    replaced.add(operation.name)
                operations.append(_resized(request, found, size))
            own = tuple(operations[len(before) :])
            chains.append(Chain(request.output, view, field, start, own, frozenset(replaced)))
            if view == 0:
                places |= {id(original): (len(chains) - 1, place) for place, original in enumerate(given)}
    return tuple(chains)


def _check_sizes(requests: Sequence[Request], sizes: Sizes) -> None:
    joint_with = {request.output: request.joint_with for request in requests}
    for output in sizes:
        if output not in joint_with:
            known = ", ".join(joint_with)
            raise PipelineError(f"a size is set for '{output}', which is no output; outputs are {known}")
        if joint_with[output] != output:
            raise PipelineError(
                f"a size is set for '{output}', which is joint with '{joint_with[output]}'; set that one's"
            )


def _beginning(
    request: Request, beton: Beton, chains: Sequence[Chain], places: Mapping[int, tuple[int, int]]
) -> tuple[str, tuple[int, int] | None, Sequence[Any]]:
    """The field, the place that the chain starts from, if it is in another one, and what comes behind that."""
    if not isinstance(request.reads, str):
        start = places.get(id(request.reads))
        if start is None:
            name = type(request.reads).__name__
            what = f"starts from {name}, which no output before it holds (joint ones come last); name a field"
            raise PipelineError(f"pipeline of '{request.output}' {what}")
        return chains[start[0]].field, start, request.operations or ()
    stored = beton.fields[request.reads]
    first: Any = adapted(request.operations[0]) if request.operations else None
    with naming(request.output):
        if request.operations is None or isinstance(first, ToList):
            return request.reads, None, [*default_operations(stored), *(request.operations or ())]
        if not (isinstance(first, Operation) and first.is_decoder):
            return request.reads, None, [default_decoder(stored), *request.operations]
        if not first.decodes(stored):
            raise PipelineError(f"{first.name} cannot decode a {stored.name}; leave it out for the default")
        if isinstance(first, PlacesDecoder) and not any(isinstance(one, ToTensor) for one in request.operations or ()):
            return request.reads, None, [first, *behind_rows(stored), *(request.operations or ())[1:]]
    return request.reads, None, request.operations or ()


def _own(original: Any, is_first: bool) -> Operation:
    """The loader's own operation for one of a user's."""
    operation = adapted(original)
    if isinstance(operation, nn.Module):
        return TorchModule(operation)
    if not isinstance(operation, Operation):
        mend = f"make one: {original.__name__}(...)" if isinstance(original, type) else "leave it out"
        raise PipelineError(f"{original!r} is neither an Operation nor a torch.nn.Module; {mend}")
    if operation.is_decoder and not is_first:
        raise PipelineError(f"the decoder {operation.name} must come first; move it there")
    return made_again(operation)


def _resized(request: Request, operation: Operation, size: int | Sequence[int] | None) -> Operation:
    has_no_pixels = isinstance(operation, (ScalarDecoder, PlacesDecoder, PrefixedDecoder))
    is_beside = has_no_pixels and request.joint_with != request.output
    if size is None or not operation.is_decoder or is_beside:
        return operation
    if not isinstance(operation, SizedDecoder):
        raise PipelineError(
            f"a size is set for '{request.joint_with}', but the decoder of '{request.output}', "
            f"{operation.name}, has none; use RandomResizedCrop, CenterCrop or Resize"
        )
    return operation.with_size(size)
