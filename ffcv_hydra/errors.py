"""The errors that users see: each says what is wrong, where (file, sample, field, key), and what to do."""


class FFCVHydraError(Exception):
    """Base of every error that this package raises on bad input."""


class BetonError(FFCVHydraError):
    """A beton is missing, is not a beton, was cut short, or is not the one that was asked for."""


class ConversionError(FFCVHydraError):
    """A dataset cannot be stored; names the index of the item and the field."""


class PipelineError(FFCVHydraError):
    """A pipeline does not fit the beton; names the field and the operation."""


class LoaderError(FFCVHydraError):
    """A loader cannot be built from its options, or cannot split its samples over the ranks."""


class SampleError(FFCVHydraError):
    """A stored sample cannot be decoded or transformed; names the file, the field and the sample."""


class ConfigError(FFCVHydraError):
    """A config has an unknown key, an impossible value, or names something that cannot be built."""


class WriteError(FFCVHydraError):
    """A file of a run cannot be written; names the file and the reason."""


class SweepError(FFCVHydraError):
    """Jobs of a sweep failed or did not finish, or a sweep's folder cannot be used."""


MAX_TEXT = 500  # characters of another exception's text that are repeated; some hold megabytes


def describe_error(error: BaseException) -> str:
    """An exception's type and text on one line, cut where it is long; of a group, its first exception too."""
    try:
        text = " ".join(str(error)[: 2 * MAX_TEXT].split())
    except Exception as fault:
        text = f"(its text cannot be had: __str__ raised {type(fault).__name__})"
    if len(text) > MAX_TEXT:
        text = f"{text[:MAX_TEXT]}..."
    if isinstance(error, BaseExceptionGroup):
        text += f", the first of which is {describe_error(error.exceptions[0])}"
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
