"""Makes .venv-without-ffcv of the packages in .venv: what `pip install .` brings, what tests are run with, and no more.

Files are linked, so that nothing is downloaded or stored twice. Beside its bin folder is one called path, with all
programs of the PATH but compilers.
"""

import os
import re
import shutil
import sys
import tomllib
import venv
from collections.abc import Iterator
from importlib.metadata import Distribution, distribution
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]
HOME = ROOT / ".venv-without-ffcv"
TESTED_WITH = ("hypothesis", "pytest", "pytest-timeout", "pytest-xdist")
COMPILERS = re.compile(r"(.*-)?(cc|gcc|g\+\+|c\+\+|cpp|clang|clang\+\+|nvcc|ld|as|c89|c99)(-[\d.]+)?")


def packages() -> Iterator[Distribution]:
    """Those that `pip install .` and tests ask for, with all that they ask for, and the package as it is installed."""
    yield distribution("ffcv_hydra")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    waiting = [(Requirement(text), "") for text in (*project["dependencies"], *TESTED_WITH)]
    seen: set[tuple[str, str]] = set()
    while waiting:
        requirement, parents_extra = waiting.pop()
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": parents_extra}):
            continue
        found = distribution(requirement.name)
        if (found.name, "") not in seen:
            yield found
        for extra in {"", *requirement.extras} - {extra for name, extra in seen if name == found.name}:
            seen.add((found.name, extra))
            waiting += [(Requirement(text), extra) for text in found.requires or ()]


def link(source: Path, target: Path) -> None:
    """Link a file, unless another package has brought it; a copy where it lies on another file system."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.exists():
        return
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


def link_packages(site: Path) -> None:
    """Link their files into a folder; not programs, nor bytecode that is gone."""
    for package in packages():
        for file in package.files or ():
            source = Path(str(package.locate_file(file)))
            if ".." not in file.parts and source.exists():
                link(source, site / file)
    for name in ("ffcv", "cv2"):
        if (site / name).exists():
            raise SystemExit(f"{name} is among what the package or its tests depend on")


def link_programs(folder: Path) -> None:
    """Link what the PATH has, but compilers, into a folder."""
    folder.mkdir()
    for place in map(Path, os.get_exec_path()):
        for program in place.iterdir() if place.is_dir() else ():
            link = folder / program.name
            if not COMPILERS.fullmatch(program.name) and not link.is_symlink():
                link.symlink_to(program.absolute())


def main() -> None:
    shutil.rmtree(HOME, ignore_errors=True)
    venv.create(HOME, with_pip=False)
    link_packages(HOME / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}" / "site-packages")
    link_programs(HOME / "path")


if __name__ == "__main__":
    main()
