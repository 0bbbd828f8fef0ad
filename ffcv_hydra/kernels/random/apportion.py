"""Whose turn it is, so that everyone's turns are their share of all turns at any time, to within one turn."""

import numpy as np

from ffcv_hydra.kernels.compiling.compilation import kernel


@kernel("void(float64[::1], int32[::1])")
def apportion(shares, target):
    """Write whose turn each is.

    After p turns nobody has had a whole turn more or less than p times their share, and a millionth:
    R. Tijdeman, "The chairman assignment problem", Discrete Mathematics 32 (1980).

    Args:
        shares: float64 (M,), not negative, 1 together.
        target: int32 (P,).
    """
    count = len(shares)
    slack = 1.0 / (2 * count - 2) if count > 1 else 0.0
    turns = np.zeros(count, dtype=np.int64)
    for place in range(len(target)):
        chosen, earliest = -1, np.inf
        for member in range(count):
            due = shares[member] * (place + 1) - turns[member]
            if shares[member] > 0 and due >= slack - 1e-6:
                deadline = (1 - slack - due) / shares[member]
                if deadline < earliest:
                    chosen, earliest = member, deadline
        turns[chosen] += 1
        target[place] = chosen
