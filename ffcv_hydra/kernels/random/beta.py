"""Beta-distributed numbers from the counter-based generator.

A Beta(a, a) number is g / (g + h) of two Gamma(a) numbers. Those come from the method of Marsaglia and Tsang, "A simple
method for generating gamma variables" (ACM TOMS 26, 2000): rejection from a transformed normal, for a + 1, made smaller
by u ** (1 / a). For small a both underflow, so only the logarithm of their ratio is computed.
"""

import numpy as np

from ffcv_hydra.kernels.compiling.compilation import device_function
from ffcv_hydra.kernels.random.generator import uniform

_ATTEMPTS = 32  # each succeeds with a probability of more than 0.95
_DRAWS_PER_GAMMA = 1 + 3 * _ATTEMPTS
BETA_DRAWS = 2 * _DRAWS_PER_GAMMA


@device_function
def _log_gamma_of_shape_above_one(key, draw, shape):
    """The logarithm of a Gamma(shape) number, shape > 1; uses draws `draw` to `draw` + 3 * _ATTEMPTS - 1."""
    d = shape - 1.0 / 3.0
    c = 1.0 / np.sqrt(9.0 * d)
    for attempt in range(_ATTEMPTS):
        first = draw + 3 * attempt
        radius = np.sqrt(-2.0 * np.log(1.0 - uniform(key, first)))
        normal = radius * np.cos(2.0 * np.pi * uniform(key, first + 1))
        root = 1.0 + c * normal
        if root <= 0.0:
            continue
        v = root * root * root
        if np.log(1.0 - uniform(key, first + 2)) < 0.5 * normal * normal + d - d * v + d * np.log(v):
            return np.log(d * v)
    return np.log(d)


@device_function
def symmetric_beta(key, draw, alpha):
    """A Beta(alpha, alpha) number in [0, 1]; uses draws `draw` to `draw` + BETA_DRAWS - 1 of `key`.

    Args:
        alpha: above 0.
    """
    second = draw + _DRAWS_PER_GAMMA
    difference = (np.log(1.0 - uniform(key, second)) - np.log(1.0 - uniform(key, draw))) / alpha
    difference += _log_gamma_of_shape_above_one(key, second + 1, alpha + 1.0)
    difference -= _log_gamma_of_shape_above_one(key, draw + 1, alpha + 1.0)
    return 1.0 / (1.0 + np.exp(difference))
