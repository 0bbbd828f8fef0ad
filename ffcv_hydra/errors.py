"""The errors that users see: each says what is wrong, where (file, sample, field, key), and what to do."""

import os
import sysconfig
import traceback
from pathlib import Path


class FFCVHydraError(Exception):
    """Base of every error that this package raises on bad input."""


class BetonError(FFCVHydraError):
    """A beton is missing, is not a beton, was cut short, or is not the one that was asked for."""


class RemoteError(BetonError):
    """A file cannot be read from a URL or written to it; names the URL, without what is secret in it."""


class ConversionError(FFCVHydraError):
    """A dataset cannot be stored; names the index of the item and the field."""


class PipelineError(FFCVHydraError):
    """A pipeline does not fit the beton; names the field and the operation."""


class LoaderError(FFCVHydraError):
    """A loader cannot be built from its options, or cannot split its samples over the ranks."""


class FewSamplesError(LoaderError):
    """A loader has fewer samples, `num_samples`, than ranks or than one global batch of those that have to be full."""

    def __init__(self, text: str, num_samples: int) -> None:
        super().__init__(text)
        self.num_samples = num_samples

    def __reduce__(self) -> tuple[type, tuple[str, int]]:
        return type(self), (str(self), self.num_samples)


class SampleError(FFCVHydraError):
    """A stored sample cannot be decoded or transformed; names the file, the field and the sample."""


class ConfigError(FFCVHydraError):
    """A config has an unknown key, an impossible value, or names something that cannot be built."""


class SourceMissingError(ConfigError):
    """What a dataset is made from is not on this machine; betons that were made from it may be."""


class WriteError(FFCVHydraError):
    """A file of a run cannot be written; names the file and the reason."""


class SweepError(FFCVHydraError):
    """Jobs of a sweep failed or did not finish, or a sweep's folder cannot be used."""


MAX_TEXT = 500  # characters of another exception's text that are repeated; some hold megabytes


def describe_error(error: BaseException) -> str:
    """An exception's type and text on one line, cut where it is long; of a group, its first exception too.

    Where code of a user's own has raised it, its file and line follow: `ValueError: no such label (my_module.py:12)`.
    """
    try:
        text = " ".join(str(error)[: 2 * MAX_TEXT].split())
    except Exception as fault:
        text = f"(its text cannot be had: __str__ raised {type(fault).__name__})"
    if len(text) > MAX_TEXT:
        text = f"{text[:MAX_TEXT]}..."
    if isinstance(error, BaseExceptionGroup):
        text += f", the first of which is {describe_error(error.exceptions[0])}"
    place = users_line(error)
    return type(error).__name__ + (f": {text}" if text else "") + (f" ({place})" if place else "")


def users_line(error: BaseException) -> str | None:
    """`file:line` of the innermost call that is a user's own code, of the first cause that has one; None if none is."""
    chain: list[BaseException] = []
    cause: BaseException | None = error
    while cause is not None and cause not in chain:
        chain.append(cause)
        cause = cause.__cause__ or (None if cause.__suppress_context__ else cause.__context__)
    for cause in reversed(chain):
        for frame, line in reversed(list(traceback.walk_tb(cause.__traceback__))):
            name = frame.f_code.co_filename
            if not name.startswith(("<", *_NOT_THE_USERS)) and _PACKAGES.isdisjoint(Path(name).parts):
                return f"{name.removeprefix(os.path.join(_STARTED_IN, ''))}:{line}"
    return None


_NOT_THE_USERS = (f"{Path(__file__).parent}{os.sep}", f"{sysconfig.get_path('stdlib')}{os.sep}")
_STARTED_IN = os.path.abspath(os.curdir)
_PACKAGES = frozenset({"site-packages", "dist-packages"})


def root_error(error: BaseException) -> BaseException:
    """What an exception was raised from: the first error of this package, else the innermost cause."""
    while not isinstance(error, FFCVHydraError) and error.__cause__ is not None:
        error = error.__cause__
    return error


def root_cause(error: BaseException) -> str:
    """`root_error` on one line."""
    root = root_error(error)
    return str(root) if isinstance(root, FFCVHydraError) else describe_error(root)
