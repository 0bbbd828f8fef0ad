"""The mean loss of an evaluation."""

from torchmetrics import MeanMetric


def mean_loss() -> MeanMetric:
    """Return a metric to be updated with a batch's mean loss and, as weight, over how many values that is a mean.

    Weighted like this the mean is exact although batches differ in what they count, over all ranks. A loss that is not
    a number makes it not a number: by default torchmetrics leaves such a batch out with a warning, and its `disable`
    ignores the weights.
    """
    return MeanMetric(nan_strategy=float("nan"))
