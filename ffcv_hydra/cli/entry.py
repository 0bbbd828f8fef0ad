"""Running a task under Hydra, with errors that are one line."""

import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from hydra.utils import get_original_cwd
from omegaconf import DictConfig

from ffcv_hydra.cli import composition_errors, task_errors
from ffcv_hydra.cli.unread import may_be_unread
from ffcv_hydra.hydra_internals import config_flags
from ffcv_hydra.sweeps.program import Program
from ffcv_hydra.urls import has_secrets, shown

Task = Callable[[DictConfig], Any]

_BETONS_IN_MAPPINGS = re.compile(r"""\bbeton\s*:\s*['"]?(\w[\w+.-]*://[^'"\s}\]]+)""")  # of a mixture's members


def execute(
    task: Task,
    config_name: str,
    arguments: Sequence[str] | None = None,
    config_dir: str | os.PathLike[str] | None = None,
    fresh_processes: bool = False,
) -> None:
    """Compose `config_name` with the command line's overrides and call `task` with it, once or for each job of a sweep.

    Bad input ends in one line on stderr and exit status 1; with HYDRA_FULL_ERROR=1 and for everything
    unexpected there is a traceback.

    Args:
        task: is given the config.
        config_name: of a file in `conf/`.
        arguments: overrides and options in place of the command line's.
        config_dir: a folder of configs beside the shipped ones, if `arguments` name none.
        fresh_processes: each job of a sweep is this program, started anew, whatever the launcher.
    """
    # A console script does not see the folder it is started in, where a user's own datasets and models are.
    if os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())
    given = sys.argv[1:] if arguments is None else arguments
    if (fault := kept_secret(given)) is not None:
        sys.exit(fault)
    if config_dir is not None and not config_flags(given):
        arguments = [f"--config-dir={os.path.abspath(config_dir)}", *given]
    wants_traceback = os.environ.get("HYDRA_FULL_ERROR") == "1"
    reported: list[Exception] = []
    unexpected: list[Exception] = []
    program = Program.of_this_process() if fresh_processes else None

    def job(config: DictConfig) -> Any:
        # With hydra.job.chdir=true Hydra has gone to the run's folder, where no path of the user's leads anywhere.
        os.chdir(get_original_cwd())
        try:
            with may_be_unread(), _full_error(wants_traceback):  # Hydra would print the error of a closed pipe
                if program is not None and HydraConfig.get().mode == RunMode.MULTIRUN:
                    from ffcv_hydra.sweeps.delegate import run_delegated

                    return run_delegated(program, HydraConfig.get(), config)
                return task(config)
        except Exception as error:
            line = None if wants_traceback else task_errors.explain(error, config)
            if line is None:
                unexpected.append(error)
                raise
            hydra_config = HydraConfig.get()
            _remove_empty(Path(hydra_config.runtime.output_dir))
            if hydra_config.mode == RunMode.RUN:
                sys.exit(line)
            print(f"job {hydra_config.job.num}: {line}", file=sys.stderr)
            reported.append(error)
            raise  # Hydra goes on with the other jobs and raises this again at the end

    job.program = program  # type: ignore[attr-defined]  # for the project's launcher
    try:
        # Otherwise Hydra prints errors in its own way and exits.
        with may_be_unread(), _full_error(True), _command_line(arguments):
            hydra.main(version_base="1.3", config_path="pkg://ffcv_hydra.conf", config_name=config_name)(job)()
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception as error:
        if any(error is known for known in reported):
            sys.exit(1)
        line = composition_errors.explain(error)
        if isinstance(error, OSError) and error.filename:  # Hydra makes the folder of a run before the task starts
            advice = "choose another one by hydra.run.dir=PATH (hydra.sweep.dir for sweeps)"
            line = f"cannot write {error.filename}: {error.strerror}; {advice}"
        if wants_traceback or line is None or any(error is known for known in unexpected):
            raise
        sys.exit(line)


def kept_secret(arguments: Sequence[str]) -> str | None:
    """What is wrong with a beton's URL, as a value of its own or in a mapping, that a run's folder should not keep."""
    for key, _, value in (given.partition("=") for given in arguments):
        for url in [value] if key.endswith(".beton") else _BETONS_IN_MAPPINGS.findall(value):
            if has_secrets(url):
                fault = "has a user or a query, which the run's folder would keep; credentials of a store are"
                return f"{key}={shown(url)}: {fault} found where its own tools look for them, or in ~/.netrc"
    return None


@contextmanager
def _full_error(on: bool) -> Iterator[None]:
    """Set HYDRA_FULL_ERROR for a while; a task runs with the user's value, because its child processes inherit it."""
    before = os.environ.get("HYDRA_FULL_ERROR")
    os.environ["HYDRA_FULL_ERROR"] = "1" if on else "0"
    try:
        yield
    finally:
        if before is None:
            del os.environ["HYDRA_FULL_ERROR"]
        else:
            os.environ["HYDRA_FULL_ERROR"] = before


@contextmanager
def _command_line(arguments: Sequence[str] | None) -> Iterator[None]:
    """Have Hydra read `arguments`; None leaves it the command line's."""
    before = sys.argv
    sys.argv = before if arguments is None else [before[0], *arguments]
    try:
        yield
    finally:
        sys.argv = before


def _remove_empty(folder: Path) -> None:
    """Remove the folder of a run that did not start, and then-empty folders above it, up to the current one."""
    with suppress(OSError):
        while Path.cwd() in folder.parents:
            folder.rmdir()
            folder = folder.parent
