"""albumentations' transforms in torch's DataLoader, and simplejpeg with its fast settings as the decoder."""

from benchmarks.boxes import loaded
from benchmarks.contenders.detection import albumentations
from benchmarks.contenders.transforms.albumentations_simplejpeg import PACKAGES as PACKAGES
from benchmarks.contenders.transforms.albumentations_simplejpeg import decode
from benchmarks.work import Epochs, Work


def batches(work: Work) -> Epochs:
    """Epochs of the loader."""
    return loaded(work, decode, albumentations.augment(work))
