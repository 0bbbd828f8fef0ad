"""How operations on arrays are tried: as the loader runs them, but without a file."""

from collections.abc import Callable

import numpy as np
import pytest
import torch

from ffcv_hydra.kernels.random.generator import fold, key_of
from ffcv_hydra.operations import Chunk, ChunkOperation, State
from ffcv_hydra.operations.base import Scratch
from ffcv_hydra.operations.image_chain import ImageFunctionOperation


@pytest.fixture(scope="session")
def apply() -> Callable[..., np.ndarray]:
    """Runs an operation on arrays (N, ...) with keys of `seed`, and sees that it leaves them as they were."""

    def call(operation: ChunkOperation, source: np.ndarray, seed: int = 0, start: int = 0) -> np.ndarray:
        state = State(True, torch.device("cpu"), source.shape[1:], source.dtype)
        after, memory = operation.declare_state_and_memory(state)
        assert (after.shape, after.dtype, after.jit_mode) == (memory.shape, memory.dtype, True)
        target = np.frombuffer(
            b"\xa5" * int(np.prod(memory.shape) * len(source) * np.dtype(memory.dtype).itemsize), memory.dtype
        )
        target = target.reshape(len(source), *memory.shape).copy()
        before = source.copy()
        samples = np.arange(start, start + len(source))
        keys = fold(key_of(seed), samples.astype(np.uint64)) if operation.random else None
        operation.run(source, target, Chunk(samples, keys, Scratch()))
        assert source.tobytes() == before.tobytes()  # NaN included
        functions = (
            operation.image_functions(source.shape[1:], source.dtype)
            if isinstance(operation, ImageFunctionOperation)
            else ()
        )
        if functions and all(function.in_place for function in functions):
            operation.run(before, before, Chunk(samples, keys, Scratch()))
            assert np.array_equal(before, target, equal_nan=np.issubdtype(target.dtype, np.floating))
        return target

    return call


@pytest.fixture(scope="session")
def noise() -> np.ndarray:
    """uint8 (60, 13, 17, 3)."""
    return np.random.default_rng(0).integers(0, 256, (60, 13, 17, 3), dtype=np.uint8)
