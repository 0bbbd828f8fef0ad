"""The additions of `docs/extending.md`, written to files as it says and run."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests import processes

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "extending.md").read_text()
FILES = re.findall(r"```(?:python|yaml)\n# (\S+)\n(.*?)```", PAGE, re.DOTALL)
(DIFF,) = re.findall(r"```diff\n(.*?)```", PAGE, re.DOTALL)
COMMANDS = re.findall(r"```bash\npython run\.py (.*?)```", PAGE, re.DOTALL)

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    folder = tmp_path_factory.mktemp("project")
    for name, content in FILES:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return folder


def run(project, *command, package=ROOT):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(project), str(package)])}
    done = subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, f"{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    return done.stdout


def test_every_block_of_code_is_a_file_or_a_command():
    assert PAGE.count("```") == 2 * (len(FILES) + len(COMMANDS) + 2)  # and the folders, and the change


def test_the_additions_pass_their_own_tests(project):
    output = run(project, sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "additions")
    assert re.search(r"\b(\d+) passed", output)[1] == str(PAGE.count("\ndef test_"))


def test_a_run_names_them_in_configs(project):
    (command,) = COMMANDS
    words = shlex.split(command.replace("\\\n", ""))
    done = processes.run(["run.py", *words], project, {**os.environ, "PYTHONPATH": str(project)})
    assert done.returncode == 0, f"{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    (result,) = project.glob("outputs/*/*/result.json")
    found = json.loads(result.read_text())
    assert found["status"] == "completed" and found["metrics"]["test_accuracy"] >= 0
    assert found["metrics"]["gradient_norm"] > 0


def test_an_option_of_the_loader_is_what_the_page_changes(tmp_path):
    for name in ("ffcv_hydra", "conf", "tests/test_loader_options.py"):
        source, target = ROOT / name, tmp_path / name
        target.parent.mkdir(exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, target)
    subprocess.run(["git", "apply", "-C1", "-"], cwd=tmp_path, input=DIFF, text=True, check=True)
    run(tmp_path, sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests", package=tmp_path)
    read = (
        "import logging; logging.basicConfig(level='INFO'); from ffcv_hydra import Loader;"
        "from ffcv_hydra.beton import write_beton; write_beton([(n,) for n in range(6)], 'n.beton');"
        "list(Loader('n.beton', 4, log_epochs=True)); list(Loader('n.beton', 4))"
    )
    output = run(tmp_path, "bash", "-c", f'{sys.executable} -c "{read}" 2>&1', package=tmp_path)
    assert output.count("epoch 0 ends after 2 batches") == 1
