"""Where in a user's own code an error comes from."""

import sysconfig
import traceback
from pathlib import Path

_INSTALLED = tuple({sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")})
_PACKAGE = str(Path(__file__).parent)


def own_line(error: BaseException) -> str | None:
    """`PATH:LINE` of the innermost frame outside installed packages and this one, also of the errors behind `error`.

    None if there is none, as when a class of this package was given wrong arguments.
    """
    found = None
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        for frame in traceback.extract_tb(current.__traceback__):
            path = str(Path(frame.filename).absolute())
            # the virtual environment may lie in the user's folder, and the user's folder beside this package
            if "site-packages" not in path and not path.startswith((*_INSTALLED, _PACKAGE)) and Path(path).is_file():
                found = f"{frame.filename}:{frame.lineno}"
        current = current.__cause__ or current.__context__
    return found
