"""All programs beside this one, in one process: `all_of_them.py FOLDER`."""

import runpy
from pathlib import Path

HERE = Path(__file__)

if __name__ == "__main__":
    for program in sorted(HERE.parent.glob("*.py")):
        if program != HERE:
            runpy.run_path(str(program), run_name="__main__")
