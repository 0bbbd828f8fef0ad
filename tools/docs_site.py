"""The pages of the documentation site that are made of the sources; MkDocs calls the `on_` functions (`mkdocs.yml`).

reference/options.md        conf/ as it is, and what a loader may be told
reference/commands.md       the help of every command
reference/api/NAME.md       the public names of ffcv_hydra.NAME, whose docstrings mkdocstrings prints
changelog.md, contributing.md
"""

import argparse
import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from ffcv_hydra.cli.inspection import command_parser
from ffcv_hydra.loader_options import OPTIONS

ROOT = Path(__file__).parents[1]
CONF = ROOT / "conf"
PACKAGE = ROOT / "ffcv_hydra"
API = {
    "ffcv_hydra": "__init__",
    **{room: room for room in ("beton", "collection", "operations", "ordering", "datasets", "models", "callbacks")},
    **{module: module for module in ("conversion", "pipeline", "run_folder", "errors")},
}
_OF_HOOKS = ("operations", "models", "callbacks")  # rooms of classes whose methods others call, not users
_BASES = ("AllocationQuery", "Chunk", "ChunkDecoder", "ChunkOperation", "Extents", "Operation", "State")
_FROM_ELSEWHERE = re.compile(r"<(?:script|img|iframe|link rel=.?(?:stylesheet|pre\w+))[^>]*=.?(?:https?:)?//")


def pages() -> dict[str, str]:
    """What each generated page says, by its path below docs/."""
    return {
        "reference/options.md": options(),
        "reference/commands.md": commands(),
        "changelog.md": _page_of("CHANGELOG.md"),
        "contributing.md": _page_of("CONTRIBUTING.md"),
        **{f"reference/api/{name}.md": api(name) for name in API},
    }


def on_files(files, config):
    """Add the generated pages to those of docs/."""
    from mkdocs.structure.files import File

    for path, text in pages().items():
        files.append(File.generated(config, path, content=text))
    return files


def on_post_page(output, page, config):
    """Refuse a page that a browser would load anything for from another server."""
    from mkdocs.exceptions import PluginError

    if found := _FROM_ELSEWHERE.search(output):
        raise PluginError(f"{page.file.src_uri} loads something from elsewhere: {output[found.start() :][:120]}")
    return output


def on_post_build(config):
    """Put the search's index beside itself as a script, which a page that is opened as a file can load."""
    search = Path(config.site_dir) / "search"
    (search / "search_index.js").write_text(f"var __index = {(search / 'search_index.json').read_text()}")


def options() -> str:
    """Every config group with its options, as their files have them, and the loader's options as a table."""
    lines = [
        "# Options",
        "",
        "Groups and options as `conf/` has them: a group is chosen by `group=option`, a key by `group.key=value`, and "
        "a new key by `+group.key=value`; `null` is None. `python run.py --cfg job` prints what they compose to.",
        "",
    ]
    whole = (("A run: `python run.py`", "run"), ("A conversion: `python convert.py`", "convert"), ("Folds", "folds"))
    for title, name in whole:
        lines += [f"## {title}", "", *_file(CONF / f"{name}.yaml"), ""]
    for group in _groups():
        lines += [f"## {group}", ""]
        for path in sorted((CONF / group).glob("*.yaml"), key=lambda path: (path.stem != "default", path.stem)):
            lines += [f"### {group}={path.stem}", "", *_file(path), ""]
        if group == "loader":
            lines += [*_loader_table(), ""]
    return "\n".join(lines)


def _groups() -> Iterator[str]:
    folders = sorted({path.parent.relative_to(CONF).as_posix() for path in CONF.rglob("*.yaml")} - {".", "hydra/help"})
    return iter(folders)


def _file(path: Path) -> list[str]:
    """A config file: the comment that it begins with as text, the rest as it is."""
    lines = path.read_text().rstrip().splitlines()
    first = next((number for number, line in enumerate(lines) if not line.startswith("# ")), len(lines))
    text = " ".join(line[2:] for line in lines[:first])
    rest = [line for number, line in enumerate(lines[first:]) if line or number]
    name = path.relative_to(ROOT).as_posix()
    return [text.replace("<", "&lt;"), "", *([f'```yaml title="{name}"', *rest, "```"] if rest else [])]


def _loader_table() -> list[str]:
    """What values the loader's options take; what they mean stands in conf/loader/default.yaml."""
    rows = [
        "Each of these also exists for one stage alone, such as `+loader.val_batch_size=256`; `seed` is the run's.",
        "",
        "| option of `Loader` and of `loader` | what it may be |",
        "|---|---|",
    ]
    return rows + [f"| `{name}` | {option.text} |" for name, option in OPTIONS.items()]


def commands() -> str:
    """The help texts of `run.py`, `convert.py` and of each command of `python -m ffcv_hydra`."""
    lines = ["# Commands", ""]
    for script in ("run.py", "convert.py"):
        done = subprocess.run(
            [sys.executable, ROOT / script, "--help"], cwd=ROOT, capture_output=True, text=True, check=True
        )
        lines += [f"## python {script}", "", "```text", done.stdout.strip(), "```", ""]
    parser = command_parser()
    lines += ["## python -m ffcv_hydra", "", "```text", _help(parser), "```", ""]
    (subparsers,) = (action for action in parser._actions if isinstance(action, argparse._SubParsersAction))
    for name, command in subparsers.choices.items():
        lines += [f"### {name}", "", "```text", _help(command), "```", ""]
    return "\n".join(lines)


def _help(parser: argparse.ArgumentParser) -> str:
    parser.formatter_class = lambda prog, formatter=parser.formatter_class: formatter(prog, width=100)
    return parser.format_help().strip()


def api(name: str) -> str:
    """The public names of a module, for mkdocstrings."""
    module = "ffcv_hydra" if name == "ffcv_hydra" else f"ffcv_hydra.{name}"
    path = PACKAGE / f"{API[name]}.py"
    tree = ast.parse((path if path.is_file() else PACKAGE / name / "__init__.py").read_text())
    hidden = "\n    options: {members: false}" if name in _OF_HOOKS else ""
    entries = [f"::: {module}.{public}{'' if public in _BASES else hidden}" for public in public_names(tree)]
    return "\n\n".join([f"# {module}", _to_markdown(ast.get_docstring(tree) or ""), *entries]) + "\n"


def public_names(tree: ast.Module) -> list[str]:
    """What a module offers: what is in `__all__`, else what it imports as itself, else its classes and functions."""
    for node in tree.body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            return sorted(ast.literal_eval(node.value))
    imports = [alias for node in tree.body if isinstance(node, ast.ImportFrom) for alias in node.names]
    found = [alias.name for alias in imports if alias.asname == alias.name]
    own = [node.name for node in tree.body if isinstance(node, (ast.ClassDef, ast.FunctionDef))]
    return sorted(found or (name for name in own if not name.startswith("_")))


def _to_markdown(docstring: str) -> str:
    return docstring.replace("<", "&lt;")


def _page_of(name: str) -> str:
    """A file at the top of the checkout, with its links as the site has them."""
    text = (ROOT / name).read_text().replace("](docs/", "](")
    return text.replace("](CHANGELOG.md)", "](changelog.md)")
