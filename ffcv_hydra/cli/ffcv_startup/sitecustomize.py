"""Have this package stand in for FFCV's loader and writer, and for `ffcv_pl`, in a process that imports them.

Python runs this as it starts, wherever the program spawns a process; what costs time waits until FFCV is imported.
"""

import atexit
import importlib.util
import json
import os
import sys
from collections import Counter
from collections.abc import Sequence
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType

HERE = os.path.dirname(os.path.abspath(__file__))


class AfterFFCV:
    """Finds `ffcv` as others do, and has something done once it is there."""

    @classmethod
    def find_spec(
        cls, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """The spec of `ffcv`; None for all else."""
        if name != "ffcv":
            return None
        others = (finder.find_spec(name, path, target) for finder in sys.meta_path if finder is not cls)
        spec = next(filter(None, others), None)
        if spec is not None and spec.loader is not None:
            loader = spec.loader
            load = loader.exec_module

            def load_and_replace(module: ModuleType) -> None:
                import torch

                threads = torch.get_num_threads()
                load(module)
                torch.set_num_threads(threads)  # FFCV has set it to one
                _make_importable()
                from ffcv_hydra.ffcv_bridge.standing_in import stand_in

                stand_in()

            loader.exec_module = load_and_replace  # type: ignore[method-assign]
        return spec


class InsteadOfFFCVPL:
    """Finds `ffcv_pl`, and all modules in it, as the one of this package that has their names."""

    create_module = staticmethod(lambda spec: None)

    @classmethod
    def find_spec(cls, name: str, path: Sequence[str] | None = None, target: object = None) -> ModuleSpec | None:
        """The spec of `ffcv_pl`; None for all else."""
        return importlib.util.spec_from_loader(name, cls) if name == "ffcv_pl" else None  # type: ignore[arg-type]

    @staticmethod
    def exec_module(module: ModuleType) -> None:
        """Put this package's module where those of `ffcv_pl` are looked for."""
        _make_importable()
        names = importlib.import_module("ffcv_hydra.ffcv_pl")
        sys.modules["ffcv_pl"] = names
        for part in ("data_loading", "generate_dataset", "ffcv_utils", "ffcv_utils.utils", "ffcv_utils.augmentations"):
            sys.modules[f"ffcv_pl.{part}"] = names
            setattr(names, part.rpartition(".")[2], names)
        from ffcv_hydra.ffcv_bridge.standing_in import telling

        names.FFCVDataModule.__init__ = telling(names.FFCVDataModule.__init__, "FFCVDataModule")
        names.create_beton_wrapper = telling(names.create_beton_wrapper, "create_beton_wrapper")  # type: ignore[attr-defined]


def report(program: int, records: str) -> None:
    """Say on stderr what was replaced, as the lines of a file have it, at the end of the program."""
    if os.getpid() != program or "run-ffcv" not in os.path.realpath(records):  # a fork of it, or it has closed the file
        return
    with open(records) as file:
        made = [json.loads(line) for line in file]
    if not made:
        print("run-ffcv: the program made no Loader and no DatasetWriter", file=sys.stderr)
        return
    counts = Counter(one["what"] for one in made)
    told = ", ".join(f"{count} {what}{'s' if count > 1 else ''}" for what, count in sorted(counts.items()))
    processes = len({one["process"] for one in made})
    lines = [f"run-ffcv: {told} of this package in place of FFCV's{f', in {processes} processes' * (processes > 1)}"]
    for what, told in (("replaced", "operations replaced by faster ones"), ("kept", "operations that run as they are")):
        names = sorted({name for one in made for name in one[what]})
        lines += [f"  {told}: {', '.join(names)}"] if names else []
    print("\n".join(lines), file=sys.stderr)


def _make_importable() -> None:
    if importlib.util.find_spec("ffcv_hydra") is None:
        sys.path.append(os.path.normpath(os.path.join(HERE, *[os.pardir] * 3)))


def _run_next() -> None:
    """Run the `sitecustomize` that this one hides, if there is one."""
    spec = PathFinder.find_spec("sitecustomize", [part for part in sys.path if os.path.abspath(part) != HERE])
    if spec is not None and spec.loader is not None:
        spec.loader.exec_module(importlib.util.module_from_spec(spec))


_run_next()
sys.meta_path[:0] = [AfterFFCV, InsteadOfFFCVPL]
_program, _, _records = os.environ["FFCV_HYDRA_RUN_FFCV"].partition(":")
if _program == str(os.getpid()):  # and none that it spawns
    atexit.register(report, os.getpid(), _records)
