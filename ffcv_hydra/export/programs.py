"""A model as programs of PyTorch and ONNX, with what they need to be told of pictures."""

import importlib.util
import json
import logging
import re
import shutil
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ffcv_hydra.atomic_file import save_whole, write_whole
from ffcv_hydra.errors import ConfigError, WriteError, describe_error

EXAMPLE = Path(__file__).with_name("example.py")
ONNX_PACKAGES = ("onnx", "onnxscript", "onnxruntime")
TOLERANCE = 1e-3
"""Of a program's outputs, as a share of the largest one: where they differ by more, it is another model."""

log = logging.getLogger(__name__)


def export(
    model: nn.Module, batches: Sequence[Tensor], description: Mapping[str, Any], folder: Path
) -> dict[str, float]:
    """Write `state_dict.pt`, `model.pt2`, `preprocessing.json`, `example.py` and, where it is installed, `model.onnx`.

    Args:
        model: on the CPU; its `forward` takes images (N, ...) and gives a tensor, and both programs take any N.
        batches: real images, with which the programs are compared with the model.
        description: what `preprocessing.json` shall say.
        folder: made where it is missing.

    Returns:
        By file, the largest difference from the model's outputs.

    Raises:
        ConfigError: the model cannot be exported, saying which operation of it, or a program gives other outputs.
        WriteError: the folder cannot be written to.
    """
    model.eval().requires_grad_(False)
    with torch.no_grad():
        expected = [model(images) for images in batches]
    if not all(isinstance(output, Tensor) for output in expected):
        raise ConfigError(f"{type(model).__name__}.forward gives {type(expected[0]).__name__}; let it give a tensor")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        network = getattr(model, "backbone", model)
        save_whole(network.state_dict(), folder / "state_dict.pt")
        program = _program(model, batches[0])
        torch.export.save(program, folder / "model.pt2")
        loaded: nn.Module = torch.export.load(folder / "model.pt2").module()
        differences = {"model.pt2": _difference("model.pt2", [loaded(images) for images in batches], expected)}
        write_whole(folder / "preprocessing.json", json.dumps(description, indent=2) + "\n")
        shutil.copyfile(EXAMPLE, folder / "example.py")
        if missing := [name for name in ONNX_PACKAGES if importlib.util.find_spec(name) is None]:
            log.info("no model.onnx: that needs %s; pip install 'ffcv_hydra[export]'", ", ".join(missing))
            return differences
        _write_onnx(program, folder / "model.onnx")
        differences["model.onnx"] = _difference("model.onnx", _run_onnx(folder / "model.onnx", batches), expected)
    except OSError as error:
        raise WriteError(f"{error.filename or folder} cannot be written: {error.strerror}") from error
    return differences


def _program(model: nn.Module, images: Tensor) -> torch.export.ExportedProgram:
    """The model as a program of PyTorch's own operations, for any number of images."""
    images = images[[0, -1]].contiguous()  # two, since a size of one would be taken for the only one
    try:
        with _quietly():
            return torch.export.export(model, (images,), dynamic_shapes=({0: torch.export.Dim("batch", min=1)},))
    except Exception as error:
        raise ConfigError(f"{type(model).__name__} cannot be exported by torch.export: {_briefly(error)}") from error


def _write_onnx(program: torch.export.ExportedProgram, path: Path) -> None:
    try:
        with _quietly():
            written = torch.onnx.export(program, (), dynamo=True, input_names=["images"], output_names=["output"])
            assert written is not None
            written.save(path)
    except Exception as error:
        raise ConfigError(f"the model cannot be exported to ONNX: {_briefly(error)}") from error


def _run_onnx(path: Path, batches: Sequence[Tensor]) -> list[Tensor]:
    from onnxruntime import InferenceSession

    session = InferenceSession(path, providers=["CPUExecutionProvider"])
    return [torch.from_numpy(session.run(None, {"images": images.numpy()})[0]) for images in batches]


def _difference(name: str, found: Sequence[Tensor], expected: Sequence[Tensor]) -> float:
    difference = max(float((one - other).abs().max()) for one, other in zip(found, expected, strict=True))
    largest = max(float(one.abs().max()) for one in expected)
    if not difference <= TOLERANCE * max(largest, 1e-6):
        raise ConfigError(
            f"{name} gives outputs that differ by {difference:.3g} from the model's, of {largest:.3g} at most"
        )
    return difference


@contextmanager
def _quietly() -> Iterator[None]:
    """Without the exporters' reports of their progress."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript", "onnx_ir", "torch.export")]
    levels = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        with warnings.catch_warnings(), redirect_stdout(StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def _briefly(error: BaseException) -> str:
    """Which operation it is about, as far as the innermost error says, and what is wrong with it."""
    while error.__cause__ is not None:
        error = error.__cause__
    operation = re.search(r"\b(?:aten|torchvision|prims|torch)[.:]+[\w.:]+", str(error))
    return f"{operation[0]}: {describe_error(error)}" if operation else describe_error(error)
