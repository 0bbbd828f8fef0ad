"""What FFCV's operations are compared on."""

from tests.operations.conftest import noise

__all__ = ["noise"]
