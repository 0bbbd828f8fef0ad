"""`python -m ffcv_hydra bench`."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from ffcv_hydra.bench import Report, print_report
from ffcv_hydra.bench.decoding import decoders_of, decoding_shares, shrinkable_share
from ffcv_hydra.bench.measuring import MeasuringExecutor
from ffcv_hydra.cli.inspection import main
from ffcv_hydra.loader import Loader
from ffcv_hydra.operations import CenterCrop, RandomHorizontalFlip, ToTensor
from tests.loader.configurations import ONLY_IMAGE, digests, make

pytestmark = pytest.mark.timeout(300)
ROOT = Path(__file__).parents[2]
GIGABYTE = 10**9


def report(**changes) -> Report:
    facts = {
        "title": "toy, train",
        "num_samples": 1000,
        "seconds": 2.0,
        "batch_size": 50,
        "num_workers": 2,
        "num_cores": 2,
        "os_cache": True,
        "file_bytes": GIGABYTE,
        "memory_bytes": 16 * GIGABYTE,
        "parts": {"image: decoding": 1.0, "image: Cutout": 0.5},
        "consumer_parts": {},
        "disk": 0.0,
    }
    return Report(**{**facts, **changes})


def test_measuring_changes_no_batch_and_meets_every_operation(scenes):
    expected = digests(make(scenes, "views"))
    loader = make(scenes, "views")
    executor = loader.passes.executor = MeasuringExecutor(loader.passes.executor)
    assert digests(loader) == expected
    assert executor.samples == 48
    measured = {node.output for nodes, spent in executor.spent.items() if spent.wall > 0 for node in nodes}
    assert measured == {"image", "small", "large", "label"}
    executor.reset()
    assert executor.samples == 0
    assert not executor.spent


def test_shares_of_decoding_sum_to_one(scenes):
    loader = make(scenes, "views")
    executor = loader.passes.executor
    job = next(loader.passes.batch_jobs(executor, 0, 0))
    [decoders] = [found for link in loader.plan.steps[0].links if (found := decoders_of(link.nodes))]
    shares = decoding_shares(executor, decoders, job.samples, job.keys)
    assert sum(shares) == pytest.approx(1)
    assert min(shares) >= 0


@pytest.mark.parametrize("size, expected", [(4, 1), (30, 0)])
def test_F10_samples_that_scaled_decoding_would_pay_for_are_counted(scenes, size, expected):
    for options, share in (({}, expected), ({"scaled_decoding": True}, 0), ({"interpolation": "nearest"}, 0)):
        pipelines = {**ONLY_IMAGE, "image": [CenterCrop(size, **options), RandomHorizontalFlip(), ToTensor()]}
        loader = Loader(scenes, 8, pipelines=pipelines, num_workers=1)
        job = next(loader.passes.batch_jobs(loader.passes.executor, 0, 0))
        links = [link for step in loader.plan.steps for link in step.links]
        [decoders] = [found for link in links if (found := decoders_of(link.nodes))]
        assert shrinkable_share(decoders, job.samples, job.keys) == share


def test_the_shares_and_the_step_that_would_wait():
    found = report()
    assert found.samples_per_second == 500
    assert [found.share(part) for part in (*found.parts.values(), found.rest)] == [0.25, 0.125, 0.625]
    [verdict] = found.verdicts()
    assert "500 samples/s" in verdict
    assert "less than 100 ms per batch of 50" in verdict


@pytest.mark.parametrize(
    ("changes", "advice"),
    [
        ({"num_cores": 8}, "try loader.num_workers=8"),
        ({"disk": 1.0, "os_cache": False}, "try loader.os_cache=true"),
        ({"disk": 1.0, "file_bytes": 20 * GIGABYTE}, "try loader.os_cache=false"),
        ({"disk": 1.0, "os_cache": False, "file_bytes": 20 * GIGABYTE}, "ordering=quasi_random"),
        ({"disk": 1.0}, "a second run reads from the page cache"),
        ({"shrinkable": 0.4}, "In 40% of the samples a JPEG's part is at least twice as high and as wide"),
        ({"consumer_parts": {"image: RandomErasing": 0.5}}, "an operation of ffcv_hydra.operations"),
    ],
)
def test_what_may_be_tried_is_said(changes, advice):
    [_, verdict] = report(**changes).verdicts()
    assert advice in verdict


def test_the_table_has_a_row_for_each_part(capsys):
    print_report(report(consumer_parts={"image: RandomErasing": 0.001}), Console(width=100))
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "toy, train: 500 samples/s (1,000 samples in 2.0 s; 2 threads, 2 cores)"
    table = "\n".join(" ".join(line.split()) for line in lines)
    assert "image: decoding 1,000 25.0%" in table
    assert "waiting for the disk 0 0.0%" in table
    assert "image: RandomErasing, in the consumer 1" in table


def test_measures_the_config_of_a_run_and_leaves_no_run_folder(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "ffcv_hydra", "bench", "pipeline=randcrop", "--seconds=0.2", "--stage=val",
         "dataset.source.num_samples=40", "loader.num_workers=1"],
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=280,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "toy, val: " in done.stdout
    assert "resampling for image: CenterCrop" in " ".join(done.stdout.split())
    assert "a training step that takes less than" in done.stdout
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


@pytest.mark.parametrize(
    "arguments", [["--seconds", "0"], ["--seconds", "nan"], ["--seconds", "x"], ["--stage", "training"], ["-m"]]
)
def test_bad_usage_ends_with_status_2(arguments, capsys):
    with pytest.raises(SystemExit) as caught:
        main(["bench", *arguments])
    assert caught.value.code == 2
    assert "usage" in capsys.readouterr().err
