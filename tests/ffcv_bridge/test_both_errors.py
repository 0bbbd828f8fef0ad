"""Errors of this package that are built-in ones, too."""

import copy
import pickle

import pytest

from ffcv_hydra.errors import BetonError, FewSamplesError, FFCVHydraError, PipelineError
from ffcv_hydra.ffcv_bridge.both_errors import also_built_in

BUILT_IN = (TypeError, ValueError, AssertionError)


def raised(error: FFCVHydraError, path: str | None = None) -> FFCVHydraError:
    with pytest.raises(type(error)) as found, also_built_in(path):
        raise error
    return found.value


@pytest.mark.parametrize(
    "error, path, also",
    [
        (PipelineError("no such field"), None, BUILT_IN),
        (FewSamplesError("0 samples are fewer than 1", 0), None, BUILT_IN),
        (BetonError("no such file"), "nowhere.beton", (FileNotFoundError,)),
    ],
)
def test_an_error_is_of_both_classes_also_in_another_process(error, path, also):
    here = raised(error, path)
    here.add_note("while reading")
    for found in (here, pickle.loads(pickle.dumps(here)), copy.copy(here)):
        assert all(isinstance(found, kind) for kind in (type(error), *also))
        assert (str(found), found.args, found.__notes__) == (str(error), error.args, ["while reading"])
        assert getattr(found, "num_samples", None) == getattr(error, "num_samples", None)
