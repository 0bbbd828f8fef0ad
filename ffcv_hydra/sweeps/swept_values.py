"""That each swept key has values to sweep over. Knows Hydra's notation, not what is run."""

from collections.abc import Sequence

from hydra.core.config_loader import ConfigLoader
from hydra.core.override_parser.types import Glob, IntervalSweep, Override

from ffcv_hydra.errors import SweepError

_LISTED = 20


def check_swept_values(overrides: Sequence[Override], loader: ConfigLoader, takes_intervals: bool) -> None:
    """Refuse what a sweep would silently make no job of.

    Args:
        overrides: of the command line.
        loader: knows the options of groups.
        takes_intervals: whether values are searched for, and not enumerated.

    Raises:
        SweepError: a key has no value; names the override and what there is to choose from.
    """
    for override in overrides:
        if not override.is_sweep_override():
            continue
        value = override.value()
        if isinstance(value, IntervalSweep):
            if not takes_intervals:
                raise SweepError(
                    f"{override.input_line}: an interval is searched, which hparams_search=optuna does; "
                    f"give values here, such as {override.get_key_element()}=1,2,3"
                )
        elif isinstance(value, Glob):
            options = loader.get_group_options(override.key_or_group)
            if not value.filter(options):
                raise SweepError(f"{override.input_line}: matches nothing; {_choices(override, options)}")
        elif next(override.sweep_string_iterator(), None) is None:
            raise SweepError(f"{override.input_line}: holds no value; the end of a range is not part of it")


def _choices(override: Override, options: Sequence[str]) -> str:
    if not options:
        return f"'{override.key_or_group}' is no group of options: list its values, such as key=1,2,3"
    more = f", and {len(options) - _LISTED} more" if len(options) > _LISTED else ""
    return f"options are {', '.join(options[:_LISTED])}{more}"
