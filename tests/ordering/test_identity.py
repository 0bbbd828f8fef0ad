"""What a state to resume from knows an ordering by."""

import functools
import os
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from ffcv_hydra.ordering import Ordering, QuasiRandom, Random, SampleSet, Sequential, Weighted

SAMPLES = SampleSet(np.arange(8), 3, lambda ids: ids // 4, SimpleNamespace(num_samples=8, first_ids=np.array([0, 8])))


class SortedBy(Ordering):
    def __init__(self, key, **others):
        self.key = key
        self._calls = 0  # not an argument
        vars(self).update(others)

    def sample_order(self, samples, epoch):
        self._calls += 1
        by = self.key if callable(self.key) else lambda index: 0
        return np.array(sorted(samples.indices.tolist(), key=by))


class Number:  # its text is an address
    def __init__(self, value):
        self.value = value

    def __call__(self, index):
        return index * self.value


def identity(ordering: Ordering) -> str:
    return ordering.identity(SAMPLES)


def test_F20_shipped_orderings_are_known_by_what_checkpoints_hold_already():
    assert [identity(ordering) for ordering in (Sequential(), Random(), QuasiRandom(pages=4))] == [
        "Sequential()",
        "Random() version 2",
        "QuasiRandom(pages=4)",
    ]
    assert identity(Weighted("weight")) == "Weighted(given=weight)"


def test_F20_a_file_of_weights_is_known_by_its_content_and_read_once(tmp_path):
    def weighted(name, weights):
        np.save(tmp_path / name, weights)
        return Weighted(str(tmp_path / name))

    one = weighted("w.npy", np.arange(1.0, 9.0))
    before, order = identity(one), one.sample_order(SAMPLES, 0)
    other = weighted("w.npy", np.arange(8.0, 0.0, -1.0))
    assert identity(other) != before
    assert identity(one) == before and np.array_equal(one.sample_order(SAMPLES, 0), order)
    assert identity(weighted("elsewhere.npy", np.arange(1.0, 9.0))) == before


@pytest.mark.parametrize(
    ("ones", "others"),
    [
        (lambda: lambda index: index, lambda: lambda index: -index),
        (lambda: Number(1), lambda: Number(-1)),
        (lambda: functools.partial(pow, 2), lambda: functools.partial(pow, 0.5)),
        (lambda: np.arange(2_000), lambda: np.r_[np.arange(1_999), 0]),
        (lambda: torch.arange(2_000), lambda: torch.arange(2_000).flip(0)),
        (lambda: list(range(2_000)), lambda: [*range(1_999), 0]),
        (lambda: {"by": [1, (2, None)]}, lambda: {"by": [1, (3, None)]}),
        (lambda: Number, lambda: int),
    ],
    ids=["lambda", "object", "partial", "array", "tensor", "list", "mapping", "class"],
)
def test_F20_arguments_are_known_by_their_content_and_never_by_their_address(ones, others):
    found = identity(SortedBy(ones()))
    assert found == identity(SortedBy(ones())) and " at 0x" not in found
    assert found != identity(SortedBy(others()))


def test_F20_a_file_that_is_an_argument_is_known_by_its_content(tmp_path):
    path = tmp_path / "order.txt"
    path.write_text("one")
    before = identity(SortedBy(path))
    path.write_text("two")
    assert identity(SortedBy(path)) != before


def test_F20_an_identity_does_not_change_while_it_is_used_and_is_the_same_in_another_process():
    program = """
import numpy as np
from ffcv_hydra.ordering import Ordering, SampleSet
class Sorted(Ordering):
    def __init__(self):
        self.names = {"b", "a"}  # in an order that differs from process to process
        self._calls = 0
    def sample_order(self, samples, epoch):
        self._calls += 1
        return samples.indices[::-1]
ordering, samples = Sorted(), SampleSet(np.arange(8), 3, None, None)
before = ordering.identity(samples)
ordering.sample_order(samples, 5)
assert ordering.identity(samples) == before
print(before)
"""
    run = functools.partial(subprocess.run, [sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    found = {run(check=True, env={**os.environ, "PYTHONHASHSEED": seed}).stdout for seed in "01"}
    assert len(found) == 1 and "Sorted(names=..., giving orders with the SHA-256" in found.pop()
