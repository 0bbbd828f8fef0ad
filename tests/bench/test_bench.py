"""`python -m ffcv_hydra bench`."""

import pytest
from rich.console import Console

from ffcv_hydra.bench import Report, print_report
from ffcv_hydra.bench.decoding import shrinkable_share
from ffcv_hydra.bench.measuring import MeasuringExecutor, Spent, measure
from ffcv_hydra.bench.printing import verdicts
from ffcv_hydra.bench.report import CORE, DISK, ENDS, IDLE, LOADER, TAKING, WAITING, Round
from ffcv_hydra.bench.splitting import shares_of
from ffcv_hydra.cli.inspection import main
from ffcv_hydra.errors import ConfigError, WriteError
from ffcv_hydra.loader import Loader
from ffcv_hydra.operations import CenterCrop, Cutout, RandomHorizontalFlip, RandomTranslate, ToTensor
from ffcv_hydra.operations.base import Scratch
from tests import processes
from tests.loader.configurations import ONLY_IMAGE, digests, make

pytestmark = pytest.mark.timeout(300)
GIGABYTE = 10**9


def one_round(samples=500, seconds=1.0, consumer=0.0, ends=0.0, **threads: float) -> Round:
    """Half a second of decoding and a quarter of cutting out, of two threads."""
    parts = {"image: decoding": 0.5, "image: Cutout": 0.25, LOADER: 0.05, DISK: 0.0, CORE: 0.0, ENDS: ends} | threads
    modules = {"image: RandomErasing": consumer} if consumer else {}
    taking = {**modules, TAKING: 0.1, WAITING: seconds - consumer - 0.1}
    return Round(samples, seconds, {**parts, IDLE: 2 * seconds - sum(parts.values())}, taking)


def report(disk=0.0, waiting=0.0, consumer=0.0, ends=0.0, os_cache=True, file_bytes=GIGABYTE, **changes) -> Report:
    facts = {
        "title": "toy, train",
        "rounds": tuple(one_round(consumer=consumer, ends=ends, **{DISK: disk, CORE: waiting}) for _ in range(2)),
        "batch_size": 50,
        "num_workers": 2,
        "num_cores": 2,
        "facts": {
            "machine": {"memory_bytes": 16 * GIGABYTE},
            "data": {"bytes": file_bytes},
            "settings": {"loader.os_cache": os_cache},
        },
    }
    return Report(**{**facts, **changes})


def test_measuring_changes_no_batch_and_meets_every_operation(scenes):
    expected = digests(make(scenes, "views"))
    loader = make(scenes, "views")
    executor = loader.passes.executor = MeasuringExecutor(loader.passes.executor)
    assert digests(loader) == expected
    account = executor.take_account()
    assert account.samples == 48
    measured = {node.output for nodes, spent in account.spent.items() if spent.wall > 0 for node in nodes}
    assert measured == {"image", "small", "large", "label"}
    assert account.between.wall > 0
    emptied = executor.take_account()
    assert (emptied.samples, dict(emptied.spent), emptied.between.wall) == (0, {}, 0.0)


@pytest.mark.parametrize("name", ["views", "random", "RandAugment", "CutMix", "MixedTargets"])
def test_every_call_is_split_and_its_shares_sum_to_one(scenes, name):
    loader = make(scenes, name)
    executor = measure(loader)
    shares = shares_of(executor, loader.passes.batch_jobs(executor, 0, 0))
    executor.complete(next(loader.passes.batch_jobs(executor, 0, 0)), Scratch())
    called = executor.take_account().spent
    assert set(called) <= set(shares)
    for parts in shares.values():
        assert sum(parts.values()) == pytest.approx(1)
        assert min(parts.values()) >= 0
    assert digests(make(scenes, name)) == digests(loader)


def test_operations_that_run_as_one_call_are_told_apart(scenes, monkeypatch):
    operations = [CenterCrop(24), RandomTranslate(2), Cutout(4), ToTensor()]
    loader = Loader(scenes, 8, pipelines=ONLY_IMAGE | {"image": operations}, num_workers=1)
    executor = measure(loader)
    costs = {"RandomTranslate": 3.0, "Cutout": 1.0}
    monkeypatch.setattr(
        executor, "seconds_of", lambda jobs, step, _: sum(costs.get(node.name, 5.0) for node in step.nodes)
    )
    calls = shares_of(executor, loader.passes.batch_jobs(executor, 0, 0)).values()
    [parts] = [parts for parts in calls if "image: Cutout" in parts]
    assert parts["image: RandomTranslate"] == pytest.approx(3 * parts["image: Cutout"])


def test_decoding_is_told_from_reading_and_resampling(scenes):
    loader = make(scenes, "views")
    executor = measure(loader)
    calls = shares_of(executor, loader.passes.batch_jobs(executor, 0, 0)).values()
    [parts] = [parts for parts in calls if "image: decoding" in parts]
    views = ["image: Resize", "large: RandomResizedCrop + RandomHorizontalFlip", "small: RandomResizedCrop"]
    assert list(parts)[:3] == ["image: reading", "image: comparing checksums", "image: decoding"]
    assert all(any(name.startswith(view) for name in parts) for view in views)


@pytest.mark.parametrize("size, expected", [(4, 1), (30, 0)])
def test_F10_samples_that_scaled_decoding_would_pay_for_are_counted(scenes, size, expected):
    for options, share in (({}, expected), ({"scaled_decoding": True}, 0), ({"interpolation": "nearest"}, 0)):
        pipelines = {**ONLY_IMAGE, "image": [CenterCrop(size, **options), RandomHorizontalFlip(), ToTensor()]}
        loader = Loader(scenes, 8, pipelines=pipelines, num_workers=1)
        job = next(loader.passes.batch_jobs(loader.passes.executor, 0, 0))
        links = [link for step in loader.plan.steps for link in step.links]
        decoders = [node for link in links for node in link.nodes if node.field == "image" and node.parent is None]
        assert shrinkable_share(loader.passes.storage, decoders, job.samples, job.keys) == share


def test_a_call_that_did_not_read_did_not_wait_for_the_disk():
    spent = Spent()
    spent.add((1.0, 1.0, 7), (3.0, 1.5, 7))
    spent.add((3.0, 1.5, 7), (4.0, 1.75, 9))
    spent.add((4.0, 1.75, 9), (5.0, 2.8, 9))  # clocks differ in how fine they are
    assert (spent.wall, spent.waiting, spent.disk, spent.cpu) == (4.0, 2.25, 0.75, 1.75)


def test_the_parts_are_all_of_the_time_and_the_step_that_would_wait_is_told():
    whole = report().whole
    assert whole.samples_per_second == 500
    assert sum(whole.threads.values()) == pytest.approx(2 * whole.seconds)
    assert sum(whole.consumer.values()) == pytest.approx(whole.seconds)
    first, second = verdicts(report())
    assert "500 samples/s" in first
    assert "less than 100 ms per batch of 50" in first
    assert second.startswith("image: decoding costs most: without it about ")


@pytest.mark.parametrize(
    ("changes", "without", "one_more"),
    [
        ({}, 500 * 0.9 / 0.4, 500 * 3 / 2),  # cores: 0.8 s of threads and 0.1 s of the consumer, for each second
        ({"num_cores": 8}, 500 * 0.8 / 0.3, 500 * 3 / 2),  # threads
        ({"alone": ("image: decoding",)}, 500 * 0.5 / 0.2, 500),
        ({"consumer": 0.8}, 500, 500),
        ({"num_cores": 1}, 500 * 0.9 / 0.4, 500 * 2),
        ({"ends": 1.0}, 500 / (0.5 + 0.5 * 0.4 / 0.9), 500 / (0.5 + 0.5 * 2 / 3)),
        ({"disk": 1.0, "num_cores": 8}, 500 * 1.8 / 1.3, 500 * 3 / 2),
    ],
)
def test_what_would_come_without_an_operation_and_with_one_more_core(changes, without, one_more):
    found = report(**changes)
    assert found.estimate(without="image: decoding") == pytest.approx(without)
    assert found.estimate(one_more=True) == pytest.approx(one_more)
    assert found.estimate() == pytest.approx(500)


def test_what_costs_most_is_what_would_bring_most():
    assert list(verdicts(report(consumer=0.1)))[1].startswith("image: decoding")
    assert list(verdicts(report(consumer=0.8)))[1].startswith("image: RandomErasing")
    assert "costs most: without it about 1,125 samples/s" in list(verdicts(report()))[1]
    assert "one more core and thread about 750" in list(verdicts(report()))[1]


@pytest.mark.parametrize(
    ("changes", "advice"),
    [
        ({"num_cores": 8}, "try loader.num_workers=8"),
        ({"disk": 1.0, "os_cache": False}, "try loader.os_cache=true"),
        ({"disk": 1.0, "file_bytes": 20 * GIGABYTE}, "try loader.os_cache=false"),
        ({"disk": 1.0, "os_cache": False, "file_bytes": 20 * GIGABYTE}, "ordering=quasi_random"),
        ({"disk": 1.0}, "a second run reads from the page cache"),
        ({"waiting": 1.0}, "waited for 50% of the time: if other programs were at work, measure again"),
        ({"shrinkable": 0.4}, "In 40% of the samples a JPEG's part is at least twice as high and as wide"),
        ({"consumer": 0.3}, "an operation of ffcv_hydra.operations"),
    ],
)
def test_what_may_be_tried_is_said(changes, advice):
    assert advice in list(verdicts(report(**changes)))[-1]


def test_the_table_has_a_row_for_each_part_and_fits_80_columns(capsys):
    print_report(report(consumer=0.001), Console(width=80))
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "toy, train: 500 samples/s (1,000 samples in 2.0 s; 2 threads, 2 cores)"
    table = "\n".join(" ".join(line.split()) for line in lines)
    assert "image: decoding 1,000.0 25.0%" in table
    assert "waiting for the disk 0.0 0.0%" in table
    assert "image: RandomErasing 2.0 0.1%" in table
    assert table.count(" 100.0%") == 2
    verdict = next(place for place, line in enumerate(lines) if line.startswith("The loader delivers"))
    assert max(map(len, lines[:verdict])) <= 80


def test_what_was_measured_is_kept_in_a_file_or_a_folder(tmp_path):
    found = report(facts={"machine": {"cores": 2}})
    for path in (tmp_path, tmp_path / "own.json"):
        found.save(path)
        assert Report.load(path) == found
    assert Report.load(tmp_path / "bench.json") == found
    with pytest.raises(WriteError, match=r"none/own.json cannot be written: No such file"):
        found.save(tmp_path / "none" / "own.json")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: "", "is nothing that this version's bench wrote"),
        (lambda text: "[]", "is nothing that this version's bench wrote"),
        (lambda text: text.replace('"rounds"', '"round"'), "is nothing that this version's bench wrote"),
        (lambda text: text.replace('"samples": 500', '"samples": "many"'), "is nothing that this version's bench"),
        (lambda text: text.replace('"samples": 500', '"samples": 0'), "is nothing that this version's bench"),
        (None, r"bench.json cannot be read: No such file or directory; mode=bench writes it"),
    ],
)
def test_what_bench_did_not_write_is_refused_in_one_line(tmp_path, change, message):
    if change is not None:
        report().save(tmp_path)
        (tmp_path / "bench.json").write_text(change((tmp_path / "bench.json").read_text()))
    with pytest.raises(ConfigError, match=message) as caught:
        Report.load(tmp_path)
    assert "\n" not in str(caught.value)


def test_measures_the_config_of_a_run_and_leaves_no_run_folder(tmp_path):
    arguments = ["pipeline=randcrop", "--seconds=0.2", "--stage=val", "dataset.source.num_samples=40"]
    arguments += ["loader.num_workers=1", "--json=found.json"]
    done = processes.run(["-m", "ffcv_hydra", "bench", *arguments], tmp_path)
    assert done.returncode == 0, done.stderr
    assert "toy, val: " in done.stdout
    assert "image: CenterCrop" in done.stdout
    assert "a training step that takes less than" in done.stdout
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data", "found.json"]
    found = Report.load(tmp_path / "found.json")
    for one in found.rounds:
        assert sum(one.threads.values()) == pytest.approx(one.seconds, rel=0.05)
        assert sum(one.consumer.values()) == pytest.approx(one.seconds, rel=0.05)
    assert found.facts["settings"]["loader.num_workers"] == 1
    assert found.facts["settings"]["pipeline.image.0._target_"] == "ffcv_hydra.operations.CenterCrop"
    assert found.facts["data"]["samples"] > 0


@pytest.mark.parametrize(
    "arguments", [["--seconds", "0"], ["--seconds", "nan"], ["--seconds", "x"], ["--stage", "training"], ["-m"]]
)
def test_bad_usage_ends_with_status_2(arguments, capsys):
    with pytest.raises(SystemExit) as caught:
        main(["bench", *arguments])
    assert caught.value.code == 2
    assert "usage" in capsys.readouterr().err
