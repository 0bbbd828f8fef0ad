"""Errors of other people's code, told in one line."""

import runpy

import pytest

from ffcv_hydra.errors import describe_error, users_line

MINE = """
import json

def plain():
    raise ValueError("no such label")

def in_a_library():
    json.loads("{")

def from_itself():
    try:
        plain()
    except ValueError as error:
        raise error from error

def chained():
    try:
        in_a_library()
    except ValueError as error:
        raise KeyError("label") from error
"""


@pytest.mark.parametrize(("name", "line"), [("plain", 5), ("in_a_library", 8), ("from_itself", 5), ("chained", 8)])
def test_F47_the_users_innermost_line_is_named(name, line, tmp_path):
    (tmp_path / "mine.py").write_text(MINE)
    mine = runpy.run_path(str(tmp_path / "mine.py"))

    def describe():
        try:
            mine[name]()
        except Exception as error:
            error.__traceback__ = error.__traceback__.tb_next  # as if from a package: the test's own call is cut off
            return describe_error(error)

    assert describe().endswith(f"({tmp_path}/mine.py:{line})")


def test_F47_code_of_packages_is_not_the_users():
    error = ValueError("nobody raised it")
    assert users_line(error) is None
    assert describe_error(error) == "ValueError: nobody raised it"
