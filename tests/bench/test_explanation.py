"""`python -m ffcv_hydra explain`."""

import re
import subprocess
from pathlib import Path

import pytest

from ffcv_hydra.bench.explanation import _on_device, _times
from ffcv_hydra.cli.inspection import main
from tests import processes
from tests.loader.configurations import digests, make

pytestmark = pytest.mark.timeout(300)


def explain(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return processes.run(["-m", "ffcv_hydra", "explain", "dataset.source.num_samples=40", *arguments], folder)


def test_says_per_stage_what_the_config_of_a_run_does_and_leaves_no_run_folder(tmp_path):
    done = explain(tmp_path, "pipeline=randcrop", "loader.batch_size=8", "loader.num_workers=1")
    assert done.returncode == 0, done.stderr
    titles = [line for line in done.stdout.splitlines() if line.startswith("toy, ")]
    assert titles[:2] == [f"toy, {stage}: batches of 8, 1 thread" for stage in ("train", "val")]
    assert "RandomHorizontalFlip: fused with RandomResizedCrop; as torchvision's `horizontal_flip`" in done.stdout
    assert re.search(r"on chunks of 8 samples, by all threads \([\d.]+ µs per sample\)", done.stdout)
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


def test_what_the_trainer_does_on_the_device_is_named():
    nodes = [{"_target_": "torchvision.transforms.v2.RandomErasing"}, {"_target_": "torch.nn.Identity"}]
    done = "in the trainer, once it is on the device: RandomErasing, Identity"
    for device, expected in (
        ({"train": {"image": nodes, "label": []}}, [f"image, {done}"]),
        ({"train": nodes}, [f"the whole batch, {done}"]),
        ({"val": nodes}, []),
        (None, []),
    ):
        assert list(_on_device({"pipeline": {"device": device}}, "train")) == expected
    assert list(_on_device({"pipeline": {"device": {"val": nodes}}}, "test")) == [f"the whole batch, {done}"]


def test_a_pipeline_that_cannot_be_is_one_line(tmp_path):
    done = explain(tmp_path, "--stage=val", "pipeline=randcrop", "+pipeline.val.nothing=null")
    assert done.returncode == 1
    assert re.fullmatch("pipeline for 'nothing': .*toy.beton has no such field; it has .*\n", done.stderr)


def test_looking_changes_no_batch(scenes):
    loader = make(scenes, "random")
    times = _times(loader)
    assert min(times.values()) > 0
    measured = {node for nodes in times for node in nodes}
    formed = {node for step in loader.plan.steps if step.form for node in step.children[0].nodes}
    assert measured == set(loader.plan.nodes) - formed
    assert digests(loader) == digests(make(scenes, "random"))


def test_a_single_batch_is_enough(scenes):
    assert min(_times(make(scenes, "random", batch_size=48)).values()) > 0


def test_bad_usage_ends_with_status_2(capsys):
    with pytest.raises(SystemExit) as caught:
        main(["explain", "--seconds=3"])
    assert caught.value.code == 2
    assert "usage" in capsys.readouterr().err
