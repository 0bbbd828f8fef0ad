"""Small images in the first epochs, larger ones later: faster training at the same final accuracy.

As in "Fixing the train-test resolution discrepancy" (Touvron et al., arXiv:1906.06423) and FFCV's ImageNet recipe.
"""

import pytorch_lightning as pl
from pytorch_lightning.utilities.exceptions import MisconfigurationException

from ffcv_hydra.lightning_internals import Callback
from ffcv_hydra.loader import Loader


class ProgressiveResizing(Callback):
    """Let the size of training images grow linearly over the epochs; evaluation keeps the pipeline's own size.

    Args:
        start_size, end_size: height and width in pixels, up to `start_epoch` and from `end_epoch` on.
        start_epoch, end_epoch: between which the size changes.
        multiple_of: sizes in between are rounded to a multiple of it, in pixels.
        output: whose decoder is changed; outputs that are joint with it follow.

    Raises:
        MisconfigurationException: for epochs or sizes out of order.
    """

    def __init__(
        self,
        start_size: int,
        end_size: int,
        start_epoch: int,
        end_epoch: int,
        multiple_of: int = 32,
        output: str = "image",
    ) -> None:
        if min(start_size, end_size, multiple_of) < 1 or not 0 <= start_epoch < end_epoch:
            raise MisconfigurationException(
                "ProgressiveResizing: sizes and multiple_of are at least 1, start_epoch comes before end_epoch; got "
                f"sizes {start_size} to {end_size}, multiple_of {multiple_of}, epochs {start_epoch} to {end_epoch}"
            )
        self.start_size, self.end_size = start_size, end_size
        self.start_epoch, self.end_epoch = start_epoch, end_epoch
        self.multiple_of = multiple_of
        self.output = output

    def size(self, epoch: int) -> int:
        """Height and width of the training images of an epoch, in pixels."""
        if epoch <= self.start_epoch:
            return self.start_size
        if epoch >= self.end_epoch:
            return self.end_size
        progress = (epoch - self.start_epoch) / (self.end_epoch - self.start_epoch)
        between = self.start_size + progress * (self.end_size - self.start_size)
        smallest, largest = sorted((self.start_size, self.end_size))
        return min(max(round(between / self.multiple_of) * self.multiple_of, smallest), largest)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Give the training loader its schedule, before its first batch.

        Raises:
            MisconfigurationException: the training data do not come from this package's `Loader`.
            PipelineError: the output has no decoder whose size can be chosen.
        """
        loader = trainer.train_dataloader
        if not isinstance(loader, Loader):
            raise MisconfigurationException(
                f"ProgressiveResizing works with ffcv_hydra's Loader; the trainer reads from {type(loader).__name__}"
            )
        loader.set_output_size(self.output, self.size)
