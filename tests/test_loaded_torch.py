"""Torch is asked about without being loaded."""

import subprocess
import sys

import numpy as np
import torch

from ffcv_hydra.loaded_torch import bytes_of, is_tensor, loaded_torch


def test_asking_does_not_load_it():
    code = "import sys; from ffcv_hydra.loaded_torch import *; use_one_thread()"
    code += "\nassert not is_tensor(1) and loaded_torch() is None and 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_tensors_and_their_bytes_are_known_once_it_is_loaded():
    assert loaded_torch() is torch
    assert is_tensor(torch.zeros(1)) and not is_tensor(np.zeros(1))
    assert bytes_of(torch.tensor([[1, 2], [3, 4]], dtype=torch.int16).T) == np.array([1, 3, 2, 4], "<i2").tobytes()
