"""The example that goes with an exported model: it makes of pictures what the loader makes of them."""

import subprocess
import sys

import numpy as np
import pytest

from ffcv_hydra.export import describe
from ffcv_hydra.loader import Loader
from ffcv_hydra.operations import (
    CenterCrop,
    Convert,
    DivideImage255,
    LetterBox,
    NormalizeImage,
    NormalizeTensor,
    Resize,
    ResizeShorterSide,
    ToTensor,
    ToTorchImage,
    WholeImage,
)

MEAN, STD = [123.675, 116.28, 103.53], [58.395, 57.12, 57.375]
LEVELS = (ToTensor(), ToTorchImage())


def both(pictures, example, operations, only_photographs=False):
    """What the loader makes of the pictures, and what the example does."""
    files, betons = pictures
    path = betons[0] if only_photographs else betons
    loader = Loader(path, 5, pipelines={"image": list(operations), "label": "disabled"}, num_workers=1)
    module = example(describe(loader))
    loaded = next(iter(loader))[0].numpy()
    return loaded, np.stack([module.preprocess(file) for file in files[: len(loaded)]])


@pytest.mark.parametrize(
    "decoder",
    [
        CenterCrop(32, 0.875),
        CenterCrop(32, 0.875, "bilinear"),
        CenterCrop(32, 0.5, "nearest"),
        CenterCrop(100),
        Resize([120, 50]),
        Resize([48, 70], "bilinear"),
        ResizeShorterSide(40, 32, "bilinear"),
        ResizeShorterSide(50, 64),
        LetterBox((60, 33), fill=114),
        LetterBox(150, "bilinear", fill=[1, 2, 3]),
    ],
    ids=lambda decoder: f"{type(decoder).__name__}-{decoder.interpolation}-{decoder.size[0]}",
)
def test_pixels_are_the_loaders_but_for_rounding(pictures, example, decoder):
    loaded, ours = both(pictures, example, [decoder, *LEVELS])
    assert ours.dtype == loaded.dtype == np.uint8
    difference = np.abs(loaded.astype(int) - ours)
    assert difference.max() <= 1
    assert (difference > 0).mean() < 0.01  # halves, where drawings grow


def test_whole_images_are_equal(pictures, example):
    loaded, ours = both(pictures, example, [WholeImage(), ToTensor()], only_photographs=True)
    assert np.array_equal(loaded, ours)


@pytest.mark.parametrize(
    "operations",
    [
        [NormalizeImage(MEAN, STD), *LEVELS],
        [*LEVELS, DivideImage255()],
        [*LEVELS, DivideImage255(), NormalizeTensor([0.5, 0.4, 0.3], [0.2, 0.3, 0.4])],
        [*LEVELS, Convert("float32"), NormalizeTensor(MEAN, STD)],
    ],
)
def test_values_are_the_loaders(pictures, example, operations):
    loaded, ours = both(pictures, example, [CenterCrop(32, 1.0, "nearest"), *operations])
    assert ours.dtype == loaded.dtype == np.float32
    np.testing.assert_allclose(ours, loaded, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("output", "task", "numbers", "said"),
    [
        ("logits", "multiclass", [1.0, -2.0, 3.0], ("wolf", [1.0, -2.0, 3.0])),
        ("logits", "multilabel", [1.0, -200.0, 0.0], (["cat", "wolf"], [0.7311, 0.0, 0.5])),
        ("values", "regression", [1.5, -2.0], ([1.5, -2.0],)),
        ("logits", None, [[[1.0]]], ("logits", (1, 1, 1))),
        ("features", None, [1.0], ("features", (1,))),
    ],
)
def test_it_tells_what_the_outputs_task_means(example, output, task, numbers, said):
    module = example({"output": output, "task": task, "classes": ["cat", "dog", "wolf"]})
    assert module.told(np.array(numbers, dtype=np.float32)) == said


def test_classes_without_names_are_numbers(example):
    module = example({"output": "logits", "task": "multilabel", "classes": None})
    assert str(module.told(np.array([1.0, -1.0, 1.0]))[0]) == "[0, 2]"


def test_a_jpeg_is_read_by_pillow_where_there_is_no_simplejpeg(pictures, example, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "simplejpeg", None)
    loaded, ours = both(pictures, example, [CenterCrop(224, 0.875), *LEVELS], only_photographs=True)
    difference = np.abs(loaded.astype(int) - ours)
    assert 0 < difference.mean() < 1.5
    assert difference.max() < 20


@pytest.mark.parametrize(
    ("arguments", "said"),
    [([], "usage: python example.py PICTURE ..."), (["gone.jpg"], "No such file"), (["example.py"], "cannot identify")],
)
def test_what_is_no_picture_is_told_in_a_line(tmp_path, example, arguments, said):
    example({"crop": None, "resize": None})
    done = subprocess.run([sys.executable, "example.py", *arguments], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 1 and done.stdout == ""
    assert said in done.stderr and len(done.stderr.splitlines()) == 1
