"""`python -m ffcv_hydra new NAME`: a small project that imports this package."""

import argparse
import keyword
import sys
from importlib.resources import files
from importlib.resources.abc import Traversable
from importlib.util import find_spec
from pathlib import Path

from ffcv_hydra.cli.tool import Tool
from ffcv_hydra.errors import WriteError
from ffcv_hydra.printable import printable

_NAMES = {"gitignore": ".gitignore"}
"""Of files that would do here what they are for there."""

_TAKEN = ("tests", "conf", "run", "convert", "data", "outputs", "multirun")
"""By files of a project, and by folders that its `.gitignore` names."""


def _add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", type=_folder, help="where to; its name is that of the project and of its package")


def _folder(text: str) -> Path:
    folder = Path(text).expanduser()
    name = folder.name
    if not name.isidentifier() or keyword.iskeyword(name) or not name.isascii():
        raise argparse.ArgumentTypeError(f"{text!r}: a package cannot be called that; use letters, digits and _")
    if name in _TAKEN or name in sys.stdlib_module_names or _is_module(name):
        raise argparse.ArgumentTypeError(f"{text!r}: {name} is taken by another module; choose another name")
    return folder


def _is_module(name: str) -> bool:
    """Whether a module is installed; a folder that lies about is none."""
    found = find_spec(name)
    return found is not None and found.origin is not None


def _new(chosen: argparse.Namespace) -> int:
    folder: Path = chosen.folder
    try:
        folder.mkdir(parents=True)
        _write(files("ffcv_hydra.cli") / "project", folder, folder.name)
    except FileExistsError:
        raise WriteError(f"{folder} is there already; nothing was written") from None
    except OSError as error:
        raise WriteError(f"{folder} cannot be written: {error.strerror}") from None
    print(printable(f"{folder}: a dataset, a model, their configs and a test\n    cd {folder}"))
    print("    python run.py experiment=first\n    python -m pytest")
    return 0


def _write(templates: Traversable, folder: Path, name: str) -> None:
    for template in templates.iterdir():
        if template.is_dir():
            inner = folder / (name if template.name == "package" else template.name)
            inner.mkdir()
            _write(template, inner, name)
        elif template.name.endswith(".in"):
            called = template.name.removesuffix(".in")
            text = template.read_text(encoding="utf-8").replace("PROJECT", name)
            (folder / _NAMES.get(called, called).replace("PROJECT", name)).write_text(text, encoding="utf-8")


NEW = Tool(
    "new",
    "begin a project of your own: dataset, model, configs, a test",
    _add,
    _new,
    "Write a folder with a small project that trains at once: a package with a dataset and a model, run.py and"
    " convert.py, configs beside the shipped ones, a test.",
)
