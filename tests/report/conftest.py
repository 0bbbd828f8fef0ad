"""Made-up folders of runs, as a run leaves them."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from ffcv_hydra.beton import write_beton

CLASSES = ["cat", "dog", "wolf", "fox"]


def _evaluation(num_classes=4, mistakes=8, names=None, betons=(), image="image"):
    """Each class is taken for the next one now and then, and for the one behind it once."""
    counts = [100 + number for number in range(num_classes)]
    confused = [[n, (n + 1) % num_classes, 12 - n % 9] for n in range(num_classes)]
    confused += [[n, (n + 2) % num_classes, 1] for n in range(num_classes)]
    confused.sort(key=lambda one: -one[2])
    correct = [count - sum(one[2] for one in confused if one[0] == n) for n, count in enumerate(counts)]
    found = {
        "epoch": 9, "metrics": {}, "counts": counts, "correct": correct, "confused": confused,
        "mistakes": [
            {
                "id": n, "name": f"photos/{CLASSES[n % 4]}/{n:03}.jpg", "label": n % num_classes,
                "predicted": (n + 1) % num_classes, "probability": 0.99 - n / 50, "of_label": 0.01,
            }
            for n in range(mistakes)
        ],
    }  # fmt: skip
    data = {"samples": sum(counts), "betons": list(map(str, betons)), "image": image, "counts": counts}
    return {
        "class_names": names,
        "data": {"train": {**data, "samples": 9 * sum(counts), "counts": [9 * count for count in counts]}, "val": data},
        "evaluations": {"val": found},
    }


@pytest.fixture
def evaluation():
    """`evaluation(num_classes, mistakes, names, betons)`: the contents of `evaluation.json`."""
    return _evaluation


@pytest.fixture(scope="session")
def photos(tmp_path_factory):
    """A beton of eight pictures of different sizes, four of them larger than what a page shows."""
    path = tmp_path_factory.mktemp("photos") / "photos.beton"
    samples = []
    for n in range(8):
        height, width = (40 + 8 * n, 60) if n < 4 else (300 + 20 * n, 400)
        rows, columns = np.mgrid[:height, :width]
        pixels = np.stack([255 * rows / height, 255 * columns / width, 127 + 120 * np.sin(rows / (3 + n))], -1)
        samples.append((Image.fromarray(pixels.astype(np.uint8)), n % 4))
    write_beton(samples, path, {"image": {"write_mode": "raw"}, "label": None}, num_workers=0)
    return path


@pytest.fixture
def make_run(tmp_path):
    """`make_run(result={...}, config={...}, found={...})`: the folder of a run, with what is given in it."""

    def make(folder="run", result=None, config=None, found=None, metrics=True):
        path: Path = tmp_path / folder
        path.mkdir()
        model = {"_target_": "ffcv_hydra.models.Classifier", "backbone": {"_target_": "torchvision.models.resnet18"}}
        composed = {"dataset": {"name": "photos"}, "model": model, "optimized_metric": "val_loss", **(config or {})}
        (path / "config.yaml").write_text(yaml.safe_dump(composed))
        contents = {
            "status": "completed", "mode": "fit", "seed": 0, "error": None, "started": 1780000000.0, "seconds": 754.0,
            "overrides": ["experiment=photos", "trainer.max_epochs=9"],
            "metrics": {"train_loss": 0.31, "val_loss": 0.62, "val_accuracy": 0.883, "lr-AdamW": 0.0001},
            "optimized_metric": 0.58, "best_checkpoint": "/runs/1/checkpoints/best.ckpt",
            "samples_per_second": 2143.7, "waiting": 0.31, "memory": {"resident": 3.4e9, "cuda": 0},
            "command": "python run.py experiment=photos trainer.max_epochs=9", "folder": "/home/someone/photos",
            "commit": {"hash": "9e849c0a1b2c3d4e5f60718293a4b5c6d7e8f901", "dirty": True}, "host": "somewhere",
            "versions": {"python": "3.11.9", "torch": "2.9.0", "ffcv_hydra": "0.1.0"},
            "machine": {"processor": "A Processor", "cores": 8, "memory_bytes": 3.3e10, "system": "Linux-6.1-x86_64"},
            **(result or {}),
        }  # fmt: skip
        (path / "result.json").write_text(json.dumps(contents))
        if metrics:
            rows = ["epoch,step,train_loss,val_loss,val_accuracy,samples_per_second,lr-AdamW"]
            for n in range(1, 10):
                loss = 2 * math.exp(-n / 3)
                rows.append(
                    f"{n},{40 * n},{loss + 0.2},{loss + 0.5},{1 - loss / 3},{2100 + n * 7},{0.001 * (1 - n / 10)}"
                )
            (path / "metrics.csv").write_text("\n".join(rows) + "\n")
        (path / "evaluation.json").write_text(json.dumps(_evaluation() if found is None else found))
        return path

    return make
