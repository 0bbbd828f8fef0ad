"""Workers and isolated calls read the files that they got open from their parent, each where it likes."""

import os
import subprocess
import sys
from contextlib import ExitStack

import numpy as np
import pytest

from ffcv_hydra.beton import Beton, write_beton
from ffcv_hydra.errors import ConversionError

pytestmark = [
    pytest.mark.timeout(60),
    pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="files are opened anew by way of /proc"),
]


class Records:
    """Reads numbers of 8 bytes, each by its index, from one file."""

    def __init__(self, path, flags=os.O_RDONLY):
        path.write_bytes(np.arange(4000, dtype="<u8").tobytes())
        self.file = os.open(path, flags)

    def __len__(self):
        return 4000

    def __getitem__(self, index):
        os.lseek(self.file, 8 * index, os.SEEK_SET)
        return (int.from_bytes(os.read(self.file, 8), "little"),)


class OwnRecords(Records):
    """Opens the file anew in each process, under the number that it had."""

    pid = os.getpid()

    def __getitem__(self, index):
        if self.pid != os.getpid():
            path, self.pid = os.readlink(f"/proc/self/fd/{self.file}"), os.getpid()
            own = os.open(path, os.O_RDONLY)
            os.dup2(own, self.file)
            os.close(own)
        return super().__getitem__(index)


@pytest.mark.parametrize("flags", [os.O_RDONLY, os.O_RDWR | os.O_NOFOLLOW])
@pytest.mark.parametrize("dataset_class", [Records, OwnRecords])
def test_F6_workers_read_a_common_file_at_positions_of_their_own(tmp_path, dataset_class, flags):
    dataset = dataset_class(tmp_path / "records", flags)
    with ExitStack() as others:
        for _ in range(120):  # more than once were looked after
            others.enter_context(open(tmp_path / "records", "rb"))
        for num_workers in (1, 4):
            write_beton(dataset, tmp_path / "a.beton", num_workers=num_workers)
            assert np.array_equal(Beton(tmp_path / "a.beton").metadata["f0"], np.arange(4000))
    os.close(dataset.file)


def test_F6_a_file_that_was_removed_is_still_read(tmp_path):
    dataset = Records(tmp_path / "records")
    (tmp_path / "records").unlink()
    write_beton(dataset, tmp_path / "a.beton", num_workers=2)
    assert np.array_equal(Beton(tmp_path / "a.beton").metadata["f0"], np.arange(4000))
    os.close(dataset.file)


def test_F6_a_file_that_cannot_be_opened_anew_is_an_error_where_it_is_read(tmp_path, monkeypatch):
    dataset, opened = Records(tmp_path / "records"), os.open

    def refuse(path, *arguments, **options):
        if path == f"/proc/self/fd/{dataset.file}":
            raise PermissionError(13, "Permission denied", path)
        return opened(path, *arguments, **options)

    monkeypatch.setattr(os, "open", refuse)
    write_beton([(n,) for n in range(9)], tmp_path / "b.beton", num_workers=2)  # it matters to nobody else
    with pytest.raises(ConversionError, match="sample 0: the dataset raised OSError: .*Bad file descriptor"):
        write_beton(dataset, tmp_path / "a.beton", num_workers=2)
    os.close(dataset.file)


COMMON_STREAMS = """
import os, sys, tempfile
from ffcv_hydra.beton.writing.isolated import run_isolated

with (
    tempfile.TemporaryFile(dir=sys.argv[1]) as stream,
    open(sys.argv[1] + "/plain", "wb+", buffering=0) as plain,
    open(sys.argv[1] + "/log", "a+") as log,
):
    os.dup2(stream.fileno(), 1)

    def work(send):
        os.write(stream.fileno(), b"child ")
        plain.write(b"child ")
        log.write("child ")
        log.flush()

    run_isolated(work, 30)
    os.write(1, b"parent")
    log.write("parent")
    log.flush()
    stream.seek(0)
    assert stream.read() == b"child parent"
    assert plain.tell() == 0
"""


def test_logs_and_standard_streams_stay_common(tmp_path):
    # In a process of its own: thread pools that other tests have started write to stdout when a process forks.
    subprocess.run([sys.executable, "-c", COMMON_STREAMS, str(tmp_path)], check=True, timeout=50)
    assert (tmp_path / "log").read_text() == "child parent"
