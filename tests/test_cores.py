"""The cores that this process may keep busy."""

import os
import re
from pathlib import Path

import pytest

from ffcv_hydra.cores import usable_cores
from ffcv_hydra.loader import Loader

V2, V1 = "0::/kubepods/pod1\n", "5:cpuset:/docker/x\n4:cpu,cpuacct:/docker/x\n1:memory:/docker/x\n0::/docker/x\n"


@pytest.fixture
def cores(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(64)))
    return 64


@pytest.mark.parametrize(
    ("groups", "files", "expected"),
    [
        (V2, {"sys/fs/cgroup/kubepods/pod1/cpu.max": "400000 100000"}, 4),
        (V2, {"sys/fs/cgroup/kubepods/pod1/cpu.max": "max 100000"}, 64),
        (V2, {"sys/fs/cgroup/kubepods/pod1/cpu.max": "max 100000",
              "sys/fs/cgroup/kubepods/cpu.max": "250000 100000\n"}, 3),
        (V2, {"sys/fs/cgroup/kubepods/pod1/cpu.max": "10000 100000"}, 1),
        (V2, {"sys/fs/cgroup/kubepods/pod1/cpu.max": "9000000 100000"}, 64),
        ("0::/\n", {"sys/fs/cgroup/cpu.max": "150000 100000"}, 2),
        (V2, {"sys/fs/cgroup/cpu.max": "150000 100000"}, 2),
        (V1, {"sys/fs/cgroup/cpu,cpuacct/docker/x/cpu.cfs_quota_us": "200000",
              "sys/fs/cgroup/cpu,cpuacct/docker/x/cpu.cfs_period_us": "50000"}, 4),
        (V1, {"sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "50000",
              "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us": "100000"}, 1),
        (V1, {"sys/fs/cgroup/cpu,cpuacct/docker/x/cpu.cfs_quota_us": "-1",
              "sys/fs/cgroup/cpu,cpuacct/docker/x/cpu.cfs_period_us": "100000"}, 64),
        ("", {}, 64),
        ("0::/\n", {"sys/fs/cgroup/cpu.max": ""}, 64),
    ],
)  # fmt: skip
def test_F38_a_quota_of_the_cgroup_counts(tmp_path, cores, groups, files, expected):
    for name, content in {"proc/self/cgroup": groups, **files}.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(content)
    assert usable_cores(tmp_path) == expected


def test_F38_a_system_without_groups_has_its_cores(tmp_path, cores):
    assert usable_cores(tmp_path) == cores


def test_F38_there_is_one_place_that_knows():
    root = Path(__file__).parents[1] / "ffcv_hydra"
    counting = re.compile(r"getaffinity|cpu_count")
    found = {str(path.relative_to(root)) for path in root.rglob("*.py") if counting.search(path.read_text())}
    assert found == {"cores.py", "sweeps/slots.py"}  # a sweep also needs to know which ones


def test_F38_a_loader_has_a_thread_for_each(beton):
    assert Loader(beton, 8, pipelines={"image": "disabled"}).num_workers == usable_cores()
