"""The package as others install it: the wheel, its commands, and files that have to agree with pyproject.toml."""

import os
import re
import subprocess
import sys
import sysconfig
import tomllib
import venv
import zipfile
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
TRACKED = ("ffcv_hydra", "hydra_plugins", "conf", "pyproject.toml", "README.md", "LICENSE")  # what a wheel is made of
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def run(*command: str | Path, cwd: Path) -> str:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the package: setuptools leaves folders behind, and other tests may run at the same time."""
    source = tmp_path_factory.mktemp("source")
    present = [name for name in TRACKED if (ROOT / name).exists()]
    # cp -d keeps ffcv_hydra/conf a link, as it is in a checkout.
    run("cp", "-rd", *(ROOT / name for name in present), source, cwd=ROOT)
    (source / "README.md").touch()
    return source


@pytest.fixture(scope="module")
def wheel(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", out, source, cwd=source)
    [built] = out.glob("*.whl")
    return built


def environment(home: Path, *package: str | Path) -> tuple[Path, Path]:
    """A new environment with a package, third-party packages of this one, and not the checkout.

    Returns:
        Its bin folder, and the folder that the package is imported from.
    """
    venv.create(home, with_pip=False)
    bin_folder = home / "bin"
    python = bin_folder / "python"
    site = Path(run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=home).strip())
    # A path in a .pth file is searched, but .pth files that lie there are not read: those of editable installs neither.
    (site / "third_party.pth").write_text(sysconfig.get_path("purelib") + "\n")
    run(python, "-m", "pip", "install", "--no-deps", "--no-index", "--force-reinstall", *package, cwd=home)
    where = run(python, "-c", "import ffcv_hydra; print(ffcv_hydra.__file__)", cwd=home).strip()
    return bin_folder, Path(where).parents[1]


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bin folder of an environment with the wheel."""
    home = tmp_path_factory.mktemp("installed")
    bin_folder, where = environment(home, wheel)
    assert where.is_relative_to(home)
    return bin_folder


@pytest.fixture(scope="module")
def editable(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bin folder of an environment with an editable install."""
    bin_folder, where = environment(tmp_path_factory.mktemp("editable"), "--no-build-isolation", "--editable", source)
    assert where == source
    return bin_folder


@pytest.mark.timeout(300)
def test_wheel_carries_the_configs_as_files(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    configs = {f"ffcv_hydra/conf/{path.relative_to(ROOT / 'conf')}" for path in (ROOT / "conf").rglob("*.yaml")}
    plugins = {str(path.relative_to(ROOT)) for path in (ROOT / "hydra_plugins").rglob("*.py")}
    assert configs | plugins | {"ffcv_hydra/conf/__init__.py"} <= names
    assert "hydra_plugins/__init__.py" not in names, "other plugins could not be found"
    assert not {name for name in names if name.startswith(("conf/", "tests/"))}


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_console_scripts_of_the_wheel_work_anywhere(installed, tmp_path):
    assert "dataset" in run(installed / "ffcv-hydra-run", "--help", cwd=tmp_path)
    shown = yaml.safe_load(run(installed / "ffcv-hydra-run", "--cfg", "job", "--resolve", cwd=tmp_path))
    assert shown["trainer"]["default_root_dir"].startswith(str(tmp_path))
    assert "conversion" in run(installed / "ffcv-hydra-convert", "--help", cwd=tmp_path)
    (tmp_path / "mine.py").write_text(
        "class Mine:\n"
        "    def __len__(self):\n        return 8\n"
        "    def __getitem__(self, index):\n        return (int(index),)\n"
    )
    assert "256" in run(installed / "ffcv-hydra-convert", "dataset=toy", cwd=tmp_path)
    run(installed / "ffcv-hydra-convert", "dataset=custom", "dataset.source._target_=mine.Mine", cwd=tmp_path)
    assert {path.name for path in (tmp_path / "data").iterdir()} == {"toy.beton", "custom.beton"}


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("kind", ["installed", "editable"])
def test_a_console_script_sweeps(kind, request, tmp_path):
    bin_folder = request.getfixturevalue(kind)
    command = [bin_folder / "ffcv-hydra-run", "-m", "loader.batch_size=0,-1", "hydra.sweep.dir=sweep"]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=100)
    assert done.returncode == 1
    assert "job 1 failed: loader.batch_size=-1" in done.stdout
    assert "2 of 2 jobs did not finish" in done.stderr and "Traceback" not in done.stderr
    assert f"$ {bin_folder}/python {bin_folder}/ffcv-hydra-run " in (tmp_path / "sweep/0/job.log").read_text()


@pytest.mark.timeout(300)
def test_an_editable_install_is_found_beside_a_folder_of_its_name(editable, tmp_path):
    (tmp_path / "ffcv_hydra").mkdir()  # as a clone is for a script beside it
    run(editable / "python", "-c", "from ffcv_hydra.stages import STAGES", cwd=tmp_path)


def test_conf_in_the_package_is_the_one_of_the_checkout():
    link = ROOT / "ffcv_hydra" / "conf"
    assert link.is_symlink()
    assert os.readlink(link) == "../conf"


def test_dependencies_are_bounded():
    for requirement in PYPROJECT["project"]["dependencies"]:
        name = re.match(r"[\w-]+", requirement)[0]
        assert "==" in requirement or (">=" in requirement and ("<" in requirement or name == "setuptools")), (
            requirement
        )


def test_conda_environment_installs_the_package_and_keeps_its_bounds():
    packages = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
    conda = {re.match(r"[\w-]+", package)[0]: package for package in packages if isinstance(package, str)}
    [pip] = [package["pip"] for package in packages if isinstance(package, dict)]
    assert pip == ["-e .[dev]"]
    assert conda["python"] == "python" + PYPROJECT["project"]["requires-python"]
    for requirement in PYPROJECT["project"]["dependencies"]:
        name = re.match(r"[\w-]+", requirement)[0]
        assert conda.get(name, requirement) == requirement


def test_wheels_and_image_are_made_of_what_the_package_asks_for():
    [ffcv] = [one for one in PYPROJECT["project"]["optional-dependencies"]["ffcv"] if one.startswith("ffcv==")]
    assert f" {ffcv}\n" in (ROOT / "tools" / "wheels.sh").read_text()
    seen_by_docker = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    assert {*TRACKED, "tools"} == seen_by_docker
    assert f"FROM python:{PYPROJECT['tool']['mypy']['python_version']}-slim" in (ROOT / "Dockerfile").read_text()


def test_citation_and_package_have_one_version():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["version"] == PYPROJECT["project"]["version"]
    assert citation["license"] == PYPROJECT["project"]["license"]


def test_continuous_integration_runs_what_the_makefile_offers():
    commands = [line for line in (ROOT / ".ci" / "run").read_text().splitlines() if line.startswith("make ")]
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert "make test" in commands
    assert {command.split()[1] for command in commands} <= set(targets)
