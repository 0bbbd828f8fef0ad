"""What FFCV's own tests are run with, and what is made of their outcomes; `make ffcv-suite` runs them."""

from tools.ffcv_suite import PAGE, outcomes, reasons, unexplained

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


def test_only_what_passes_on_ffcv_has_to_pass_or_to_have_a_reason():
    stock = {"a::one": "passed", "a::two": "passed", "a::three": "failed", "a::four": "passed", "a::five": "passed"}
    here = {"a::one": "passed", "a::two": "failed", "a::three": "failed", "a::four": "failed"}
    page = "## FFCV's tests\n\n| test | why |\n|---|---|\n| `a::four` | a reason |\n\n## More\n| `a::two` | no |\n"
    assert unexplained(stock, here, reasons(page)) == ["a::two", "a::five"]


def test_the_page_gives_reasons():
    assert 0 < len(reasons(PAGE.read_text())) < 5
