"""Hydra's notation for sweeps as distributions."""

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from ffcv_hydra.errors import SweepError
from ffcv_hydra.sweeps.search_space import split_overrides


def split(*lines):
    return split_overrides(OverridesParser.create().parse_overrides(list(lines)))


@pytest.mark.parametrize(
    ("sweep", "kind", "facts"),
    [
        ("interval(0.5, 2)", "FloatDistribution", {"low": 0.5, "high": 2.0, "log": False}),
        ("tag(log, interval(1e-4, 1e-1))", "FloatDistribution", {"low": 1e-4, "high": 0.1, "log": True}),
        ("int(interval(1, 9))", "IntDistribution", {"low": 1, "high": 9}),
        ("range(1, 9, 3)", "IntDistribution", {"low": 1, "high": 7, "step": 3}),
        ("range(0.0, 1.0, 0.25)", "FloatDistribution", {"low": 0.0, "high": 0.75, "step": 0.25}),
        ("1,4", "CategoricalDistribution", {"choices": (1, 4)}),
        ("true,null,'a b',c", "CategoricalDistribution", {"choices": (True, "null", "'a b'", "c")}),
    ],
)
def test_each_kind_of_sweep_has_its_distribution(sweep, kind, facts):
    space, fixed = split(f"key={sweep}")
    assert fixed == []
    assert type(space["key"]).__name__ == kind
    assert {name: getattr(space["key"], name) for name in facts} == facts


def test_the_last_override_of_a_key_counts_and_others_are_fixed():
    space, fixed = split("a=1,2", "+b='x y'", "c=interval(0, 1)", "c=3", "group=option")
    assert list(space) == ["a"]
    assert fixed == ["+b='x y'", "c=3", "group=option"]


def test_nothing_to_search_over_is_refused():
    with pytest.raises(SweepError, match="nothing to search over"):
        split("a=1")
