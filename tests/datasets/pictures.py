"""Small pictures for the tests of datasets that read files."""

from pathlib import Path

import numpy as np
from PIL import Image


def picture(path, width=32, height=32, value=100, **options):
    """A grey JPEG, or what the suffix says."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((height, width, 3), value, dtype=np.uint8)).save(path, **options)
    return path
