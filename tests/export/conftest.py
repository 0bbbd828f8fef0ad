"""Two photographs as JPEGs, three drawings as they are: files, and betons of them."""

import importlib.util
import json
import shutil
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest
import sklearn
from PIL import Image

import ffcv_hydra.export
from ffcv_hydra.beton import write_beton
from ffcv_hydra.beton.fields.rgb_image_field import RGBImageField

SIZES = [(60, 90), (97, 64), (40, 41)]


class Pictures:
    """A dataset of files with their numbers; opened anew each time, as a picture that was looked at is stored anew."""

    def __init__(self, files, stack):
        self.files, self.stack = files, stack

    def __len__(self):
        return len(self.files)

    def __getitem__(self, number):
        return self.stack.enter_context(Image.open(self.files[number])), number


@pytest.fixture(scope="session")
def pictures(tmp_path_factory):
    """The files, and the betons of the photographs and of the drawings."""
    folder = tmp_path_factory.mktemp("pictures")
    photographs = sorted(Path(sklearn.__file__).parent.glob("datasets/images/*.jpg"))
    drawings = []
    for number, (height, width) in enumerate(SIZES):
        coarse = np.random.default_rng(number).integers(0, 256, (9, 7, 3), dtype=np.uint8)
        drawings.append(folder / f"{number}.png")
        Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC).save(drawings[-1])
    betons = [folder / "photographs.beton", folder / "drawings.beton"]
    for files, beton, mode in zip((photographs, drawings), betons, ("jpg", "raw"), strict=True):
        with ExitStack() as stack:
            write_beton(Pictures(files, stack), beton, {"image": RGBImageField(mode), "label": None}, num_workers=0)
    return [str(file) for file in (*photographs, *drawings)], betons


@pytest.fixture
def example(tmp_path):
    """The example as a module, beside a description."""

    def load(description):
        (tmp_path / "preprocessing.json").write_text(json.dumps(description))
        path = shutil.copy(Path(ffcv_hydra.export.__file__).with_name("example.py"), tmp_path)
        spec = importlib.util.spec_from_file_location("exported_example", path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    return load
