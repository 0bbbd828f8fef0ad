"""The package's operations that are a function of a whole tensor, or make one."""

from ffcv_hydra.operations.operation import Operation


class TensorOperation(Operation):
    """Base of what leaves pixels where they are, and needs no memory of its own."""

    geometric = False
