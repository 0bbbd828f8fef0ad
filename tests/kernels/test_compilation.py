import os
import subprocess
import sys
from pathlib import Path

import pytest

from ffcv_hydra.errors import LoaderError
from ffcv_hydra.kernels import compilation

FLIP = "from ffcv_hydra.kernels.flip import random_horizontal_flip as kernel; kernel.compile()"


@pytest.mark.timeout(120)
def test_a_second_process_loads_what_the_first_compiled(tmp_path: Path):
    environment = {**os.environ, "FFCV_HYDRA_CACHE": str(tmp_path)}
    found = []
    for _ in range(2):
        subprocess.run([sys.executable, "-c", FLIP], env=environment, check=True)
        found.append({path.name: path.stat().st_mtime_ns for path in tmp_path.rglob("*.nb?")})
    assert found[0]
    assert found[0] == found[1]


def test_a_change_in_any_kernel_source_makes_another_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "a.py").write_text("1")
    monkeypatch.setattr(compilation, "__file__", str(tmp_path / "compilation.py"))
    before = compilation.cache_directory()
    assert compilation.cache_directory() == before
    (tmp_path / "a.py").write_text("2")
    assert compilation.cache_directory() != before


def test_a_cache_folder_that_cannot_be_made_is_named(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("FFCV_HYDRA_CACHE", "/proc/none")
    with pytest.raises(LoaderError, match="cannot be kept in /proc/none/.*; set FFCV_HYDRA_CACHE to another folder"):
        compilation.Kernel(len, "int64(int64)").compile()
