"""Conditions on samples, and what is said of those that cannot be read."""

import re

import numpy as np
import pytest

from ffcv_hydra.collection.where import Condition
from ffcv_hydra.errors import ConversionError

COLUMNS = {
    "label": np.array([0, 1, 2, 3, 4, 5, -1]),
    "score": np.array([0.5, 1.5, -2.0, 0.0, 9.0, 0.25, 7.0]),
    "image.height": np.array([10, 20, 30, 40, 50, 60, 70]),
}
CLASSES = ["ant", "bee", "cat"]


def chosen(text: str) -> list[int]:
    return np.flatnonzero(Condition(text, list(COLUMNS), CLASSES)(COLUMNS)).tolist()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("label in [3, 5]", [3, 5]),
        ("label not in (3, 5, -1)", [0, 1, 2, 4]),
        ("label == 'bee' or label in ['cat', 0]", [0, 1, 2]),
        ("1 < label <= 3", [2, 3]),
        ("not label < 4 and image.height != 60", [4]),
        ("image.height / 10 - 1 == label", [0, 1, 2, 3, 4, 5]),
        ("label % 2 == 1", [1, 3, 5, 6]),
        ("-score > 1 or score // 3 == 3", [2, 4]),
        ("label == 1000000000000000000000000", []),
        ("score / (image.height - 1) > 0.13", [4]),
        ("  label ==\n 2 ", [2]),
    ],
)
def test_a_condition_is_what_python_makes_of_it(text, expected):
    assert chosen(text) == expected


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("label in [3, 5", "closing parenthesis"),
        ("label = 3", "invalid syntax"),
        ("lable == 3", "there is no field 'lable' of numbers; did you mean 'label'?, at character 1"),
        (
            "score > 0 and image.hight > 3",
            "there is no field 'image.hight' of numbers; did you mean 'image.height'?, at",
        ),
        ("label == cat", "the class of this name is 'cat' in quotes, at character 10"),
        ("label == 'caat'", "there is no class 'caat'; did you mean 'cat'?, at character 10"),
        ("label", "this is no condition; compare it with something, as in label == 3, at character 1"),
        ("", "this is no condition"),
        ("1 == 1", "it names no field"),
        ("label in 3", "`in` wants a list, as in label in [3, 5], at character 10"),
        ("label in [score]", "a list holds numbers and names of classes, at character 11"),
        ("label is 3", "use =="),
        ("label / 0 == 1", "it divides by zero"),
        ("score / label > 1", "it divides by zero"),
        ("label > 1 / 0", "zero"),
        ("label > 1 // 0", "zero"),
        ("(label == 1) == 1", "a condition has no 'compare'"),
        ("label + 1000000000000000000000000 == 1", "a number is too large"),
        ("'é' == label and lable == 1", "there is no class 'é'"),
        ("abs(label) == 1", "a condition has no calls; it has fields, numbers and comparisons, at character 1"),
        ("label.__class__ == 1", "there is no field 'label.__class__'"),
        ("__import__('os').system('x') == 0", "no calls"),
        ("label[0] == 1", "no subscripts"),
        ("(lambda: 1)() == 1", "no calls"),
        ("label ** 2 == 1", "no 'binop'"),
        ("[label for x in y] == 1", "no 'listcomp'"),
        ("(" * 300 + "label == 1" + ")" * 300, "too many nested"),
        ("not " * 2000 + "label == 1", "nested"),
        ("label == 1 or " * 1000 + "label == 1", "it has over 10,000 characters"),
        ("label == 1\x00", "null"),
    ],
)
def test_what_cannot_be_read_is_one_line_with_its_place(text, told):
    with pytest.raises(ConversionError, match=re.escape(told)) as raised:
        chosen(text)
    assert str(raised.value).startswith("where: cannot read ")


def test_without_names_of_classes_their_numbers_are_wanted():
    with pytest.raises(ConversionError, match="names of classes are not known here; use their numbers"):
        Condition("label == 'cat'", ["label"])
