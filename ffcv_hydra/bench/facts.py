"""What a measurement depends on: the machine, versions, the data and the settings."""

import os
import platform
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

from ffcv_hydra.cores import usable_cores
from ffcv_hydra.kernels.compiling.compilation import cache_directory
from ffcv_hydra.loader import Loader
from ffcv_hydra.urls import shown

Facts = Mapping[str, Mapping[str, Any]]
"""By section and name: numbers, texts, booleans, or None."""


def facts_of(config: Mapping[str, Any], stage: str, loader: Loader) -> Facts:
    """The facts of a measurement.

    Args:
        config: of the run.
        stage: whose loader it is.
        loader: that was measured.
    """
    beton = loader.passes.storage.beton
    identity = loader.state_dict()["of"]
    settings = {
        "stage": stage,
        "seed": loader.seed,
        "loader": asdict(loader.passes.options),
        "ordering": config["ordering"],
        "pipeline": (config.get("pipeline") or {}).get(stage),
    }
    return {
        "machine": {
            "processor": processor(),
            "cores": usable_cores(),
            "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
            "system": platform.platform(),
        },
        "versions": {
            "python": platform.python_version(),
            **{name: version(name) for name in ("numpy", "numba", "torch")},
            "kernels": cache_directory().name,
        },
        "data": {
            "path": shown(beton.path),
            "bytes": sum(file.num_bytes for file in beton.files),
            "samples": loader.num_samples,
            **{name: identity[name] for name in ("beton", "fields", "indices")},
        },
        "settings": dict(_flat(settings)),
    }


def processor() -> str:
    """The processor's name."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _flat(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """What containers hold, by dotted names."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _flat(item, f"{name}.{key}".lstrip("."))
    elif isinstance(value, list | tuple):
        for place, item in enumerate(value):
            yield from _flat(item, f"{name}.{place}")
    else:
        yield name, value
