"""What a search may choose from, in Hydra's notation for sweeps."""

from collections.abc import Sequence

from hydra.core.override_parser.types import IntervalSweep, Override, RangeSweep
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from ffcv_hydra.errors import SweepError


def split_overrides(
    overrides: Sequence[Override], needs_space: bool = True
) -> tuple[dict[str, BaseDistribution], list[str]]:
    """Split overrides into what is searched over and what is the same in all trials; of one key the last one counts.

    `choice(a, b)` and `a,b` are categories, `range(1, 9, 2)` numbers in steps, `interval(0.1, 1)` reals and
    `int(interval(1, 9))` whole numbers, both ends included; `tag(log, ...)` searches an interval by its logarithm.

    Returns:
        Distributions by key, and `key=value` lines.

    Raises:
        SweepError: there is nothing to search over, and `needs_space`.
    """
    space: dict[str, BaseDistribution] = {}
    fixed: dict[str, str] = {}
    for override in overrides:
        key = override.get_key_element()
        space.pop(key, None)
        fixed.pop(key, None)
        if override.is_sweep_override():
            space[key] = _distribution(override)
        else:
            fixed[key] = f"{key}={override.get_value_element_as_str()}"
    if needs_space and not space:
        raise SweepError(
            "there is nothing to search over: give hydra.sweeper.params, or key='interval(0.001, 0.1)' and the like"
        )
    return space, list(fixed.values())


def _distribution(override: Override) -> BaseDistribution:
    value = override.value()
    if isinstance(value, IntervalSweep):
        logarithmic = "log" in value.tags
        start, end = value.start, value.end
        if isinstance(start, int) and isinstance(end, int):
            return IntDistribution(start, end, log=logarithmic)
        assert start is not None and end is not None
        return FloatDistribution(start, end, log=logarithmic)
    if isinstance(value, RangeSweep) and not value.shuffle and (value.step or 1) > 0:
        steps = list(value.range())
        if all(isinstance(step, int) for step in steps):
            return IntDistribution(int(steps[0]), int(steps[-1]), step=int(value.step))
        return FloatDistribution(float(steps[0]), float(steps[-1]), step=float(value.step))
    texts = list(override.sweep_string_iterator())
    values = list(override.sweep_iterator())
    return CategoricalDistribution(
        [value if isinstance(value, (bool, int, float)) else text for value, text in zip(values, texts, strict=True)]
    )
