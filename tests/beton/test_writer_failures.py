"""What goes wrong during a conversion: an error that names the sample, no file, no process left."""

import faulthandler
import multiprocessing
import os
import re
import signal
import subprocess
import sys
import textwrap
import threading

import numpy as np
import pytest
import torch

from ffcv_hydra.beton import Beton, write_beton
from ffcv_hydra.beton.fields.bytes_fields import BytesField
from ffcv_hydra.errors import ConversionError

pytestmark = pytest.mark.timeout(60)
KEPT = {"a.beton.partial", "a.beton.partial.journal"}
WORKERS = pytest.mark.parametrize("num_workers", [0, 2])


class Failing:
    """Ints from 0 to 199; sample 117 does `fail`."""

    def __init__(self, fail):
        self.fail = fail

    def __len__(self):
        return 200

    def __getitem__(self, index):
        return self.fail(index) if index == 117 else (index,)


def convert(tmp_path, fail, num_workers=2):
    with pytest.raises(ConversionError) as caught:
        write_beton(Failing(fail), tmp_path / "a.beton", num_workers=num_workers, chunksize=10)
    assert set(os.listdir(tmp_path)) <= KEPT
    assert multiprocessing.active_children() == []
    assert "\n" not in str(caught.value)
    return caught.value


def raise_error(index):
    raise ValueError("corrupt\nfile")


@WORKERS
def test_W1_raising_sample_names_index_and_cause(tmp_path, num_workers):
    error = convert(tmp_path, raise_error, num_workers)
    place = rf"tests/beton/test_writer_failures\.py:{raise_error.__code__.co_firstlineno + 1}"
    assert re.fullmatch(rf"sample 117: the dataset raised ValueError: corrupt file \({place}\)", str(error))


def test_W1_a_workers_traceback_is_attached(tmp_path):
    assert "in raise_error" in "".join(convert(tmp_path, raise_error).__notes__)


@pytest.mark.parametrize(
    ("fail", "how"),
    [
        (lambda index: os._exit(3), "(exit status 3); look"),
        (lambda index: os.kill(os.getpid(), signal.SIGKILL), "(killed by SIGKILL); if memory ran out, use fewer"),
        (lambda index: os.kill(os.getpid(), signal.SIGRTMIN + 3), f"(killed by signal {signal.SIGRTMIN + 3}); look"),
    ],
)
def test_W1_worker_that_dies_names_its_samples(tmp_path, fail, how):
    error = convert(tmp_path, fail)
    assert f"a worker process ended while it converted samples 110 to 119 {how}" in str(error)


def test_F23_a_mapped_source_that_is_cut_short_is_told_as_that(tmp_path, tmp_path_factory):
    path = tmp_path_factory.mktemp("source") / "numbers"
    path.write_bytes(bytes(1 << 20))
    mapped = np.memmap(path, np.uint8, "r")

    def read_what_is_cut(index):
        faulthandler.disable()  # pytest's, which would print where it died
        os.truncate(path, 0)
        return (int(mapped[-1]),)

    error = str(convert(tmp_path, read_what_is_cut))
    assert "(killed by SIGBUS: a file that was being read was cut short, or its disk failed); look at these" in error


class Wordless(Exception):
    def __str__(self):
        raise RuntimeError("no words")

    __repr__ = __str__

    def __reduce__(self):
        raise TypeError("cannot be pickled")


class Abort(BaseException):
    """As the panics of packages in Rust are."""


ODD_ERRORS = {
    "wordless": (Wordless(), r"Wordless: \(its text cannot be had: __str__ raised RuntimeError\)"),
    "long": (ValueError("x" * 20_000_000), r"ValueError: x{500}\.\.\."),
    "many lines": (ValueError("a\n\n\tb\r\nc"), "ValueError: a b c"),
    "group": (
        ExceptionGroup("two", [KeyError("k"), ValueError()]),
        r"ExceptionGroup: two \(2 sub-exceptions\), the first of which is KeyError: 'k'",
    ),
    "exit": (SystemExit(0), "SystemExit: 0"),
    "abort": (Abort("panicked"), "Abort: panicked"),
    "closed": (GeneratorExit(), "GeneratorExit"),
    "stop": (StopIteration(3), "StopIteration: 3"),
}


@WORKERS
@pytest.mark.parametrize("name", ODD_ERRORS)
def test_F36_any_exception_is_one_short_line_that_names_the_sample(tmp_path, name, num_workers):
    error, text = ODD_ERRORS[name]

    def fail(index):
        raise error

    found = convert(tmp_path, fail, num_workers)
    assert re.fullmatch(rf"sample 117: the dataset raised {text} \(\S+\.py:\d+\)", str(found))
    assert len("".join(getattr(found, "__notes__", ""))) < 30_000


def test_F36_an_interrupt_that_no_user_sent_names_its_sample(tmp_path):
    def fail(index):
        raise KeyboardInterrupt

    assert str(convert(tmp_path, fail)).startswith("sample 117: the dataset raised KeyboardInterrupt (")


@WORKERS
def test_F36_an_exception_in_a_fields_encode_is_one_short_line_too(tmp_path, num_workers):
    class Failing(BytesField):
        def encode(self, destination, value, malloc):
            raise Wordless

    with pytest.raises(ConversionError, match=r"^sample 0, field 'data': Wordless: \(its text cannot be had"):
        write_beton([(1,)] * 20, tmp_path / "a.beton", {"data": Failing()}, num_workers=num_workers, chunksize=5)


def test_W1_a_dead_worker_is_noticed_though_its_child_holds_the_pipe(tmp_path, tmp_path_factory):
    noted = tmp_path_factory.mktemp("pids") / "pid"

    def leave_a_child(index):
        child = os.fork()
        if child == 0:
            signal.pause()
        noted.write_text(str(child))
        os._exit(3)

    try:
        assert "(exit status 3)" in str(convert(tmp_path, leave_a_child))
    finally:
        os.kill(int(noted.read_text()), signal.SIGKILL)


def test_W1_error_in_encode_names_index_field_and_cause(tmp_path):
    dataset = [({"a": 1}, 0)] * 30 + [({"a": np.float32(1)}, 0)]
    with pytest.raises(ConversionError, match="sample 30, field 'json': TypeError: .*float32 is not JSON serializable"):
        write_beton(dataset, tmp_path / "a.beton", num_workers=2, chunksize=5)
    assert set(os.listdir(tmp_path)) <= KEPT


@WORKERS
@pytest.mark.parametrize("item", [np.zeros(3), [1], {"a": 1}, 5, None])
def test_W3_item_that_is_no_tuple_names_its_index(tmp_path, item, num_workers):
    assert f"sample 117: expected a tuple, got {type(item).__name__}" in str(
        convert(tmp_path, lambda index: item, num_workers)
    )


@WORKERS
def test_W3_W12_tuple_of_another_length_names_its_index(tmp_path, num_workers):
    assert str(convert(tmp_path, lambda index: (1, 2), num_workers)) == "sample 117: expected 1 items, got 2"


def test_W3_short_tuples_are_refused(tmp_path):
    with pytest.raises(ConversionError, match="sample 17: expected 2 items, got 1"):
        write_beton([(1, 2)] * 17 + [(1,)], tmp_path / "a.beton", num_workers=1)


@pytest.mark.parametrize("value", [1.5, "text", None, np.zeros(3), torch.zeros(3)])
def test_W12_item_of_another_type_names_index_and_field(tmp_path, value):
    assert "sample 117, field 'int': expected an int, got " in str(convert(tmp_path, lambda index: (value,)))


def test_the_first_sample_is_named_as_well(tmp_path):
    with pytest.raises(ConversionError, match="sample 117: the dataset raised ValueError"):
        write_beton(Failing(raise_error), tmp_path / "a.beton", indices=[117])


@pytest.mark.parametrize("dataset", [[], torch.utils.data.TensorDataset(torch.zeros(0))])
def test_an_empty_dataset_is_refused(tmp_path, dataset):
    with pytest.raises(ConversionError, match="the dataset is empty"):
        write_beton(dataset, tmp_path / "a.beton")


def test_what_is_no_dataset_is_refused(tmp_path):
    with pytest.raises(ConversionError, match="int has no length and cannot be iterated"):
        write_beton(5, tmp_path / "a.beton")


@WORKERS
def test_W2_ctrl_c_leaves_no_beton_and_no_process(tmp_path, num_workers):
    reached = tmp_path / "reached"
    parent = os.getpid()

    def interrupt(index):
        reached.touch()
        os.kill(parent, signal.SIGINT)
        threading.Event().wait(30)
        return (index,)

    with pytest.raises(KeyboardInterrupt):
        write_beton(Failing(interrupt), tmp_path / "out" / "a.beton", num_workers=num_workers, chunksize=10)
    assert reached.exists()
    assert set(os.listdir(tmp_path / "out")) <= KEPT
    assert multiprocessing.active_children() == []


@pytest.mark.timeout(150)
def test_ctrl_c_in_a_terminal_is_the_parents_alone(tmp_path):
    result = run_script(
        tmp_path,
        """
        import os, signal, threading
        from ffcv_hydra.beton import write_beton

        class Interrupting:
            def __len__(self):
                return 1000
            def __getitem__(self, index):
                if index == 500:
                    os.killpg(0, signal.SIGINT)
                    threading.Event().wait(30)
                return (index,)

        os.setpgrp()
        try:
            write_beton(Interrupting(), "out/a.beton", num_workers=2, chunksize=10)
        except KeyboardInterrupt:
            print("interrupted")
        """,
    )
    assert (result.returncode, result.stdout, result.stderr) == (0, "interrupted\n", "")
    assert set(os.listdir(tmp_path / "out")) <= KEPT


def test_a_failed_conversion_leaves_the_old_file(tmp_path):
    write_beton([(1,)], tmp_path / "a.beton", num_workers=0)
    with pytest.raises(ConversionError):
        write_beton(Failing(raise_error), tmp_path / "a.beton", num_workers=0)
    assert set(os.listdir(tmp_path)) == {"a.beton", *KEPT}
    assert Beton(tmp_path / "a.beton").num_samples == 1


def test_a_path_that_cannot_be_written_is_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    for path, reason in [(tmp_path / "file" / "a.beton", "cannot write"), (tmp_path, "it is a directory")]:
        with pytest.raises(ConversionError, match=reason) as caught:
            write_beton([(1,)], path, num_workers=0)
        assert "\n" not in str(caught.value)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_directory_without_permission_is_one_line(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(ConversionError, match="cannot write .*: Permission denied"):
        write_beton([(1,)], tmp_path / "a.beton", num_workers=0)


def run_script(tmp_path, script):
    """Run a Python script as a user would; returns the finished process."""
    path = tmp_path / "script.py"
    path.write_text(textwrap.dedent(script))
    return subprocess.run([sys.executable, str(path)], cwd=tmp_path, capture_output=True, text=True, timeout=120)


@pytest.mark.timeout(150)
def test_W2_a_full_disk_is_one_line_and_leaves_nothing(tmp_path):
    result = run_script(
        tmp_path,
        """
        import resource
        import numpy as np
        from ffcv_hydra.beton import write_beton
        resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))
        write_beton([(np.zeros(1000, np.uint8),)] * 9000, "out/a.beton", num_workers=2)
        """,
    )
    assert "ConversionError: cannot write out/a.beton: File too large" in result.stderr
    assert os.listdir(tmp_path / "out") == []


@pytest.mark.timeout(150)
def test_W1_workers_end_when_the_parent_is_killed(tmp_path):
    result = run_script(
        tmp_path,
        """
        import os, signal, threading
        from ffcv_hydra.beton import write_beton

        class Slow:
            def __len__(self):
                return 1000
            def __getitem__(self, index):
                if os.getpid() != parent:
                    with open("pids", "a") as file:
                        print(os.getpid(), file=file)
                    if index == 500:
                        os.kill(parent, signal.SIGKILL)
                        signal.pause()  # as one does that reads from a dead network drive
                return (index,)

        parent = os.getpid()
        write_beton(Slow(), "a.beton", num_workers=3, chunksize=10)
        """,
    )
    assert result.returncode == -signal.SIGKILL
    pids = {int(line) for line in (tmp_path / "pids").read_text().split()}
    assert pids
    waited = threading.Event()
    while any(os.path.exists(f"/proc/{pid}") and not is_zombie(pid) for pid in pids):  # the test's timeout ends this
        waited.wait(0.05)
    assert not (tmp_path / "a.beton").exists()


def is_zombie(pid):
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rsplit(")", 1)[1].split()[0] == "Z"
    except FileNotFoundError:
        return True


@pytest.mark.parametrize("length", [-3, 4.5, None, 2**70])
def test_a_length_that_is_no_number_of_items_is_named(tmp_path, length):
    class Odd:
        def __len__(self):
            return length

        def __getitem__(self, index):
            return (index,)

    with pytest.raises(ConversionError, match=r"Odd\.__len__ gives no number of items: (Type|Value|Overflow)Error"):
        write_beton(Odd(), tmp_path / "a.beton")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "option", [{"num_workers": "2"}, {"num_workers": -2}, {"chunksize": 0}, {"chunksize": 1.5}], ids=str
)
def test_impossible_numbers_are_named(tmp_path, option):
    with pytest.raises(ConversionError, match=f"{next(iter(option))} is a whole number of at least"):
        write_beton([(1,)], tmp_path / "a.beton", **option)
