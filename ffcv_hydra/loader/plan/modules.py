"""Torch modules in pipelines: what they turn a sample into, and how random ones are run.

A module that draws random numbers decides once for the batch it is given (torchvision's do), from generators of the
whole process. So a random module is given one sample at a time, in the consumer's thread, with the generators it uses
seeded by the sample's key and put back afterwards.
"""

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

_PROBE_SAMPLES = 2


@dataclass(frozen=True)
class Probe:
    """What a dry run of a module showed.

    Attributes:
        shape, dtype, device: of one sample of its output.
        drew_from: whether it used the global generators of torch, NumPy and Python.
    """

    shape: tuple[int, ...]
    dtype: torch.dtype
    device: torch.device
    drew_from: tuple[bool, bool, bool]

    @property
    def random(self) -> bool:
        """Whether it drew from any."""
        return any(self.drew_from)


@contextmanager
def _generators_kept(device: torch.device) -> Iterator[Callable[[], tuple[bool, bool, bool]]]:
    """Put all global generators back at the end; gives a function that says which of them were used so far."""
    cuda = device.type == "cuda"

    def torch_states() -> list[torch.Tensor]:
        return [torch.get_rng_state()] + ([torch.cuda.get_rng_state(device)] if cuda else [])

    before, before_python, before_numpy = torch_states(), random.getstate(), np.random.get_state(legacy=False)

    def used() -> tuple[bool, bool, bool]:
        numpy_now = np.random.get_state(legacy=False)
        return (
            any(not torch.equal(old, new) for old, new in zip(before, torch_states(), strict=True)),
            numpy_now["state"]["pos"] != before_numpy["state"]["pos"]
            or not np.array_equal(numpy_now["state"]["key"], before_numpy["state"]["key"]),
            random.getstate() != before_python,
        )

    try:
        yield used
    finally:
        torch.set_rng_state(before[0])
        if cuda:
            torch.cuda.set_rng_state(before[1], device)
        random.setstate(before_python)
        np.random.set_state(before_numpy)


def probe(module: nn.Module, shape: tuple[int, ...], dtype: torch.dtype, device: torch.device) -> Probe:
    """Run a module on a batch of two samples of zeros; no global generator moves.

    Raises:
        Exception: what the module raises; TypeError if it gives no tensor of two samples.
    """
    with torch.no_grad(), _generators_kept(device) as used:
        result = module(torch.zeros((_PROBE_SAMPLES, *shape), dtype=dtype, device=device))
        drew_from = used()
    if not isinstance(result, torch.Tensor) or result.shape[:1] != (_PROBE_SAMPLES,):
        given = tuple(result.shape) if isinstance(result, torch.Tensor) else type(result).__name__
        raise TypeError(f"expected a tensor of {_PROBE_SAMPLES} samples, got {given}")
    return Probe(tuple(result.shape[1:]), result.dtype, result.device, drew_from)


def _seed(key: int, device: torch.device, drew_from: tuple[bool, bool, bool] = (True, True, True)) -> None:
    for_torch, for_numpy, for_python = drew_from
    if for_torch:
        torch.default_generator.manual_seed(key)
        if device.type == "cuda":
            torch.cuda.default_generators[device.index].manual_seed(key)
    if for_numpy:
        np.random.seed(key % 2**32)
    if for_python:
        random.seed(key)


@contextmanager
def generators_seeded(device: torch.device, key: int) -> Iterator[None]:
    """Seed all global generators by `key` (64 bits) inside, and put them back at the end."""
    with _generators_kept(device):
        _seed(key, device)
        yield


def run_per_sample(module: nn.Module, found: Probe, batch: torch.Tensor, keys: np.ndarray) -> torch.Tensor:
    """Run a random module on each sample (1, ...) of `batch` (N, ...) with its own key, uint64 (N,)."""
    results = []
    with torch.no_grad(), _generators_kept(batch.device):
        for position, key in enumerate(keys.tolist()):
            _seed(key, batch.device, found.drew_from)
            results.append(module(batch[position : position + 1]))
    return torch.cat(results)
