"""`python -m ffcv_hydra run-ffcv`: a program that imports FFCV, on this package's loader and writer."""

import argparse
import os
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import NoReturn

from ffcv_hydra.cli.tool import Tool
from ffcv_hydra.errors import ConfigError
from ffcv_hydra.foreign import INSTALL_FFCV

STARTUP = Path(__file__).parent / "ffcv_startup"


def _add_program(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "-m", action="store_true", dest="is_module", help="SCRIPT is the name of a module, as for python"
    )
    parser.add_argument("program", nargs=argparse.REMAINDER, metavar="SCRIPT [ARGS]", help="what python would be given")


def _run_program(chosen: argparse.Namespace) -> NoReturn:
    """Become the program; its processes find in their environment what they need to know."""
    if not chosen.program:
        raise ConfigError("run-ffcv takes a SCRIPT, or -m MODULE")
    if not chosen.is_module and not os.path.exists(chosen.program[0]):
        raise ConfigError(f"{chosen.program[0]}: no such file")
    if find_spec("ffcv") is None:
        raise ConfigError(f"the program's fields and operations are FFCV's, which is not here: {INSTALL_FFCV} first")
    # a file without a name, which is gone once the program has ended, however that ends
    records = f"/proc/{os.getpid()}/fd/{os.memfd_create('run-ffcv', 0)}"
    paths = [str(STARTUP), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {
        **os.environ, "PYTHONPATH": os.pathsep.join(paths), "FFCV_HYDRA_RUN_FFCV": f"{os.getpid()}:{records}",
    }  # fmt: skip
    sys.stdout.flush()
    os.execve(sys.executable, [sys.executable, *["-m"] * chosen.is_module, *chosen.program], environment)


RUN_FFCV = Tool(
    "run-ffcv", "run a program that was written for FFCV", _add_program, _run_program,
    "Run a program that imports ffcv, unchanged, on this package's Loader and DatasetWriter, in the processes that it "
    "spawns, too; at its end it says what was replaced.",
)  # fmt: skip
