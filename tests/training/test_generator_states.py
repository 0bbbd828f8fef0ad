"""The states of torch's generators, from one run to the one that goes on; `test_interruption` has whole runs."""

from types import SimpleNamespace

import torch

from ffcv_hydra.training.generator_states import GeneratorStates

MODEL = SimpleNamespace(device=torch.device("cpu"))


def test_a_resumed_run_draws_on_though_what_is_built_draws_too():
    torch.manual_seed(3)
    checkpoint = {}
    GeneratorStates().on_save_checkpoint(None, MODEL, checkpoint)
    expected = torch.rand(4)
    resumed = GeneratorStates()
    torch.manual_seed(3)
    resumed.on_load_checkpoint(None, MODEL, checkpoint)
    torch.rand(7)
    resumed.on_train_start(None, MODEL)
    assert torch.equal(torch.rand(4), expected)


def test_checkpoints_without_states_and_of_other_devices_change_nothing():
    callback = GeneratorStates()
    for checkpoint in ({}, {"generator_states": {"cuda": torch.zeros(16, dtype=torch.uint8)}}):
        callback.on_load_checkpoint(None, MODEL, checkpoint)
        before = torch.get_rng_state()
        callback.on_train_start(None, MODEL)
        assert torch.equal(torch.get_rng_state(), before)
