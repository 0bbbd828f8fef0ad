"""Importing FFCV sets torch to one thread for the whole process; this imports it and puts the number back.

Every module that imports FFCV imports this one before.
"""

import torch

_threads = torch.get_num_threads()
import ffcv  # noqa: E402, F401

torch.set_num_threads(_threads)
