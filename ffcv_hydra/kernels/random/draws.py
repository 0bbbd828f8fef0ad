"""Random numbers for a chunk of samples: what transforms draw, apart from what they do with it."""

from ffcv_hydra.kernels.compiling.compilation import kernel
from ffcv_hydra.kernels.random.generator import uniform


@kernel("void(uint64[::1], float64, boolean[::1])", brief=True)
def draw_chosen(keys, p, chosen):
    """Choose each sample with probability `p`, by draw 0 of its key.

    Args:
        keys: uint64 (N,).
        p: from 0, never, to 1, always.
        chosen: bool (N,), written.
    """
    for n in range(len(keys)):
        chosen[n] = uniform(keys[n], 0) < p


@kernel("void(uint64[::1], float64[:, ::1])", brief=True)
def draw_uniforms(keys, drawn):
    """Draw numbers in [0, 1).

    Args:
        keys: uint64 (N,).
        drawn: float64 (N, K), filled with draws 0 to K - 1 of each key.
    """
    for n in range(len(keys)):
        for k in range(drawn.shape[1]):
            drawn[n, k] = uniform(keys[n], k)
