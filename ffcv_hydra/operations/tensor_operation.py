"""The package's operations that are a function of a whole tensor, or make one."""

from ffcv_hydra.operations.operation import Operation


class TensorOperation(Operation):
    """Base of what leaves pixels where they are, and needs no memory of its own.

    Attributes:
        is_view: whether the outcome is the source's memory in another form, whatever is in it.
    """

    geometric = False
    is_view: bool = False
