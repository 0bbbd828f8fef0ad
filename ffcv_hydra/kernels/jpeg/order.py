"""The zigzag order of a block's coefficients (ITU-T T.81, figure 5)."""

import numpy as np


def _natural_order():
    order = sorted((r + c, r if (r + c) % 2 else c, 8 * r + c) for r in range(8) for c in range(8))
    return [place for _, _, place in order]


NATURAL_ORDER = np.array(_natural_order())  # int64 (64,), where in rows of eight each coefficient of the order stands
