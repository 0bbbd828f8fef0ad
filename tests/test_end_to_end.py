"""The README's commands, as a user types them: convert, train, evaluate and resume, in an empty folder.

Sweeps are in `tests/sweeps`.
"""

import json
import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from PIL import Image

from ffcv_hydra.beton import Beton
from ffcv_hydra.datasets import SplitFraction
from tests import processes

QUIET = ("logger=none", "trainer.enable_model_summary=false")

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

Command = Callable[..., subprocess.CompletedProcess]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("user")


@pytest.fixture(scope="module")
def command(folder: Path) -> Command:
    """Runs run.py or convert.py in the user's folder."""

    def run(script: str, *overrides: str, status: int = 0) -> subprocess.CompletedProcess:
        done = processes.run([script, *overrides], folder, {**os.environ, "PYTHONPATH": str(folder)})
        assert done.returncode == status, f"{done.stdout[-2000:]}\n{done.stderr[-3000:]}"
        return done

    return run


def run_folder(done: subprocess.CompletedProcess) -> Path:
    found = re.search(r"run folder: (\S+)", done.stdout)
    assert found, done.stdout
    return Path(found[1])


def result(done: subprocess.CompletedProcess) -> dict:
    return json.loads((run_folder(done) / "result.json").read_text())


@pytest.mark.parametrize("dataset", ["toy", "array", "tensor_json"])
def test_convert_writes_a_beton_and_prints_what_is_in_it(command, folder, dataset):
    done = command("convert.py", f"dataset={dataset}")
    assert (folder / f"data/{dataset}.beton").stat().st_size > 1000
    for word in ("fields", "samples", "size", "time"):
        assert word in done.stdout


def test_convert_takes_any_torch_dataset_by_its_class(command, folder):
    (folder / "squares.py").write_text(
        "class Squares:\n"
        "    def __init__(self, count): self.count = count\n"
        "    def __len__(self): return self.count\n"
        "    def __getitem__(self, index): return index, float(index * index)\n"
    )
    source = ("dataset=custom", "dataset.name=squares", "dataset.source._target_=squares.Squares")
    command("convert.py", *source, "+dataset.source.count=40", "dataset.fields={number: null, square: null}")
    from ffcv_hydra import Loader

    number, square = next(iter(Loader(folder / "data/squares.beton", 40)))
    assert torch.equal(number.double() ** 2, square)


def test_two_ranks_train_the_toy_model_with_no_flag_but_devices(command):
    done = command("run.py", "pipeline=randcrop", "trainer.devices=2", "trainer.max_epochs=1")
    found = result(done)
    assert found["status"] == "completed"
    assert "MEMBER: 2/2" in done.stdout + done.stderr
    names = {path.name for path in run_folder(done).iterdir()}
    files = {"config.yaml", "run.log", "result.json", "metrics.csv", "metrics_by_step.csv"}
    files |= {"evaluation.json", "report.html"}
    assert names == files | {"checkpoints", "tensorboard"}
    assert done.stdout.count("run folder:") == 1


def test_a_seed_gives_the_same_run_and_another_seed_another(command):
    options = ("pipeline=randcrop", "trainer.max_epochs=1", *QUIET)
    first, again, other = (result(command("run.py", *options, f"seed={seed}"))["metrics"] for seed in (1, 1, 2))
    assert first["train_loss"] == again["train_loss"] and first["val_loss"] == again["val_loss"]
    assert first["train_loss"] != other["train_loss"]


def test_a_run_is_resumed_evaluated_and_predicted_from_its_checkpoint(command):
    straight = result(command("run.py", "pipeline=randcrop", "trainer.max_epochs=2", *QUIET))
    first = command("run.py", "pipeline=randcrop", "trainer.max_epochs=1", *QUIET)
    last = run_folder(first) / "checkpoints/last.ckpt"
    resumed = result(command("run.py", "pipeline=randcrop", "trainer.max_epochs=2", f"ckpt_path={last}", *QUIET))
    assert resumed["metrics"]["train_loss"] == pytest.approx(straight["metrics"]["train_loss"], rel=1e-6)

    tested = result(command("run.py", "pipeline=randcrop", "mode=test", f"ckpt_path={last}", *QUIET))
    assert tested["metrics"]["test_loss"] == pytest.approx(result(first)["metrics"]["test_loss"], rel=1e-5)

    ddp = ("trainer.accelerator=cpu", "trainer.devices=2", "loader.batch_size=10")
    done = command("run.py", "pipeline=randcrop", "mode=predict", f"ckpt_path={last}", *ddp, *QUIET)
    found = torch.load(run_folder(done) / "predictions.pt", weights_only=True)
    assert found["sample_ids"].tolist() == sorted(set(found["sample_ids"].tolist()))
    assert found["sample_ids"].tolist() == SplitFraction(0.85, 1.0)(256).tolist()
    assert len(found["predictions"]) == len(found["sample_ids"])
    rows = (run_folder(done) / "predictions.csv").read_text().splitlines()[1:]
    assert [int(row.partition(",")[0]) for row in rows] == found["sample_ids"].tolist()
    assert not list(run_folder(done).glob(".*")), "the parts of the ranks"


@pytest.mark.parametrize("split_by_folder", [True, False])
def test_F2_a_folder_of_images_without_a_test_split_is_trained_on(command, folder, split_by_folder):
    root = folder / f"photos_{split_by_folder}"
    for split in ("train", "val") if split_by_folder else ("",):
        for name, colour in (("red", (200, 30, 30)), ("blue", (30, 30, 200))):
            (root / split / name).mkdir(parents=True)
            for number in range(10):
                Image.new("RGB", (40 + number, 50), colour).save(root / split / name / f"{number}.jpg")
    done = command(
        "run.py", "dataset=image_folder", f"dataset.root={root}", "model=classifier", "pipeline.size=[32,32]",
        "model.backbone._target_=torchvision.models.resnet18", "trainer.max_epochs=1", "loader.batch_size=4", *QUIET,
    )  # fmt: skip
    assert "val_accuracy" in result(done)["metrics"] and "test_accuracy" not in result(done)["metrics"]
    assert {path.name for path in (folder / "data").glob(f"{root.name}_*")} == {
        f"{root.name}_train.beton", f"{root.name}_val.beton"
    }  # fmt: skip


def test_damaged_samples_of_all_ranks_reach_the_result(command, folder):
    command("convert.py", "dataset=toy", "dataset.name=damaged")
    path = folder / "data/damaged.beton"
    content = bytearray(path.read_bytes())
    for offset in Beton(path).extents("image")[0].tolist():
        content[offset + 300] ^= 1 if offset % 2 else 0
    path.write_bytes(content)
    damaged = [sample for sample, offset in enumerate(Beton(path).extents("image")[0].tolist()) if offset % 2]
    train, val = (SplitFraction(*bounds)(256).tolist() for bounds in ((0.0, 0.7), (0.7, 0.85)))

    done = command(
        "run.py", "dataset=toy", "dataset.name=damaged", "loader.on_error=skip", "trainer.accelerator=cpu",
        "trainer.devices=2", "loader.batch_size=48", "loader.drop_last=false", "trainer.max_epochs=1",
        "test_after_fit=false", *QUIET,
    )  # fmt: skip
    found = result(done)["failed_samples"]
    assert found["train"]["indices"] == sorted(set(damaged) & set(train))
    assert found["val"]["indices"] == sorted(set(damaged) & set(val))
    assert found["train"]["count"] == len(found["train"]["indices"]) > 20
    assert "differ from their checksum (skipped)" in (run_folder(done) / "run.log").read_text()


@pytest.mark.parametrize(
    "overrides, message",
    [
        (["dataset.beton=/proc/none/toy.beton"], "/proc/none"),
        (["ckpt_path=none.ckpt"], "none.ckpt"),
        (["pipeline.train.imgae=null", "+pipeline.train.imgae=null"], "imgae"),
        (["trainer.accelerator=gpu", "trainer.devices=2"], "devices"),
        (["dataset.source.num_samples=300"], "num_samples"),
        (["loader.batch_size=1000"], "fewer than one global batch"),
    ],
    ids=lambda value: str(value[0]) if isinstance(value, list) else "",
)
def test_bad_input_is_one_clear_line(command, folder, overrides, message):
    if not (folder / "data/toy.beton").exists():
        command("convert.py", "dataset=toy")
    done = command("run.py", *overrides[-1:] if overrides[0].startswith("pipeline") else overrides, *QUIET, status=1)
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert len(done.stderr.strip().splitlines()[-1]) < 400
