"""The API of the package that this one replaces: its two kinds of script run here under the same public names."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

CONVERT = """
import numpy as np
from PIL import Image
from torch.utils.data.dataset import Dataset

from ffcv_hydra import create_beton_wrapper


class Noise(Dataset):
    def __init__(self, n_samples):
        pixels = np.random.randint(0, 255, (n_samples, 32, 32, 3), dtype=np.uint8)
        self.images = [Image.fromarray(image) for image in pixels]

    def __len__(self):
        return len(self.images)

    def __getitem__(self, index):
        return self.images[index], int(index)


create_beton_wrapper(Noise(n_samples=256), "./data/image_label.beton")
"""

TRAIN = """
import pytorch_lightning as pl
import torch
from ffcv.fields.basics import IntDecoder
from ffcv.fields.rgb_image import CenterCropRGBImageDecoder, RandomResizedCropRGBImageDecoder
from ffcv.loader import OrderOption
from ffcv.transforms import ToTensor, ToTorchImage
from pytorch_lightning.strategies.ddp import DDPStrategy
from torchvision.transforms import RandomHorizontalFlip

from ffcv_hydra import DivideImage255, FFCVDataModule, FFCVPipelineManager


class Model(pl.LightningModule):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(32 * 32 * 3, 8)
        self.labels = []

    def training_step(self, batch, batch_idx):
        image, label = batch
        assert image.shape == (16, 3, 32, 32) and image.dtype == torch.float32 and image.max() <= 1
        self.labels += label[:, 0].tolist()
        return self.layer(image.reshape(16, -1)).square().mean()

    def validation_step(self, batch, batch_idx):
        pass

    def on_train_epoch_end(self):
        with open(f"seen-{self.current_epoch}-{self.global_rank}.txt", "w") as file:
            file.write(" ".join(map(str, self.labels)))
        self.labels.clear()

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=1e-3)


if __name__ == "__main__":
    pl.seed_everything(1234, workers=True)
    path = "./data/image_label.beton"
    train = FFCVPipelineManager(
        path,
        pipeline_transforms=[
            [
                RandomResizedCropRGBImageDecoder((32, 32)),
                ToTensor(),
                ToTorchImage(),
                DivideImage255(dtype=torch.float32),
                RandomHorizontalFlip(p=0.5),
            ],
            [IntDecoder(), ToTensor()],
        ],
        ordering=OrderOption.RANDOM,
    )
    val = FFCVPipelineManager(
        path,
        pipeline_transforms=[
            [CenterCropRGBImageDecoder((32, 32), ratio=1.0), ToTensor(), ToTorchImage(), DivideImage255(torch.float32)],
            None,
        ],
        ordering=OrderOption.SEQUENTIAL,
    )
    data = FFCVDataModule(16, 8, train_manager=train, val_manager=val, is_dist=True, seed=1234)
    trainer = pl.Trainer(
        strategy=DDPStrategy(find_unused_parameters=False), deterministic=True, accelerator="cpu", devices=2,
        num_nodes=1, max_epochs=2, logger=False, enable_progress_bar=False, enable_checkpointing=False,
    )
    trainer.fit(Model(), data)
"""


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_scripts_of_the_former_package_run_with_new_import_lines(tmp_path: Path):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[1]), *sys.path])}
    for name, text in (("convert", CONVERT), ("train", TRAIN)):
        (tmp_path / f"{name}.py").write_text(text)
        done = subprocess.run(
            [sys.executable, f"{name}.py"], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=280
        )
        assert done.returncode == 0, done.stderr[-3000:]
    for epoch in range(2):
        ranks = [(tmp_path / f"seen-{epoch}-{rank}.txt").read_text().split() for rank in range(2)]
        assert len(ranks[0]) == len(ranks[1]) == 128
        assert sorted(int(label) for rank in ranks for label in rank) == list(range(256))
