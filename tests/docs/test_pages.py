"""What README and the pages show can be meant: commands compose, configs fit their schema, code can be parsed."""

import ast
import importlib
import re

import pytest
import yaml
from hydra import compose, initialize_config_module
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import ConfigCompositionException

import ffcv_hydra.cli  # noqa: F401  (registers the resolvers)
from ffcv_hydra.building.targets import check_targets
from ffcv_hydra.cli.inspection import command_parser
from ffcv_hydra.cli.schema import Pipeline, check
from tests.docs.blocks import BLOCKS, PAGES, ROOT, words

COMMANDS = {tuple(words(line)): (str(block), printed) for block in BLOCKS for line, printed in block.commands()}
EXTENDING = "docs/extending.md"  # whose code test_extending runs
PIPELINES = [block for block in BLOCKS if block.language == "yaml" and block.page != EXTENDING and "\n  " in block.text]
TARGETS = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


def test_the_readme_is_short():
    assert len((ROOT / "README.md").read_text().splitlines()) < 200


@pytest.mark.parametrize("block", PIPELINES, ids=str)
def test_each_yaml_block_is_a_pipeline_whose_targets_exist(block):
    node = yaml.safe_load(block.text)
    check(Pipeline, node)
    check_targets(node)


@pytest.mark.parametrize("script", ["run", "convert"])
def test_commands_compose(script):
    found = {command: where for command, where in COMMANDS.items() if command[:2] == ("python", f"{script}.py")}
    assert len(found) > 5
    with initialize_config_module("ffcv_hydra.conf", version_base="1.3"):
        for command, (where, printed) in found.items():
            if printed.startswith("unknown key"):
                with pytest.raises(ConfigCompositionException):
                    _compose(script, command[2:])
            else:
                _check_composes(script, command[2:], where)


def test_tools_take_their_arguments():
    parser = command_parser()
    found = {command: where for command, where in COMMANDS.items() if command[:3] == ("python", "-m", "ffcv_hydra")}
    assert len(found) > 10
    with initialize_config_module("ffcv_hydra.conf", version_base="1.3"):
        for command, (where, _) in found.items():
            try:
                chosen, rest = parser.parse_known_args(command[3:])
            except SystemExit:
                pytest.fail(f"{where}: {' '.join(command)}")
            if "overrides" in chosen:
                _check_composes("run", [*chosen.overrides, *rest], where)


def _check_composes(script, arguments, where):
    if "--config-dir" not in arguments:  # of files that extending.md writes
        try:
            _compose(script, arguments)
        except Exception as error:
            pytest.fail(f"{where}: {' '.join(arguments)}: {error}")


def _compose(script, arguments):
    """Compose the first job of what a command line asks for; options of Hydra's own are left out."""
    given = [text for text in arguments if not text.startswith("-") and "=" in text]
    overrides = [_first(override) for override in OverridesParser.create().parse_overrides(given)]
    compose(script, [text for text in overrides if text is not None], return_hydra_config=True)


def _first(override):
    """The override as it stands, or with the first of the values that a sweep would try; None for an interval."""
    if not override.is_sweep_override():
        return override.input_line
    if not override.is_discrete_sweep():
        return None
    return f"{override.input_line.partition('=')[0]}={next(override.sweep_string_iterator())}"


def test_targets_of_make_exist():
    for command, (where, _) in COMMANDS.items():
        if command[0] == "make":
            for target in (word for word in command[1:] if "=" not in word):
                assert target in TARGETS or target.startswith("bench-"), f"{where}: make {target}"


@pytest.mark.parametrize("block", [block for block in BLOCKS if block.language == "python"], ids=str)
def test_python_can_be_parsed_and_imports_what_is_there(block):
    for node in ast.walk(ast.parse(block.text)):
        if isinstance(node, ast.ImportFrom) and str(node.module).startswith("ffcv_hydra"):
            module = importlib.import_module(node.module)
            assert all(hasattr(module, alias.name) for alias in node.names), ast.unparse(node)


@pytest.mark.parametrize("page", [page for page in PAGES if page.parent == ROOT], ids=lambda page: page.name)
def test_links_of_pages_that_mkdocs_does_not_see_lead_somewhere(page):
    for link in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text()):
        assert link.startswith("https://") or (ROOT / link).exists(), link
