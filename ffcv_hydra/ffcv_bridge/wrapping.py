"""What stands for an object of FFCV's kind, and is asked in its place."""

from typing import Any


class Wrapping:
    """What is not said by a class derived from this is the original's.

    Attributes:
        original: FFCV's, or a user's.
    """

    def __init__(self, original: Any) -> None:
        self.original = original

    def __getattr__(self, name: str) -> Any:
        if name == "original":  # not set yet: a copy is being made
            raise AttributeError(name)
        return getattr(self.original, name)

    @property
    def name(self) -> str:
        """The original's class, which messages name."""
        return type(self.original).__name__
