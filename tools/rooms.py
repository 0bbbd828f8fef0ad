"""The rooms of the package: which may import which, what is against that, and their picture.

`python -m tools.rooms` draws docs/rooms.svg, or lists what breaks a rule. The rules are the tables below; all else is
read from the sources. An import counts wherever it stands: in a function, under TYPE_CHECKING, or as a string that is
the name of a module.
"""

import ast
import sys
from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from html import escape
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGE = "ffcv_hydra"

# From the ground up. A room, which is a folder or a file of the package, imports from rows below its own only.
GROUND = [
    ["urls"],
    ["beton_path"],
    ["errors", "stages", "cores", "nearest", "printable", "process_ends", "sizes", "locks", "parent_death", "imports",
     "process_identity", "process_memory", "redaction", "looks"],  # fmt: skip

    ["loaded_torch", "atomic_file", "terminal", "foreign", "torch_internals", "hydra_internals", "loader_options",
     "lightning_copies_internals", "run_folder", "drawn_text"],  # fmt: skip
]
ROWS = [
    *GROUND,
    ["kernels"],
    ["beton"],
    ["collection"],
    ["conversion"],
    ["datasets", "operations", "ordering"],
    ["pipeline"],
    ["loader"],
    ["ffcv_bridge"],
    ["models", "device_transforms", "dataloader", "lightning_internals", "trainer_facts", "sweeps"],
    ["datamodule", "callbacks"],
    ["building", "ffcv_pl"],
    ["bench", "preview", "export"],
    ["report"],
    ["training"],
    ["cli"],
    ["__init__", "__main__"],
]
EXCEPTIONS = {("foreign", "ffcv_bridge")}  # the file that loads the bridge when a class of FFCV's is met

# Who may import a library; none stands for every room.
LIBRARIES = {
    "ffcv": {"ffcv_bridge"},
    "fsspec": {"collection"},
    "aiohttp": {"collection"},
    "cv2": {"ffcv_bridge"},
    "hydra": {"hydra_internals", "building", "training", "sweeps", "cli"},
    "omegaconf": {"hydra_internals", "building", "training", "sweeps", "cli"},
    "pytorch_lightning": {"models", "lightning_internals", "trainer_facts", "datamodule", "callbacks", "training"},
    "lightning_fabric": {"lightning_internals", "training"},
    "numba": {"kernels", "loader"},
    "optuna": {"sweeps"},
    "pydantic": {"run_folder", "report", "sweeps", "cli"},
    "matplotlib": {"preview", "report", "sweeps"},
    "pyarrow": {"callbacks"},
    "zstandard": {"beton"},
}

_INSIDE = ("numba.core.", "numba.np.")  # what is not for others, though its name does not say so
_PUBLIC = {"_exit", "_replace", "_asdict", "_fields"}  # in spite of their names, of `os` and of named tuples

Imports = dict[str, set[str]]


def imports_of(root: Path = ROOT) -> Imports:
    """What each module of the package imports, by dotted names: modules of the package, and names of others as given.

    Whoever imports from another folder runs that folder's `__init__` too.
    """
    files = _files(root)
    return {name: set(_imported(name, ast.parse(path.read_text()), files)) for name, path in files.items()}


def _files(root: Path) -> dict[str, Path]:
    files = {_module_name(path, root): path for path in sorted((root / PACKAGE).rglob("*.py"))}
    return {name: path for name, path in files.items() if not name.startswith(f"{PACKAGE}.conf.")}


def _module_name(path: Path, root: Path) -> str:
    return ".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__")


def _imported(name: str, tree: ast.Module, modules: Mapping[str, Path]) -> Iterator[str]:
    for node in ast.walk(tree):
        found: list[str] = []
        if isinstance(node, ast.Import):
            found = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0 and node.module is not None, f"{name}: imports are absolute here"
            found = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Constant) and node.value in modules and node.value != PACKAGE:
            found = [node.value]
        for imported in found:
            if imported.partition(".")[0] != PACKAGE:
                yield imported
                continue
            module = imported if imported in modules else imported.rpartition(".")[0]
            parents = {part for part in _with_parents(module) if not f"{name}.".startswith(f"{part}.")}
            yield from (parents | {module}) - {name}


def _with_parents(module: str) -> Iterator[str]:
    while "." in module:
        yield module
        module = module.rpartition(".")[0]


def room_of(module: str) -> str:
    """The first part of a module's name behind the package's."""
    return [*module.split("."), "__init__"][1]


def broken_rules(imports: Imports) -> list[str]:
    """What is against the tables, a line each; and a cycle of modules, if there is any."""
    row_of = {room: row for row, rooms in enumerate(ROWS) for room in rooms}
    found = []
    for module in sorted(imports):
        room = room_of(module)
        if room not in row_of:
            found.append(f"{module}: its room '{room}' is in no row of tools/rooms.py")
            continue
        for imported in sorted(imports[module]):
            library, target = imported.partition(".")[0], room_of(imported)
            if library == PACKAGE:
                is_below = target == room or row_of.get(target, len(ROWS)) < row_of[room]
                if not is_below and (room, target) not in EXCEPTIONS:
                    found.append(f"{module} imports {imported}, which is not below '{room}'")
            elif room not in LIBRARIES.get(library, {room}):
                found.append(f"{module} imports {imported}; that is for {', '.join(sorted(LIBRARIES[library]))} alone")
    return found + [f"a cycle of imports: {' -> '.join(cycle)}" for cycle in _cycle(imports)]


def _cycle(imports: Imports) -> Iterator[list[str]]:
    """A cycle of modules, if there is any."""
    graph = {
        name: {target for target in targets if target in imports and (room_of(name), room_of(target)) not in EXCEPTIONS}
        for name, targets in imports.items()
    }
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        yield error.args[1][::-1]


def private_names(root: Path = ROOT) -> list[str]:
    """What modules other than `*_internals` take from inside another library or another module's class, a line each.

    That is an import with a private part in its name, and `x._name` where the module defines no `_name`, or, of its own
    `self`, no module does.
    """
    trees = {
        name: ast.parse(path.read_text()) for name, path in _files(root).items() if not name.endswith("_internals")
    }
    everywhere = {name for tree in trees.values() for name in _defined(tree)}
    found = []
    for module, tree in trees.items():
        here = _defined(tree) | _PUBLIC
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and _is_private(node.attr):
                owner = ast.unparse(node.value)
                known = everywhere | here if owner in ("self", "cls", "super()", "type(self)") else here
                if node.attr not in known:
                    found.append(f"{module}:{node.lineno} takes {owner}.{node.attr}")
    return found + [
        f"{module} imports {imported}"
        for module, names in imports_of(root).items()
        for imported in sorted(names)
        if not module.endswith("_internals") and imported.partition(".")[0] != PACKAGE and _is_inside(imported)
    ]


def _defined(tree: ast.Module) -> set[str]:
    """Names that are given a value anywhere in a module, as variables, attributes, functions or classes."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            found.add(node.attr)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.add(node.id)
    return found


def _is_private(name: str) -> bool:
    return name.startswith("_") and not name.endswith("_")  # neither Python's `__name__` nor Hydra's `_target_`


def _is_inside(imported: str) -> bool:
    return imported.startswith(_INSIDE) or any(_is_private(part) for part in imported.split(".")[1:])


def arrows(imports: Imports) -> set[tuple[str, str]]:
    """(room, room that it imports from), without exceptions and without those that follow from others."""
    direct: dict[str, set[str]] = {room: set() for row in ROWS for room in row}
    for module, imported in imports.items():
        direct[room_of(module)] |= {room_of(name) for name in imported if name in imports} - {room_of(module)}
    below: dict[str, set[str]] = {}
    found = set()
    for room, targets in direct.items():
        targets = {target for target in targets if (room, target) not in EXCEPTIONS}
        further = {name for target in targets for name in below[target]}
        below[room] = targets | further
        found |= {(room, target) for target in targets - further}
    return found


def picture(imports: Imports) -> str:
    """An SVG: the rows from the top down, and the arrows but for those to the ground, which is one box."""
    shapes = []
    rows = [*ROWS[len(GROUND) : -1], [", ".join(room for row in GROUND for room in row)]]
    height = _ROW_HEIGHT * len(rows)
    places = {
        room: (_WIDTH * (place + 1) // (len(row) + 1), height - _ROW_HEIGHT * (number + 1) + _BOX_HEIGHT)
        for number, row in enumerate([rows[-1], *rows[:-1]])
        for place, room in enumerate(row)
    }
    for room, target in sorted(arrows(imports)):
        if room in places and target in places:
            (x, y), (to_x, to_y) = places[room], places[target]
            y, to_y = y + _BOX_HEIGHT // 2, to_y - _BOX_HEIGHT // 2 - 5
            bend = (y + to_y) // 2
            path = f"M{x} {y}C{x} {bend} {to_x} {bend} {to_x} {to_y}"
            shapes.append(f'<path d="{path}" fill="none" stroke="#888" marker-end="url(#arrow)"/>')
    for room, (x, y) in places.items():
        width = 8 * len(room) + 20
        shapes.append(
            f'<rect x="{x - width // 2}" y="{y - _BOX_HEIGHT // 2}" width="{width}" height="{_BOX_HEIGHT}" rx="5"'
            f' fill="#eef3fb" stroke="#4a6fa5"/><text x="{x}" y="{y + 5}" text-anchor="middle">{escape(room)}</text>'
        )
    return "\n".join([_HEAD.format(width=_WIDTH, height=height), *shapes, "</svg>\n"])


_WIDTH, _ROW_HEIGHT, _BOX_HEIGHT = 1000, 62, 26
_HEAD = """<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-size="13"
 font-family="monospace">
<defs><marker id="arrow" viewBox="0 0 8 8" refX="2" refY="4" markerWidth="7" markerHeight="7" orient="auto">
<path d="M0 0L8 4L0 8z" fill="#888"/></marker></defs>
<rect width="100%" height="100%" fill="white"/>"""


def main(root: Path = ROOT) -> int:
    """Draw the picture if no rule is broken, else list those that are; returns how many."""
    imports = imports_of(root)
    broken = broken_rules(imports) + private_names(root)
    if not broken:
        (root / "docs/rooms.svg").write_text(picture(imports))
    for line in broken:
        print(line)
    return len(broken)


if __name__ == "__main__":
    sys.exit(main() > 0)
