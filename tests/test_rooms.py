"""Imports lead downwards, nowhere around, and to other libraries only from where these are known."""

import re

import pytest

from tools.rooms import LIBRARIES, ROOT, ROWS, arrows, broken_rules, imports_of, main, picture, private_names, room_of


@pytest.fixture(scope="module")
def imports():
    return imports_of()


def test_no_import_leads_upwards_or_around(imports):
    assert broken_rules(imports) == []


def test_a_plan_knows_nothing_of_what_runs_it(imports):
    plans = {module: found for module, found in imports.items() if module.startswith("ffcv_hydra.loader.plan.")}
    assert len(plans) > 15
    assert [module for module, found in plans.items() if any(".loader.engine" in name for name in found)] == []


def test_what_is_inside_others_is_taken_by_internals_alone():
    assert private_names() == []


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("import numba.core.caching", "beton.a imports numba.core.caching"),
        ("def f():\n    from torch._C import x", "beton.a imports torch._C.x"),
        ("def f(trainer):\n    return trainer._loop", "beton.a:2 takes trainer._loop"),
        ("class A(B):\n    def f(self):\n        return super()._loop()", "beton.a:3 takes super()._loop"),
        ("class A:\n    def f(self):\n        self._x = 1\n        return self._x", None),
        ("class A:\n    def f(self):\n        return self._of_another_module", None),
        ("import os\nos._exit(0)\nprint(f.__name__, config._target_)", None),
    ],
)
def test_what_is_taken_from_inside(tmp_path, source, found):
    folder = tmp_path / "ffcv_hydra" / "beton"
    folder.mkdir(parents=True)
    (folder / "a.py").write_text(source)
    (folder / "b.py").write_text("def _of_another_module():\n    pass\n")
    assert private_names(tmp_path) == ([] if found is None else [f"ffcv_hydra.{found}"])
    (folder / "a.py").rename(folder / "a_internals.py")
    assert private_names(tmp_path) == []


def test_all_of_the_package_is_read(imports):
    assert {room_of(module) for module in imports} == {room for row in ROWS for room in row}
    assert "ffcv_hydra.kernels.random.generator" in imports["ffcv_hydra.kernels.random.draws"]
    assert "ffcv_hydra.ffcv_bridge" in imports["ffcv_hydra.foreign"]
    assert all(any(name.partition(".")[0] == library for found in imports.values() for name in found)
               for library in LIBRARIES if library != "cv2")  # fmt: skip


def test_the_picture_is_of_these_imports(imports):
    assert (ROOT / "docs/rooms.svg").read_text() == picture(imports), "python -m tools.rooms draws it anew"


def test_every_room_is_described(imports):
    text = (ROOT / "docs/architecture.md").read_text()
    assert [room for row in ROWS for room in row if f"`{room}`" not in text and not room.startswith("__")] == []


def test_the_files_that_are_named_are_there():
    text = (ROOT / "docs/architecture.md").read_text()
    named = [*re.findall(r"`([a-z_/]+\.py)`", text), *re.findall(r"`([a-z_/]+/)`", text)]
    places = [ROOT, ROOT / "ffcv_hydra", ROOT / "ffcv_hydra/loader"]
    assert len(named) > 20
    assert [name for name in named if not any((place / name).exists() for place in places)] == []


@pytest.mark.parametrize(
    ("module", "source", "broken"),
    [
        ("beton/a.py", "from ffcv_hydra.loader.b import x", "beton.a imports ffcv_hydra.loader.b, which is not below"),
        ("beton/a.py", "def f():\n    import ffcv_hydra.loader.b", "beton.a imports ffcv_hydra.loader.b"),
        ("beton/a.py", "if TYPE_CHECKING:\n    from ffcv_hydra.loader import b", "beton.a imports ffcv_hydra.loader.b"),
        ("beton/a.py", "import_module('ffcv_hydra.loader.b')", "beton.a imports ffcv_hydra.loader.b"),
        ("pipeline.py", "from ffcv_hydra.loader.b import x", "ffcv_hydra.pipeline imports ffcv_hydra.loader"),
        ("bench/a.py", "from ffcv_hydra.preview import x", "ffcv_hydra.bench.a imports ffcv_hydra.preview"),
        ("loader/a.py", "import ffcv.fields", "loader.a imports ffcv.fields; that is for ffcv_bridge alone"),
        ("loader/a.py", "def f():\n    from hydra import compose", "loader.a imports hydra.compose; that is for"),
        ("news/a.py", "", "its room 'news' is in no row"),
        ("loader/a.py", "from ffcv_hydra.loader import b", None),
        ("loader/a.py", "import ffcv_hydra.loader.b\nimport ffcv_hydra.beton", None),
        ("foreign.py", "import ffcv_hydra.ffcv_bridge", None),
    ],
)
def test_what_breaks_a_rule(tmp_path, module, source, broken):
    others = [f"{room}/__init__.py" for room in ("loader", "beton", "preview", "ffcv_bridge")]
    for name in (*others, "loader/b.py", module):
        path = tmp_path / "ffcv_hydra" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(source if name == module else "")
    found = broken_rules(imports_of(tmp_path))
    assert not found if broken is None else any(broken in line for line in found)


def test_a_cycle_is_named(tmp_path):
    (tmp_path / "ffcv_hydra").mkdir()
    for name, imported in (("a", "b"), ("b", "c"), ("c", "a")):
        (tmp_path / f"ffcv_hydra/loader_{name}.py").write_text(f"def f():\n    import ffcv_hydra.loader_{imported}\n")
    *_, last = broken_rules(imports_of(tmp_path))
    assert last.startswith("a cycle of imports: ffcv_hydra.loader_") and last.count("->") == 3


def test_an_arrow_that_follows_from_others_is_left_out():
    found = arrows({
        "ffcv_hydra.cli": {"ffcv_hydra.loader", "ffcv_hydra.beton.a"},
        "ffcv_hydra.loader": {"ffcv_hydra.beton.a", "numpy"},
        "ffcv_hydra.beton.a": set(),
    })  # fmt: skip
    assert found == {("cli", "loader"), ("loader", "beton")}


def test_what_is_broken_is_listed_and_not_drawn(tmp_path, capsys):
    for name, source in (("beton", "import ffcv_hydra.loader"), ("loader", "")):
        path = tmp_path / "ffcv_hydra" / f"{name}.py"
        path.parent.mkdir(exist_ok=True)
        path.write_text(source)
    (tmp_path / "docs").mkdir()
    assert main(tmp_path) == 1
    assert "ffcv_hydra.beton imports ffcv_hydra.loader" in capsys.readouterr().out
    assert list((tmp_path / "docs").iterdir()) == []
    (tmp_path / "ffcv_hydra/beton.py").write_text("")
    assert main(tmp_path) == 0
    assert "beton" in (tmp_path / "docs/rooms.svg").read_text()
