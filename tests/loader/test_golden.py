"""The same batches and the same states of checkpoints as ever: they are kept in `golden/`."""

import json

import numpy as np
import pytest

from tests.loader.configurations import CONFIGURATIONS
from tests.loader.golden.batches import CHANGELOG, KEPT, found, keep, words

GOLDEN = json.loads(KEPT.read_text())


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_outputs_and_state_are_those_that_were_kept(name):
    expected, now = GOLDEN["configurations"][name], found(name)
    assert now["state"] == expected["state"]
    assert len(now["outputs"]) == len(expected["outputs"])
    for output, kept in zip(now["outputs"], expected["outputs"], strict=True):
        if "floats" in kept:
            dtype = np.dtype(kept["dtype"])
            floats = (np.array(part.pop("floats"), dtype) for part in (output, kept))
            np.testing.assert_array_max_ulp(*floats, maxulp=1)
            sums = [part.pop("sum") for part in (output, kept)]
            np.testing.assert_allclose(*sums, rtol=np.finfo(dtype).eps)  # what one unit in the last place makes at most
        assert output == kept


def test_a_change_of_what_is_kept_stands_in_the_change_log():
    assert GOLDEN["entry"] in words(CHANGELOG.read_text())
    with pytest.raises(SystemExit, match="an entry of its own"):
        keep(GOLDEN["entry"])
    with pytest.raises(SystemExit, match="say there what changes"):
        keep("no such words")
