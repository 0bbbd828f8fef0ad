"""The CUDA stream that loaders' threads work on, and what lets consumers use its results on streams of their own.

On the consumer's stream a copy to the device would wait for all kernels before it, and the next step for the copy. And
a consumer that works on another stream than the copy would read what has not arrived: so its stream is made to wait,
on the device, when it takes a batch. Memory goes back to the stream that it was allocated for as soon as nobody holds
it; that the consumer's stream may still read it then has to be said as well. One stream per device serves the whole
process, since torch's allocator keeps memory for each stream apart.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch

GPU = "cuda"

_streams: dict[int, torch.cuda.Stream] = {}


@contextmanager
def working_on(devices: Iterable[torch.device], done: list[torch.cuda.Event]) -> Iterator[None]:
    """Work on the loaders' stream inside, if one of `devices` is a CUDA device; `done` gets what tells of its end."""
    device = next((device for device in devices if device.type == GPU), None)
    if device is None:
        yield
        return
    index = torch.cuda.current_device() if device.index is None else device.index
    stream = _streams.get(index) or _streams.setdefault(index, torch.cuda.Stream(index))  # the same for all threads
    with torch.cuda.stream(stream):
        yield
        done.append(stream.record_event())


def hand_over(done: Iterable[torch.cuda.Event], values: Iterable[Any]) -> None:
    """Let the current stream wait for work of the loaders' stream, and keep for it the memory of what that has made.

    Args:
        done: what tells of its end.
        values: tensors, lists, tuples and mappings of such, and anything else.
    """
    for event in done:
        torch.cuda.current_stream(event.device).wait_event(event)
    for tensor in _on_gpu(values):
        tensor.record_stream(torch.cuda.current_stream(tensor.device))


def _on_gpu(values: Iterable[Any]) -> Iterator[torch.Tensor]:
    for value in values:
        if isinstance(value, torch.Tensor):
            if value.device.type == GPU:
                yield value
        elif isinstance(value, (list, tuple, Mapping)):
            yield from _on_gpu(value.values() if isinstance(value, Mapping) else value)
