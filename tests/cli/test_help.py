"""--help, --cfg and shell completion are complete, and fast because they import nothing heavy."""

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

pytestmark = pytest.mark.timeout(300)
CONF = Path(__file__).parents[2] / "conf"
GROUPS = sorted(path.name for path in CONF.iterdir() if path.is_dir() and path.name not in ("hydra", "__pycache__"))


def test_help_says_what_every_group_is_for(command):
    done = command("run.py", "--help")
    assert done.returncode == 0
    purposes, _, options = done.stdout.partition("\nOptions\n")
    for group in GROUPS:
        assert any(line.split()[:1] == [group] and len(line.split()) > 3 for line in purposes.splitlines()), group
        assert any(line.startswith(f"{group}: ") for line in options.splitlines()), group
    assert "$" not in done.stdout.replace("$(python", "")


def test_convert_help_names_its_groups(command):
    done = command("convert.py", "--help")
    assert done.returncode == 0
    assert "conversion   workers" in done.stdout


def test_cfg_shows_the_resolved_config(command, tmp_path):
    done = command("run.py", "--cfg", "job", "--resolve", "experiment=digits", "data_dir=elsewhere")
    assert done.returncode == 0, done.stderr
    config = yaml.safe_load(done.stdout)
    assert config["model"]["backbone"]["num_classes"] == 10
    assert config["dataset"]["splits"]["train"]["beton"] == "elsewhere/digits_train.beton"
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("pipeline=rand", {"pipeline=randcrop"}),
        ("trainer.max_e", {"trainer.max_epochs="}),
        ("dataset=to", {"dataset=toy"}),
    ],
)
def test_completion_knows_groups_options_and_keys(command, line, expected):
    full = f"python run.py {line}"
    done = command("run.py", "-sc", "query=bash", COMP_LINE=full, COMP_POINT=str(len(full)))
    assert done.returncode == 0, done.stderr
    assert expected <= set(done.stdout.split())


def test_completion_installs(command):
    done = command("run.py", "-sc", "install=bash")
    assert "complete -o nospace -o default -F hydra_bash_completion" in done.stdout


@pytest.mark.parametrize("arguments", [["--help"], ["--cfg", "job", "--resolve"], ["-sc", "install=bash"]])
def test_asking_imports_nothing_heavy(arguments, tmp_path):
    script = (
        "import sys\nfrom ffcv_hydra.cli import run\n"
        f"sys.argv = ['run.py', *{arguments!r}]\n"
        "try:\n    run()\nexcept SystemExit:\n    pass\n"
        "heavy = {'torch', 'ffcv', 'numba', 'pytorch_lightning', 'cv2', 'pydantic'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    subprocess.run([sys.executable, "-c", script], cwd=CONF.parent, check=True, capture_output=True, timeout=100)
