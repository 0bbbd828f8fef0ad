"""`python -m ffcv_hydra preview`."""

import pytest
from PIL import Image

from ffcv_hydra.cli import entry
from ffcv_hydra.cli.inspection import main
from tests import processes

pytestmark = pytest.mark.timeout(300)


@pytest.fixture
def run(tmp_path):
    return lambda *arguments: processes.run(["-m", "ffcv_hydra", "preview", *arguments], tmp_path)


def test_writes_a_picture_and_says_where(run, tmp_path):
    done = run("pipeline=randcrop", "--samples", "2", "--output", "new/sheet.png", "dataset.source.num_samples=40")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == str(tmp_path / "new/sheet.png")
    with Image.open(tmp_path / "new/sheet.png") as image:
        assert image.format == "PNG"
        assert min(image.size) > 200
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data", "new"], "no run folder"


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("pipeline=randcop", "pipeline=randcop: there is no such option; did you mean 'randcrop'?"),
        ("loader.batch_siz=3", "unknown key 'loader.batch_siz': did you mean 'loader.batch_size'?"),
        ("loader.batch_size=0", "loader.batch_size=0: must be a whole number of at least 1"),
        ("pipeline=image,randcrop", "Ambiguous value for argument 'pipeline=image,randcrop'"),
        ("--config-dir=none", "none' not found"),
        ("--output=/proc/none/sheet.png", "cannot write /proc/none/sheet.png: "),
    ],
)
def test_bad_input_is_one_line_as_in_run(run, argument, message):
    done = run(argument, "--samples=1")
    assert done.returncode == 1
    [line] = done.stderr.strip().splitlines()
    assert message in line


@pytest.mark.parametrize("command", ["preview", "bench"])
def test_F52_configs_of_ones_own_are_understood_as_by_run(command, monkeypatch):
    given = []
    monkeypatch.setattr(entry, "execute", lambda task, name, arguments: given.extend([name, *arguments]))
    main([command, "-cd", "my conf", "dataset=mine", "--config-name", "own", "--stage", "val", "seed=1"])
    assert given == ["run", "--config-dir=my conf", "--config-name=own", "hydra.run.dir=.", "dataset=mine", "seed=1"]


@pytest.mark.parametrize(
    "arguments",
    [["--samples", "0"], ["--epochs", "x"], ["--stage", "training"], ["pipeline=image", "--sample-ids=3"], ["-m"]],
)
def test_bad_usage_ends_with_status_2(arguments, capsys):
    with pytest.raises(SystemExit) as caught:
        main(["preview", *arguments])
    assert caught.value.code == 2
    assert "usage" in capsys.readouterr().err
