"""What a conversion may write to, and what it refuses."""

import os
import socket
import sys
from pathlib import Path

import numpy as np
import pytest

from ffcv_hydra import FFCVPipelineManager, Loader, create_beton_wrapper
from ffcv_hydra.beton import Beton, write_beton
from ffcv_hydra.beton.tables import Tables
from ffcv_hydra.beton.writing.partial import Partial
from ffcv_hydra.conversion import convert
from ffcv_hydra.errors import BetonError, ConversionError

DATASET = [(number,) for number in range(5)]


def write(path):
    return write_beton(DATASET, path, num_workers=0)


@pytest.mark.parametrize("exists", [True, False])
def test_F22_a_symbolic_link_is_written_through(tmp_path, exists):
    target, link = tmp_path / "disk" / "real.beton", tmp_path / "a.beton"
    target.parent.mkdir()
    if exists:
        target.write_bytes(b"old")
    link.symlink_to("disk/real.beton")
    assert write(link).path == link
    assert link.is_symlink()
    assert Beton(target).num_samples == len(DATASET)
    assert os.listdir(target.parent) == ["real.beton"]


def make(path, kind):
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "socket":
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(path))
    elif kind == "directory":
        path.mkdir()
    elif kind == "link to a device":
        path.symlink_to("/dev/null")
    elif kind == "link to itself":
        path.symlink_to(path.name)
    elif kind == "link":
        path.symlink_to("precious")
    elif kind == "second name":
        path.hardlink_to(path.parent / "precious")


@pytest.mark.parametrize("kind", ["pipe", "socket", "directory", "link to a device", "link to itself"])
def test_F22_what_is_no_file_is_refused_as_target(tmp_path, kind, monkeypatch):
    monkeypatch.chdir(tmp_path)  # the name of a socket is short
    make(Path("a.beton"), kind)
    before = os.lstat("a.beton")
    with pytest.raises(ConversionError, match=r"cannot write a\.beton: (it is a .*; name a file|Too many levels)"):
        write(Path("a.beton"))
    assert os.lstat("a.beton").st_ino == before.st_ino
    with pytest.raises(BetonError, match=r"^/.*/a\.beton: (is a |cannot be read: Too many levels)"):
        Beton("a.beton")
    assert os.listdir(tmp_path) == ["a.beton"]


@pytest.mark.parametrize("suffix", [".partial", ".partial.journal"])
@pytest.mark.parametrize("kind", ["pipe", "socket", "directory", "link", "second name"])
def test_F22_what_is_somebodys_is_not_written_over_as_unfinished(tmp_path, kind, suffix, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("precious").write_bytes(b"precious")
    make(Path(f"a.beton{suffix}"), kind)
    with pytest.raises(ConversionError, match=rf"^cannot write a\.beton{suffix}: it is no plain file.*; remove it$"):
        write(Path("a.beton"))
    assert Path("precious").read_bytes() == b"precious"
    assert os.path.lexists(f"a.beton{suffix}")


@pytest.mark.skipif(os.geteuid() != 0, reason="gives a file to another user")
def test_F22_another_users_unfinished_file_is_refused_where_all_may_write(tmp_path):
    tmp_path.chmod(0o777)
    (tmp_path / "a.beton.partial").write_bytes(b"")
    os.chown(tmp_path / "a.beton.partial", 12345, 12345)
    with pytest.raises(ConversionError, match="it is another user's; remove it"):
        write(tmp_path / "a.beton")


def test_F22_a_tilde_is_the_home_folder_everywhere(tmp_path, monkeypatch):
    (tmp_path / "home").mkdir()
    (tmp_path / "work").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path / "work")
    write("~/a.beton")
    assert convert(DATASET, "~/a.beton") is None  # kept
    create_beton_wrapper(DATASET, "~/b.beton", num_workers=0)
    assert sorted(os.listdir(tmp_path / "home")) == ["a.beton", "b.beton"]
    assert Beton("~/a.beton").num_samples == len(Loader("~/a.beton", 1)) == len(DATASET)
    assert FFCVPipelineManager("~/b.beton", None) is not None
    assert os.listdir(tmp_path / "work") == []


def portion(number):
    """Tables of one sample, whose bytes are the number."""
    none = np.empty(0, dtype=np.uint64)
    return Tables(np.full((1, 4), number, np.uint8), none.astype(np.int64), none, none)


def write_portions(partial, until):
    try:
        sys.settrace(until)
        for number in range(2):
            partial.add(portion(number))
            partial.end_portion()
    except KeyboardInterrupt:
        partial.commit()  # as who writes does
    finally:
        sys.settrace(None)


def test_ctrl_c_at_any_instruction_leaves_whole_portions_and_none_twice(tmp_path, monkeypatch):
    monkeypatch.setattr("ffcv_hydra.beton.writing.partial.COMMIT_SECONDS", -1.0)  # at each end of a portion
    monkeypatch.setattr("ffcv_hydra.beton.writing.partial.COMMIT_SHARE", 0)
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)
    count = 0

    def interrupt(frame, event, argument):
        nonlocal count
        if Path(frame.f_code.co_filename).name not in ("partial.py", "journal.py"):
            return None
        frame.f_trace_opcodes = True
        if event == "opcode":
            count -= 1
            if count == 0:
                raise KeyboardInterrupt
        return interrupt

    for instruction in range(1, 10_000):
        count = instruction
        path = tmp_path / f"{instruction}.beton"
        with Partial.locked(path) as partial:
            partial.open(b"f" * 32, 4, resume=True)
            write_portions(partial, interrupt)
        with Partial.locked(path) as partial:
            entries = partial.open(b"f" * 32, 4, resume=True)
            found = [int(number) for entry in entries for number in entry.tables.records[:, 0]]
            assert found == list(range(entries[-1].num_portions if entries else 0)), instruction
            partial.discard()
        if count > 0:
            break
    assert found == [0, 1]
    assert instruction > 200
