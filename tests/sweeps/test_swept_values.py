import pytest
from hydra import initialize_config_module
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser

from ffcv_hydra.errors import SweepError
from ffcv_hydra.sweeps.swept_values import check_swept_values


def check(line: str, takes_intervals: bool = False) -> None:
    with initialize_config_module("ffcv_hydra.conf", version_base="1.3"):
        loader = GlobalHydra.instance().config_loader()
        overrides = OverridesParser.create(config_loader=loader).parse_overrides([line])
        check_swept_values(overrides, loader, takes_intervals)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("ordering=glob(zzz*)", "matches nothing; options are class_balanced, quasi_random, random, seq"),
        ("+ordering@other=glob(zzz*)", "matches nothing; options are class_balanced"),
        ("ordering=glob(*, exclude=[*])", "matches nothing; options are"),
        ("seed=glob(a*)", "matches nothing; 'seed' is no group of options"),
        ("seed=range(3,3)", "holds no value"),
        ("seed=shuffle(range(3,1))", "holds no value"),
        ("seed=interval(0,1)", "hparams_search=optuna does; give values here, such as seed=1,2,3"),
    ],
)
def test_F48_what_a_sweep_would_make_no_job_of_is_refused(line, message):
    with pytest.raises(SweepError, match=message) as found:
        check(line)
    assert str(found.value).startswith(f"{line}: ")


@pytest.mark.parametrize("line", ["seed=1", "seed=1,2", "seed=range(1,3)", "ordering=glob(r*)", "seed=choice(1)"])
def test_F48_what_has_values_is_accepted(line):
    check(line)
    check("seed=interval(0,1)", takes_intervals=True)
