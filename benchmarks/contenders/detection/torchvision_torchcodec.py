"""torchvision's transforms in torch's DataLoader, and torchcodec as the decoder."""

from torchcodec.decoders import decode_jpeg

from benchmarks.boxes import loaded
from benchmarks.contenders.detection import torchvision
from benchmarks.work import Epochs, Work

PACKAGES = (*torchvision.PACKAGES, "torchcodec")


def batches(work: Work) -> Epochs:
    """Epochs of the loader."""
    return loaded(work, decode_jpeg, torchvision.augment(work))
