"""What a worker process of the writer does: gets chunks, sends parts."""

from __future__ import annotations

import signal
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

import cv2
import numpy as np
import torch

from ffcv_hydra.beton.encoding import SampleEncoder, describe_error
from ffcv_hydra.errors import ConversionError


@dataclass(frozen=True)
class Failure:
    """Why a worker gave up: one line for the user, and the worker's traceback."""

    message: str
    traceback: str


def work(
    connection: Connection, inherited: Sequence[Connection], encoder: SampleEncoder, dataset: Any, indices: np.ndarray
) -> None:
    """Encode the chunks that `connection` asks for, until it says None or the parent is gone.

    Args:
        connection: Receives `(start, stop)`, sends `Part`s, and a `Failure` as the last word if something fails.
        inherited: The parent's pipe ends that fork copied into this process. As long as any process holds them,
            nobody reading from the other end notices that the parent died.
        encoder: Encodes the samples.
        dataset: What is converted.
        indices: int64; the index in the dataset of each sample of the beton.
    """
    for other in inherited:
        other.close()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to the whole group; the parent decides
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # not a handler that the parent had installed
    torch.set_num_threads(1)
    cv2.setNumThreads(0)
    try:
        while (chunk := connection.recv()) is not None:
            for part in encoder.encode_chunk(dataset, indices, *chunk):
                connection.send(part)
    except (EOFError, BrokenPipeError, ConnectionResetError):
        return  # the parent is gone
    except Exception as error:
        message = str(error) if isinstance(error, ConversionError) else f"a worker failed: {describe_error(error)}"
        connection.send(Failure(message, "".join(traceback.format_exception(error))))
