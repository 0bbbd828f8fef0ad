"""The experiments with masks, boxes, points and views run end to end, cut short."""

import json
import re

import pytest

from tests import processes

SHORT = ("logger=none", "trainer.max_epochs=1", "trainer.limit_train_batches=4", "trainer.enable_model_summary=false")

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.mark.parametrize(
    ("experiment", "metrics"),
    [
        ("digits_segmentation", {"train_loss", "val_loss", "val_miou", "test_loss", "test_miou"}),
        ("multispectral", {"train_loss", "val_loss", "val_accuracy", "test_loss", "test_accuracy"}),
        ("digits_detection", {"train_loss", "val_loss", "val_map", "val_map_50", "val_ap/7", "test_map", "test_ap/0"}),
        ("digits_keypoints", {"train_loss", "val_loss", "val_distance", "val_pck", "test_distance", "test_pck"}),
        ("digits_simclr", {"train_loss", "val_knn_accuracy", "test_knn_accuracy"}),
    ],
)
def test_experiment_trains_and_tests(experiment, metrics, tmp_path):
    done = processes.run(["run.py", f"experiment={experiment}", *SHORT], tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]
    folder = re.search(r"run folder: (\S+)", done.stdout)
    result = json.loads((tmp_path / folder[1] / "result.json").read_text())
    assert result["status"] == "completed"
    assert metrics <= set(result["metrics"])
    shares = ("miou", "accuracy", "map", "pck")
    assert all(0 <= value <= 1 for name, value in result["metrics"].items() if name.endswith(shares))
