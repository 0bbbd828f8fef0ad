"""An HTTP server that the tests make fail, and a store that is slow."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import fsspec
from fsspec.implementations.local import LocalFileSystem


class Server(ThreadingHTTPServer):
    """Serves the files of a folder.

    Attributes:
        gets: paths that were got, in their order.
        faults: what becomes of the next ones: a status, "short", "cut", or "stall"; of a path, or "" for any.
    """

    daemon_threads = True

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.folder = folder
        self.gets: list[str] = []
        self.heads: list[str] = []
        self.faults: list[tuple[str, int | str]] = []
        self.going_on = threading.Event()
        self.authorizations: set[str | None] = set()
        self.without_lengths = False

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    server: Server

    def log_message(self, *_: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self.server.heads.append(self.path)
        self._answer(is_get=False)

    def do_GET(self) -> None:
        self.server.gets.append(self.path)
        self._answer(is_get=True)

    def _answer(self, is_get: bool) -> None:
        self.server.authorizations.add(self.headers.get("Authorization"))
        fault: int | str | None = None
        for number, (path, kind) in enumerate(self.server.faults):
            if path in self.path and (is_get or isinstance(kind, int)):
                fault = kind
                del self.server.faults[number]
                break
        file = self.server.folder / self.path.partition("?")[0].lstrip("/")
        if isinstance(fault, int) or not file.is_file():
            self.send_error(fault if isinstance(fault, int) else 404)
            return
        content = file.read_bytes()
        self.send_response(200)
        self.send_header("ETag", f'"{hash(content)}"')
        if fault != "short" and not self.server.without_lengths:
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if is_get:
            self.wfile.write(content[: len(content) // 2] if fault else content)
            self.wfile.flush()
        if fault == "stall":
            self.server.going_on.wait(60)


@contextmanager
def serving(folder: Path) -> Iterator[Server]:
    """A server of a folder's files."""
    server = Server(folder)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        server.going_on.set()
        server.shutdown()
        thread.join()
        server.server_close()


class SlowFileSystem(LocalFileSystem):
    """Files that come in 20 parts, 2 ms after each other; each download is a line in a log beside them."""

    protocol = "slow"

    def __init__(self, **options):
        super().__init__(auto_mkdir=True, **options)

    def get_file(self, path1, path2, callback=None, **kwargs):
        source = Path(self._strip_protocol(path1))
        with open(source.with_suffix(".log"), "a") as log:
            log.write("began\n")
        content = source.read_bytes()
        with open(path2, "wb", buffering=0) as file:
            for part in range(20):
                file.write(content[len(content) * part // 20 : len(content) * (part + 1) // 20])
                time.sleep(0.002)


fsspec.register_implementation("slow", SlowFileSystem, clobber=True)
