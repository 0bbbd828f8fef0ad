"""`python -m tests.docs.photos FOLDER`: twenty-four small photographs of two classes, for pages that have a folder."""

import sys
from pathlib import Path

import numpy as np
from PIL import Image

for number in range(24):
    kind = ("cat", "dog")[number % 2]
    path = Path(sys.argv[1]) / kind / f"{number}.jpg"
    path.parent.mkdir(parents=True, exist_ok=True)
    coarse = np.random.default_rng(number).integers(0, 256, (4, 5, 3), dtype=np.uint8)
    Image.fromarray(coarse).resize((100, 80), Image.Resampling.BICUBIC).save(path)
