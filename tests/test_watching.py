import sys

from tests.watching import watch_one


def test_the_watcher_names_the_seed_of_a_crash(tmp_path):
    child = tmp_path / "child.py"
    child.write_text(
        "import os; print(41, flush=True); print('41: odd', flush=True); print(42, flush=True); os.abort()"
    )
    last, report, output = watch_one([sys.executable, str(child)])
    assert (last, report) == (42, ["41: odd"])
    assert "died with status -6" in output
