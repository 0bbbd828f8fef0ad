import threading
from multiprocessing import Pipe

import numpy as np
import pytest

from ffcv_hydra.beton.tables import Tables
from ffcv_hydra.beton.writing.encoding import Part
from ffcv_hydra.beton.writing.source import PortionEnd
from ffcv_hydra.beton.writing.transport import receive, send


def part(num_bytes):
    tables = Tables(
        records=np.arange(16, dtype=np.uint8).reshape(1, 16),
        locations=np.array([8]),
        sizes=np.array([num_bytes], dtype=np.uint64),
        checksums=np.array([5], dtype=np.uint64),
        warnings=("a line",),
    )
    return Part(tables, np.random.default_rng(0).integers(0, 256, num_bytes, dtype=np.uint8).tobytes())


def test_parts_of_any_size_and_other_messages_arrive_in_their_order():
    ours, theirs = Pipe()
    sent = [part(0), PortionEnd(), part(1), part(3_000_000), "a failure", PortionEnd()]
    thread = threading.Thread(target=lambda: [send(theirs, message) for message in sent])
    thread.start()
    received = [receive(ours) for _ in sent]
    thread.join()
    for before, after in zip(sent, received, strict=True):
        if not isinstance(before, Part):
            assert after == before
            continue
        assert after.data == before.data and after.tables.warnings == before.tables.warnings
        assert before.tables.begins(after.tables) and after.tables.begins(before.tables)
    for end in (ours, theirs):
        end.close()


def test_an_end_that_is_closed_in_the_middle_of_a_part_is_noticed():
    ours, theirs = Pipe()
    message = part(1_000_000)  # more than fits into the pipe

    def send_and_break():
        with pytest.raises(BrokenPipeError):
            send(theirs, message)

    thread = threading.Thread(target=send_and_break)
    thread.start()
    beginning = ours.recv_bytes()
    ours.close()
    thread.join()
    theirs.close()
    ours, theirs = Pipe()
    theirs.send_bytes(beginning)
    theirs.close()
    with pytest.raises(EOFError):
        receive(ours)
    ours.close()
