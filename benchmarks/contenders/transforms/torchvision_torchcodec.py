"""torchvision's transforms in torch's DataLoader, and torchcodec as the decoder."""

from torchcodec.decoders import decode_jpeg

from benchmarks.contenders.transforms import data_loader, torchvision
from benchmarks.work import Epochs, Work

PACKAGES = (*torchvision.PACKAGES, "torchcodec")


def batches(work: Work) -> Epochs:
    """Epochs of the loader."""
    return data_loader.batches(
        work, data_loader.Samples(work, decode_jpeg, torchvision.decode_mask, torchvision.augment)
    )
