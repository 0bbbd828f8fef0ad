"""Cores and GPUs split over jobs."""

import pytest

from ffcv_hydra.errors import ConfigError
from ffcv_hydra.sweeps.slots import make_slots, neighbouring_cores, visible_gpus


@pytest.mark.parametrize(
    ("jobs", "gpus_per_job", "gpus", "expected"),
    [
        (1, None, "0123", [None]),
        (2, None, "", [None, None]),
        (2, None, "0123", [("0", "1"), ("2", "3")]),
        (3, None, "0123", [("0",), ("1",), ("2", "3")]),
        (3, None, "01", [("0",), ("1",), ("0",)]),
        (2, 1, "0123", [("0",), ("1",)]),
        (2, 0, "01", [(), ()]),
    ],
)
def test_gpus_go_to_slots(jobs, gpus_per_job, gpus, expected):
    assert [slot.gpus for slot in make_slots(jobs, gpus_per_job, range(6), list(gpus))] == expected


@pytest.mark.parametrize("jobs", [1, 2, 3, 4, 5, 6])
def test_each_core_is_in_one_slot(jobs):
    slots = make_slots(jobs, None, [5, 3, 1, 0, 2, 4], [])
    assert [core for slot in slots for core in slot.cores] == [5, 3, 1, 0, 2, 4]
    assert max(len(slot.cores) for slot in slots) - min(len(slot.cores) for slot in slots) <= 1


@pytest.mark.parametrize(("jobs", "gpus_per_job"), [(0, None), (3, None), (1, 3), (2, 2), (1, -1)])
def test_more_than_the_machine_has_is_refused(jobs, gpus_per_job):
    with pytest.raises(ConfigError, match="hydra.launcher"):
        make_slots(jobs, gpus_per_job, [0, 1], ["0", "1"])


def test_gpus_are_those_that_the_environment_leaves():
    assert visible_gpus({"CUDA_VISIBLE_DEVICES": "3, GPU-abc"}) == ["3", "GPU-abc"]
    assert visible_gpus({"CUDA_VISIBLE_DEVICES": ""}) == []
    assert len(set(neighbouring_cores())) == len(neighbouring_cores()) > 0
