"""What to type is shown where Hydra cannot read an override, and means what was meant."""

import shlex

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import OverrideParseException

from ffcv_hydra.cli.composition_errors import _as_text, explain

PARSER = OverridesParser.create()
ROOTS = ["/photos (1)", "/a=b/c", "/it's", '/a "b"', "/a#b", "/für", "/a;b&c!", "/a)(b", "/a, (b)"]


@pytest.mark.parametrize("root", ROOTS)
def test_F52_the_quoting_to_type_is_shown(root):
    with pytest.raises(OverrideParseException) as caught:
        PARSER.parse_overrides([f"dataset.root={root}"])
    line = explain(caught.value)
    assert line.startswith(f"cannot read dataset.root={root}: text with special characters is quoted")
    [typed] = shlex.split(line.rpartition("for the shell and for Hydra: ")[2])
    assert PARSER.parse_override(typed).value() == root


def test_F52_text_with_commas_is_quoted_so_that_it_is_no_sweep():
    [typed] = shlex.split(_as_text("dataset.root", "/a,b"))
    override = PARSER.parse_override(typed)
    assert (override.value(), override.is_sweep_override()) == ("/a,b", False)


@pytest.mark.parametrize(
    ("override", "line"),
    [
        ("max_epochs", "cannot read 'max_epochs': write key=value"),
        ("a(b)=1", "cannot read 'a(b)=1': write key=value"),
        ("trainer.devices=[0,1", "cannot read trainer.devices=[0,1: a bracket or a quote is left open, or text in it"),
    ],
)
def test_F52_what_is_no_text_with_special_characters_is_told_so(override, line):
    with pytest.raises(OverrideParseException) as caught:
        PARSER.parse_overrides([override])
    assert explain(caught.value).startswith(line)
