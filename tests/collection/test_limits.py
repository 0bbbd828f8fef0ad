from types import SimpleNamespace

import pytest

from ffcv_hydra.collection.limits import ShardLimits
from ffcv_hydra.errors import ConversionError


def test_a_size_that_is_none_is_one_line():
    with pytest.raises(ConversionError, match="^shard_size is '3 XB'; use a number of bytes from 1 on, or a text such"):
        ShardLimits(SimpleNamespace(num_samples=2), None, "3 XB")
