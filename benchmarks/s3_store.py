"""An S3 server on this machine, and a way to it that is as long and as narrow as one to a distant store."""

import asyncio
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

BUCKET = "bucket"
_PIECE = 1 << 16  # bytes
_PIECES_UNDER_WAY = 1024
_SERVER = """
import logging, sys
from moto.server import ThreadedMotoServer
logging.getLogger("werkzeug").setLevel(logging.ERROR)
server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
server.start()
print("http://%s:%d" % server.get_host_and_port(), flush=True)
sys.stdin.read()
server.stop()
"""


@contextmanager
def s3_server() -> Iterator[str]:
    """The endpoint of a store that has nothing in it, in a process of its own."""
    command = [sys.executable, "-c", _SERVER]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield process.stdout.readline().strip()


@contextmanager
def distant(endpoint: str, latency: float, bytes_per_second: float) -> Iterator[str]:
    """The endpoint of the same store, farther away.

    Args:
        endpoint: `http://HOST:PORT`.
        latency: seconds from a request to its answer, beyond what the store takes.
        bytes_per_second: of answers, over all connections together.
    """
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    link = _Link(endpoint, latency / 2, bytes_per_second)
    server = asyncio.run_coroutine_threadsafe(asyncio.start_server(link.connect, "127.0.0.1", 0), loop).result()
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        asyncio.run_coroutine_threadsafe(_end(server), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


class _Link:
    def __init__(self, endpoint: str, delay: float, bytes_per_second: float) -> None:
        self._host, _, port = endpoint.removeprefix("http://").partition(":")
        self._port, self._delay, self._bytes_per_second = int(port), delay, bytes_per_second
        self._free_at = 0.0

    async def connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        from_store, to_store = await asyncio.open_connection(self._host, self._port)
        await asyncio.gather(self._pass(reader, to_store, False), self._pass(from_store, writer, True))

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, is_answer: bool) -> None:
        clock = asyncio.get_running_loop().time
        pieces: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(_PIECES_UNDER_WAY)

        async def deliver() -> None:
            while piece := (arrival := await pieces.get())[1]:
                await asyncio.sleep(arrival[0] - clock())
                writer.write(piece)
                await writer.drain()
            writer.close()

        async def send() -> None:
            piece = b"any"
            while piece:
                piece = await reader.read(_PIECE)
                sent = clock()
                if is_answer:
                    self._free_at = sent = max(sent, self._free_at) + len(piece) / self._bytes_per_second
                await pieces.put((sent + self._delay, piece))

        await asyncio.gather(send(), deliver(), return_exceptions=True)  # one side is gone: so is the connection


async def _end(server: asyncio.Server) -> None:
    server.close()
    here = asyncio.current_task()
    others = [task for task in asyncio.all_tasks() if task is not here]
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
