"""Programs that import FFCV have this package's loader and writer, where `run-ffcv` starts them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PROGRAM = """
import importlib.util
import multiprocessing
import os
import subprocess
import sys

import torch
threads = torch.get_num_threads()

assert importlib.util.find_spec("ffcv") is not None  # looks before it imports
import ffcv.loader.loader
from ffcv.fields import IntField
from ffcv.fields.decoders import IntDecoder
from ffcv.loader import Loader
from ffcv.transforms import ReplaceLabel, ToTensor
from ffcv.writer import DatasetWriter


def read(path):
    assert ffcv.loader.loader.Loader is ffcv.Loader is Loader and torch.get_num_threads() == threads
    loader = Loader(path, 4, 1, pipelines={"label": [IntDecoder(), ReplaceLabel([2], 7), ToTensor()]})
    print(Loader.__module__, len(loader), flush=True)


if __name__ == "__main__":
    print(sys.argv, __file__, sys.path[0], flush=True)
    if sys.argv[1] == "write":
        DatasetWriter("a.beton", {"label": IntField()}, num_workers=1).from_indexed_dataset([(n,) for n in range(9)])
    read("a.beton")
    if sys.argv[1] == "write":
        if os.fork() == 0:
            sys.exit()
        os.wait()
        for method in ("fork", "spawn"):
            process = multiprocessing.get_context(method).Process(target=read, args=("a.beton",))
            process.start()
            process.join()
        assert subprocess.run([sys.executable, "-m", "folder.program", "read"]).returncode == 3
    sys.exit(3)
"""
OF_FFCV_PL = """
import ffcv_pl.ffcv_utils.augmentations
import torch
from ffcv.fields.basics import IntDecoder
from ffcv.fields.rgb_image import CenterCropRGBImageDecoder
from ffcv.loader import OrderOption
from ffcv.transforms import ToTensor, ToTorchImage
from ffcv_pl.data_loading import FFCVDataModule
from ffcv_pl.ffcv_utils.utils import FFCVPipelineManager
from ffcv_pl.generate_dataset import create_beton_wrapper
from PIL import Image

DivideImage255 = ffcv_pl.ffcv_utils.augmentations.DivideImage255
create_beton_wrapper([(Image.new("RGB", (32, 32), (255, 0, 51)), n) for n in range(20)], "./data/toy")
image = [CenterCropRGBImageDecoder((16, 16), ratio=1.0), ToTensor(), ToTorchImage(), DivideImage255(torch.float32)]
train, val = (
    FFCVPipelineManager("./data/toy.beton", pipeline_transforms=[image, labels], ordering=order)
    for labels, order in (([IntDecoder(), ToTensor()], OrderOption.RANDOM), (None, OrderOption.SEQUENTIAL))
)
data = FFCVDataModule(8, 1, False, train_manager=train, val_manager=val, seed=1)
print(*(len(labels) for images, labels in data.train_dataloader()))
print(torch.cat([labels for images, labels in data.val_dataloader()]).flatten().tolist(), flush=True)
"""
SITE = "open('site.txt', 'a').write('.')"


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_program_and_its_processes_have_this_packages_loader_and_writer(tmp_path: Path):
    program = tmp_path / "folder" / "program.py"
    program.parent.mkdir()
    program.write_text(PROGRAM)
    (tmp_path / "sitecustomize.py").write_text(SITE)
    paths = [str(ROOT), str(tmp_path)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "TMPDIR": str(tmp_path)}
    command = [sys.executable, "-m", "ffcv_hydra", "run-ffcv", "folder/program.py", "write", "--help"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=280)
    assert done.returncode == 3, done.stderr[-3000:]
    assert done.stdout.splitlines() == [
        f"['folder/program.py', 'write', '--help'] {program} {program.parent}",
        *["ffcv_hydra.ffcv_bridge.loader 2"] * 3,
        f"['{program}', 'read'] {program} {tmp_path}",
        "ffcv_hydra.ffcv_bridge.loader 2",
    ]
    assert len((tmp_path / "site.txt").read_text()) >= 3  # the site has one, too
    assert done.stderr.splitlines()[-3:] == [
        "run-ffcv: 1 DatasetWriter, 4 Loaders of this package in place of FFCV's, in 4 processes",
        "  operations replaced by faster ones: IntDecoder",
        "  operations that run as they are: ReplaceLabel",
    ]
    assert done.stderr.count("run-ffcv:") == 1


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_program_that_imports_ffcv_pl_has_this_packages_names(tmp_path: Path):
    (tmp_path / "program.py").write_text(OF_FFCV_PL)
    command = [sys.executable, "-m", "ffcv_hydra", "run-ffcv", "program.py"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.splitlines() == ["8 8", str(list(range(20)))]
    assert "run-ffcv: 1 FFCVDataModule, 1 create_beton_wrapper of this package in place of" in done.stderr


WITHOUT_LOADERS = "run-ffcv: the program made no Loader and no DatasetWriter\n"


@pytest.mark.parametrize(
    "ends, returncode, told",
    [("", 0, WITHOUT_LOADERS), ("os.kill(os.getpid(), 15)", -15, ""), ("os.closerange(3, 99)", 0, "")],
)
def test_a_program_without_loaders_says_so_and_leaves_nothing(tmp_path: Path, ends: str, returncode: int, told: str):
    (tmp_path / "program.py").write_text(f"import os; print('done', flush=True); {ends}")
    command = [sys.executable, "-m", "ffcv_hydra", "run-ffcv", "program.py"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(tmp_path)}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (returncode, "done\n", told)
    assert [path.name for path in tmp_path.iterdir()] == ["program.py"]
