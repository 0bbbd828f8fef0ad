"""What FFCV's own tests are run with, and what is made of their outcomes; `make ffcv-suite` runs them."""

from tools.ffcv_suite import missing, outcomes, printed

TESTS = """
import pytest
from torchvision.datasets import CIFAR10

def test_images():
    image, label = CIFAR10("/tmp", train=False, download=True)[13]
    assert image.size == (32, 32) and label == 3

def test_backend():
    assert 'nccl' == "gloo"

def test_that_fails():
    assert False

@pytest.mark.skip
def test_nothing():
    pass
"""


def test_outcomes_are_counted(tmp_path):
    (tmp_path / "sources" / "tests").mkdir(parents=True)
    (tmp_path / "sources" / "tests" / "test_some.py").write_text(TESTS)
    (tmp_path / "sources" / "tests" / "test_webdataset.py").write_text("import webdataset")
    found = outcomes(tmp_path / "sources", tmp_path / "run", ["-m", "pytest", "tests", "-q", "-p", "no:cacheprovider"])
    expected = {"images": "passed", "backend": "passed", "that_fails": "failed", "nothing": "skipped"}
    assert found == {f"test_some::test_{name}": outcome for name, outcome in expected.items()}


def test_what_passes_on_ffcv_has_to_pass():
    stock = {"a::one": "passed", "a::two": "passed", "a::three": "failed", "a::four": "passed"}
    assert missing(stock, {"a::one": "passed", "a::two": "failed", "a::three": "failed"}) == ["a::two", "a::four"]


def test_what_programs_print_is_compared(tmp_path, monkeypatch):
    (tmp_path / "programs").mkdir()
    (tmp_path / "programs" / "one.py").touch()
    (tmp_path / "programs" / "all_of_them.py").write_text("print('noise')\nprint('one', 1, 2)")
    monkeypatch.setattr("tools.ffcv_suite.PROGRAMS", tmp_path / "programs")
    assert printed(tmp_path / "run", []) == {"one": "1 2"}
