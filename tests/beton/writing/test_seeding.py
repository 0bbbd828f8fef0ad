"""What datasets draw is the same for any number of workers, also where they load torch late; ours do without it."""

import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

ROOT = Path(__file__).parents[3]
OWN = """
class Drawing:
    def __len__(self):
        return 40

    def __getitem__(self, index):
        if not index:
            return (0.5,)
        import torch
        return (float(torch.rand(())),)
"""
CONVERT = """
import sys
from ffcv_hydra.beton import write_beton
from own import Drawing

assert "torch" not in sys.modules
write_beton(Drawing(), sys.argv[1], num_workers=int(sys.argv[2]), chunksize=10)
"""
CONVERT_AND_INSPECT = """
import sys
from pathlib import Path
from ffcv_hydra.cli import convert
from ffcv_hydra.cli.inspection import main

sys.argv[1:] = ["hydra.run.dir=run", "conversion.num_workers=1", *sys.argv[1:]]
convert()
for command in ("info", "verify"):
    assert main([command, str(next(Path("data").glob("*.beton")))]) == 0
assert "torch" not in sys.modules
"""


def _python(code: str, folder: Path, *arguments: str) -> str:
    command = [sys.executable, "-c", code, *arguments]
    environment = {"PYTHONPATH": f"{ROOT}:{folder}", "HOME": str(folder)}
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=100, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_dataset_that_loads_torch_while_it_is_read_draws_what_the_seed_says(tmp_path):
    (tmp_path / "own.py").write_text(OWN)
    for workers in ("0", "2"):
        _python(CONVERT, tmp_path, f"{workers}.beton", workers)
    assert (tmp_path / "0.beton").read_bytes() == (tmp_path / "2.beton").read_bytes()


@pytest.mark.parametrize("dataset", ["toy", "array", "digits", "digit_scenes", "image_folder"])
def test_our_own_datasets_are_converted_and_inspected_without_torch(dataset, tmp_path):
    for label in "ab":
        (tmp_path / "images" / label).mkdir(parents=True)
        for number in range(8):
            Image.new("RGB", (16, 16), (number, 0, 0)).save(tmp_path / "images" / label / f"{number}.jpg")
    root = [f"dataset.root={tmp_path}/images"] if dataset == "image_folder" else []
    assert "samples" in _python(CONVERT_AND_INSPECT, tmp_path, f"dataset={dataset}", *root)
