"""The product without FFCV and OpenCV, which only `ffcv_hydra.ffcv_bridge` may import."""

import ast
import re
import subprocess
import sys
import sysconfig
from importlib.util import find_spec
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "ffcv_hydra"
BLOCKED = "import sys; sys.modules.update(ffcv=None, cv2=None)\n"

# The search's modules are loaded once its extra, Optuna, is known to be there.
LOAD = """
import pkgutil, importlib, numpy as np
import ffcv_hydra
from PIL import Image
NAMES = ("ffcv_bridge", "cli.ffcv_startup.", "conf", "__main__", "sweeps.search", "export.example")
ELSEWHERE = tuple(f"ffcv_hydra.{name}" for name in NAMES)
for module in pkgutil.walk_packages(ffcv_hydra.__path__, "ffcv_hydra."):
    if not module.name.startswith(ELSEWHERE):
        importlib.import_module(module.name)

from ffcv_hydra import Loader, create_beton_wrapper
from ffcv_hydra.operations import RandomHorizontalFlip, RandomResizedCrop, ToTensor

items = [(Image.fromarray(np.full((40, 50, 3), n, np.uint8)), n, np.ones(3, np.float32), {"n": n}) for n in range(8)]
create_beton_wrapper(items, sys.argv[1], num_workers=0)
loader = Loader(sys.argv[1], 4, pipelines={"image": [RandomResizedCrop(16), RandomHorizontalFlip(), ToTensor()]})
assert sum(len(images) for images, *_ in loader) == 8
"""

UNKNOWN_FIELD = """
import numpy as np
from ffcv_hydra.beton import Beton, write_beton
from ffcv_hydra.beton.fields.bytes_fields import BytesField
from ffcv_hydra.errors import BetonError
Plain = type("Plain", (BytesField,), {})
write_beton([(np.zeros(3, np.uint8),)], sys.argv[1], {"sound": Plain()}, num_workers=0)
try:
    Beton(sys.argv[1])
except BetonError as error:
    print(error)
"""

REFUSED = """
import os
os.chdir(sys.argv[1])
from ffcv_hydra.building.targets import locate
from ffcv_hydra.errors import ConfigError
try:
    locate("ffcv.transforms.ToTensor", "pipeline.train.image[1]")
except ConfigError as error:
    print(error)
"""


TRAIN = """
import atexit
from pathlib import Path
from ffcv_hydra.cli import run

maps = Path("/proc/self/maps")
atexit.register(lambda: Path("libraries.txt").write_text(maps.read_text()))
sys.argv = ["run.py", "dataset=digits", "model=classifier", "trainer.max_epochs=1", "trainer.limit_train_batches=2"]
run()
"""

# Python with all that its standard library is linked to: what a machine has that `pip` runs on.
PYTHON = """
import bz2, ctypes, curses, hashlib, lzma, readline, sqlite3, ssl, uuid, zlib
print(open("/proc/self/maps").read())
"""

# Of essential packages of Debian, or what its apt depends on; a GPU's driver; what Pillow takes if it is there.
GIVEN = re.compile(r"(ld-linux.*|lib(c|m|dl|pthread|rt|util|gcc_s|stdc\+\+|z|cuda|nvidia.*|fribidi))\.so[.\d]*")


def libraries(maps: str) -> set[str]:
    """The shared libraries among the mapped files."""
    paths = {line.split(maxsplit=5)[5] for line in maps.splitlines() if len(line.split(maxsplit=5)) == 6}
    return {path for path in paths if ".so" in Path(path).name}


def imported(path: Path) -> set[str]:
    """The first names of the packages that a module imports anywhere."""
    nodes = list(ast.walk(ast.parse(path.read_text())))
    names = [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    names += [node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.module]
    return {name.partition(".")[0] for name in names}


def test_only_one_room_knows_ffcv_and_none_opencv():
    found = {path.relative_to(PACKAGE) for path in PACKAGE.rglob("*.py") if imported(path) & {"ffcv", "cv2"}}
    assert {path.parts[0] for path in found} == {"ffcv_bridge"}
    assert not [path for path in found if "cv2" in imported(PACKAGE / path)]


@pytest.mark.timeout(300)
def test_everything_else_is_imported_and_images_are_converted_and_loaded(tmp_path):
    subprocess.run([sys.executable, "-c", BLOCKED + LOAD, str(tmp_path / "a.beton")], check=True)


def test_naming_something_of_ffcvs_says_how_to_install_it(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", BLOCKED + REFUSED, str(tmp_path)], check=True, capture_output=True, text=True
    )
    where = "pipeline.train.image[1]._target_=ffcv.transforms.ToTensor"
    expected = f"{where}: FFCV is not installed; pip install 'ffcv_hydra[ffcv]'\n"
    assert done.stdout == expected


@pytest.mark.parametrize(
    ("blocked", "advice"),
    [
        (BLOCKED, "; if it is derived from FFCV's, {} first"),
        pytest.param(
            "import sys\n", "", marks=pytest.mark.skipif(find_spec("ffcv") is None, reason="FFCV is not installed")
        ),
    ],
)
def test_a_field_of_a_class_that_may_be_of_ffcvs_kind_says_how_to_install_it(tmp_path, blocked, advice):
    path = tmp_path / "a.beton"
    done = subprocess.run(
        [sys.executable, "-c", blocked + UNKNOWN_FIELD, str(path)], check=True, capture_output=True, text=True
    )
    install = advice.format("pip install 'ffcv_hydra[ffcv]'")
    what = f"field 'sound' is of a class that FFCV does not know; name its class in custom_fields{install}"
    assert done.stdout == f"{path}: {what}\n"


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_training_run_loads_libraries_of_pip_python_and_bare_debian_alone(tmp_path):
    run = subprocess.run([sys.executable, "-c", BLOCKED + TRAIN], cwd=tmp_path, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr
    bare = subprocess.run([sys.executable, "-c", PYTHON], check=True, capture_output=True, text=True)
    loaded = libraries((tmp_path / "libraries.txt").read_text())
    installed = [Path(path).resolve() for path in (sysconfig.get_path("platlib"), sys.base_prefix)]
    others = {path for path in loaded if not any(Path(path).is_relative_to(folder) for folder in installed)}
    print(*sorted(others), f"and {len(loaded - others)} that pip and Python have installed", sep="\n")  # for pytest -rP
    assert "libtorch" in str(loaded - others)
    assert not [path for path in others - libraries(bare.stdout) if not GIVEN.fullmatch(Path(path).name)]
