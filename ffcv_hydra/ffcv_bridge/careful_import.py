"""Importing FFCV sets torch to one thread for the whole process; this imports it and puts the number back.

The room imports this module before any other of its own.
"""

import ctypes
import sys

import torch

_threads = torch.get_num_threads()
import ffcv  # noqa: E402, F401

torch.set_num_threads(_threads)

# FFCV also starts numba's threads. TBB's do not survive a fork: a process with a single usable core that has forked
# workers would wait for them for ever when numba's module is unloaded at the very end. It is kept loaded.
if "numba.np.ufunc.tbbpool" in sys.modules:
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(sys.modules["numba.np.ufunc.tbbpool"]))
