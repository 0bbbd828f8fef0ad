"""Everyone's turns are their share of all turns, to within one, at any time."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from ffcv_hydra.kernels.random.apportion import apportion


@settings(max_examples=200, deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=7).filter(any), st.integers(1, 400))
def test_nobody_is_a_whole_turn_away_from_their_share(weights, count):
    shares = np.array(weights) / sum(weights)
    turns = np.empty(count, dtype=np.int32)
    apportion(shares, turns)
    had = np.cumsum(turns[:, None] == np.arange(len(shares)), axis=0)
    owed = np.arange(1, count + 1)[:, None] * shares
    assert np.abs(had - owed).max() < 1 + 1e-5
    assert not np.isin(turns, np.flatnonzero(shares == 0)).any()
