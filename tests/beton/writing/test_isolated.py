import os
import threading

import pytest

from ffcv_hydra.beton.writing.isolated import run_isolated

pytestmark = pytest.mark.timeout(60)


def test_an_isolated_call_ends_when_its_time_is_up():
    def work(send):
        send(1)
        threading.Event().wait()

    assert run_isolated(work, 0.2) == ([1], True)
    assert run_isolated(lambda send: send("done"), 30) == (["done"], False)
    assert run_isolated(lambda send: os._exit(1), 30) == ([], False)


def test_F6_an_isolated_call_leaves_files_alone_that_others_read_and_close(tmp_path):
    path = tmp_path / "bytes"
    path.write_bytes(bytes(range(100)))
    with open(path, "rb", buffering=0) as file, open(path, "rb") as closed:
        file.seek(10)
        result = []

        def work(send):
            send((file.read(1)[0], file.tell()))
            closed.read()
            with open(ours, "w") as pipe:  # until the other thread has had its turn
                pipe.write("go on")

        os.mkfifo(ours := tmp_path / "pipe")

        def read():
            with open(ours) as pipe:
                pipe.read()
            result.append(file.read(30)[0])
            closed.close()

        other = threading.Thread(target=read)
        other.start()
        assert run_isolated(work, 30) == ([(10, 11)], False)
        other.join()
        assert (result, file.tell()) == ([10], 40)
