"""What a conversion worker does: gets portions, sends parts."""

from __future__ import annotations

import signal
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection

from ffcv_hydra.beton.writing.encoding import SampleEncoder
from ffcv_hydra.beton.writing.own_positions import take_own_positions
from ffcv_hydra.beton.writing.source import PortionEnd, Source
from ffcv_hydra.beton.writing.transport import send
from ffcv_hydra.errors import MAX_TEXT, ConversionError, describe_error
from ffcv_hydra.loaded_torch import use_one_thread
from ffcv_hydra.parent_death import die_with

MAX_TRACEBACK = 20_000  # characters, from its end


@dataclass(frozen=True)
class Failure:
    """Why a worker gave up: one line for the user, and the worker's traceback."""

    message: str
    traceback: str


def work(
    connection: Connection,
    inherited: Sequence[Connection],
    parent: int,
    encoder: SampleEncoder,
    source: Source,
) -> None:
    """Encode the portions that `connection` asks for, until it says None or the parent is gone.

    Args:
        connection: Receives numbers of portions, sends `Part`s and a `PortionEnd` for each, and a `Failure` as the last
            word if something fails; all as `receive` takes it.
        inherited: The parent's pipe ends that fork copied into this process. As long as any process holds them,
            nobody reading from the other end notices that the parent died.
        parent: The id of the process whose death ends this one.
        encoder: Encodes the samples.
        source: What is converted.
    """
    die_with(parent)
    for other in inherited:
        other.close()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to the whole group; the parent decides
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # not a handler that the parent had installed
    use_one_thread()
    try:
        take_own_positions()
        while (portion := connection.recv()) is not None:
            for part in source.encode(encoder, portion):
                send(connection, part)
            connection.send(PortionEnd())
    except (EOFError, BrokenPipeError, ConnectionResetError):
        return  # the parent is gone
    except BaseException as error:
        message = str(error) if isinstance(error, ConversionError) else f"a worker failed: {describe_error(error)}"
        lines = [line[:MAX_TEXT] for line in traceback.format_exception(error)]
        connection.send(Failure(message, "".join(lines)[-MAX_TRACEBACK:]))
