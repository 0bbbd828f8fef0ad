"""FFCV's own tests and its CIFAR example, from its source distribution on PyPI, run on FFCV and on its stand-in here.

`python -m tools.ffcv_suite [pytest's arguments]` prints both counts. Tests that pass on FFCV and not here are an error;
and so is it if the example's test batches differ, or what the programs of tests/ffcv_bridge/programs print.

No CIFAR-10 is downloaded: images are made up. Processes of the tests talk to each other by gloo, and the example
computes in float32 on the CPU.
"""

import os
import subprocess
import sys
import tarfile
import tempfile
import xml.etree.ElementTree as ElementTree
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[1]
PROGRAMS = ROOT / "tests" / "ffcv_bridge" / "programs"
RELEASE = "ffcv==1.0.2"
RUN_FFCV = ["-m", "ffcv_hydra", "run-ffcv"]
PYTEST = ["-m", "pytest", "tests", "-q", "-p", "no:cacheprovider", "--timeout", "600", "--tb=short"]
WITHOUT_TESTS = ["test_webdataset.py"]  # imports webdataset, and is a program

MADE_UP_IMAGES = """
import numpy as np
import torchvision.datasets
from PIL import Image


class CIFAR10:
    def __init__(self, root, train=True, download=False):
        self.length = 256 if train else 128

    def __len__(self):
        return self.length

    def __getitem__(self, index):
        image = np.random.default_rng(index).integers(0, 256, (32, 32, 3), dtype=np.uint8)
        return Image.fromarray(image), index % 10


torchvision.datasets.CIFAR10 = CIFAR10
"""

TEST_BATCHES = """
import sys

import numpy as np
import train_cifar

loaders, _ = train_cifar.make_dataloaders(
    train_dataset="train.beton", val_dataset="test.beton", batch_size=50, num_workers=1
)
batches = [[part.numpy().copy() for part in batch] for batch in loaders["test"]]
images, labels = (np.concatenate(parts) for parts in zip(*batches))
np.savez("test.npz", images=images, labels=labels)
"""
FOR_A_CPU = {"ch.device('cuda:0')": "ch.device('cpu')", ".cuda()": "", "ch.float16": "ch.float32"}


def source(folder: Path) -> Path:
    """FFCV's sources, downloaded into `folder`."""
    options = ["--no-deps", "--no-binary", ":all:", "--no-build-isolation", "--quiet", "--dest", str(folder)]
    subprocess.run([sys.executable, "-m", "pip", "download", *options, RELEASE], check=True)
    (archive,) = folder.glob("ffcv-*.tar.gz")
    with tarfile.open(archive) as file:
        file.extractall(folder, filter="data")
    return archive.with_name(archive.name.removesuffix(".tar.gz"))


def outcomes(sources: Path, folder: Path, command: Sequence[str]) -> dict[str, str]:
    """Run a copy of the tests in `folder`; what became of each: passed, failed or skipped."""
    tests = folder / "tests"
    tests.mkdir(parents=True)
    for file in sorted((sources / "tests").glob("*.py")):
        if file.name not in WITHOUT_TESTS:
            (tests / file.name).write_text(file.read_text().replace("'nccl'", "'gloo'"))
    (tests / "conftest.py").write_text(MADE_UP_IMAGES)
    report = folder / "report.xml"
    subprocess.run([sys.executable, *command, f"--junit-xml={report}"], cwd=folder, env=_environment())
    cases = ElementTree.parse(report).getroot().iter("testcase")
    return {f"{case.get('classname', '').removeprefix('tests.')}::{case.get('name')}": _outcome(case) for case in cases}


def _outcome(case: ElementTree.Element) -> str:
    kinds = {child.tag for child in case}
    return "skipped" if "skipped" in kinds else "failed" if kinds & {"failure", "error"} else "passed"


def missing(stock: Mapping[str, str], here: Mapping[str, str]) -> list[str]:
    """The tests that pass on FFCV, and not here."""
    return [name for name, outcome in stock.items() if outcome == "passed" and here.get(name) != "passed"]


def printed(folder: Path, command: Sequence[str]) -> dict[str, str]:
    """What each of the programs prints, run in `folder`; all read what they write, in orders that a seed decides."""
    folder.mkdir(parents=True)
    run = [sys.executable, *command, str(PROGRAMS / "all_of_them.py"), "."]
    lines = subprocess.run(run, cwd=folder, env=_environment(), check=True, stdout=subprocess.PIPE, text=True).stdout
    names = {path.stem for path in PROGRAMS.glob("*.py")}
    return {words[0]: words[2] for line in lines.splitlines() if (words := line.partition(" "))[0] in names}


def example(sources: Path, folder: Path, command: Sequence[str]) -> dict[str, np.ndarray]:
    """Write, train one epoch, and read: what the example in `sources` gives to test with, run in `folder`."""
    folder.mkdir(parents=True)
    for name in ("write_datasets.py", "train_cifar.py"):
        text = (sources / "examples" / "cifar" / name).read_text()
        for found, replaced in FOR_A_CPU.items():
            text = text.replace(found, replaced)
        (folder / name).write_text(MADE_UP_IMAGES + text)
    (folder / "test_batches.py").write_text(TEST_BATCHES)
    paths = ["--data.train_dataset=train.beton", "--data.val_dataset=test.beton"]
    training = {"lr": 0.1, "epochs": 1, "lr_peak_epoch": 1, "batch_size": 64, "num_workers": 1}
    options = [f"--training.{name}={value}" for name, value in training.items()]
    for program in (["write_datasets.py", *paths], ["train_cifar.py", *paths, *options], ["test_batches.py"]):
        subprocess.run([sys.executable, *command, *program], cwd=folder, env=_environment(), check=True)
    return dict(np.load(folder / "test.npz"))


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])}


def main(arguments: Sequence[str]) -> int:
    """Run both, and print what came out; 1 if a test should pass here and does not."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sources = source(folder)
        stock = outcomes(sources, folder / "stock", [*PYTEST, *arguments])
        here = outcomes(sources, folder / "here", [*RUN_FFCV, *PYTEST, *arguments])
        images, expected = (example(sources, folder / f"example{len(run)}", run) for run in (RUN_FFCV, []))
        programs, expected_programs = (printed(folder / f"programs{len(run)}", run) for run in (RUN_FFCV, []))
    for what, found in (("on FFCV", stock), ("here", here)):
        counts = Counter(found.values())
        print(f"{what}: {counts['passed']} passed, {counts['failed']} failed, {counts['skipped']} skipped")
    lost = missing(stock, here)
    for test in lost:
        print(f"passes on FFCV and not here: {test}")
    compared = {
        f"the CIFAR example's {len(images['labels'])} test images and labels": all(
            np.allclose(images[name], expected[name], atol=1e-6) for name in expected
        ),
        f"what {len(expected_programs)} programs print": programs == expected_programs,
    }
    for what, is_same in compared.items():
        print(f"{what}: {'the same' if is_same else 'others'}")
    return int(bool(lost) or not all(compared.values()))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
