"""The page in a real browser: it renders, in light and dark, runs nobody's code, and asks nobody for anything."""

import shutil
import socket
import subprocess
import threading

import numpy as np
import pytest
from PIL import Image

from ffcv_hydra.report import write_report

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = [pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium"), pytest.mark.timeout(180)]

MARKUP = "<script>document.title='owned'</script><img src=http://evil.example/x onerror=\"document.title='owned'\">"


@pytest.fixture
def proxy():
    """A port to which all of the browser's requests go, and what was asked for there."""
    asked = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def listen():
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                with connection:
                    asked.append(connection.recv(4096))

        threading.Thread(target=listen, daemon=True).start()
        yield server.getsockname()[1], asked
        server.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def browse(tmp_path, proxy):
    def run(page, *options):
        profile = tmp_path / "profile"
        profile.mkdir(exist_ok=True)
        command = [
            CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
            "--disable-background-networking", "--disable-component-update", "--disable-sync", "--hide-scrollbars",
            f"--user-data-dir={profile}", f"--proxy-server=127.0.0.1:{proxy[0]}", *options, page.as_uri(),
        ]  # fmt: skip
        return subprocess.run(command, check=True, capture_output=True, timeout=120).stdout.decode()

    return run


def test_it_renders_and_runs_nobodys_code(make_run, evaluation, photos, browse, proxy, tmp_path):
    found = evaluation(names=[MARKUP] * 4, betons=[photos])
    found["evaluations"]["val"]["mistakes"][0]["name"] = MARKUP
    page = write_report(make_run(config={"note": MARKUP}, result={"error": MARKUP, "status": "failed"}, found=found))
    document = browse(page, "--dump-dom")
    assert "<title>photos, run</title>" in document
    assert document.count("<svg") == 4 and document.count('<img src="data:') == 8
    assert "&lt;script&gt;" in document and "<script" not in document
    assert not [request for request in proxy[1] if b"evil.example" in request]

    shots = {}
    for scheme, value in (("light", 1), ("dark", 0)):
        picture = tmp_path / f"{scheme}.png"
        browse(
            page, f"--screenshot={picture}", "--window-size=1000,3000", f"--blink-settings=preferredColorScheme={value}"
        )
        shots[scheme] = np.asarray(Image.open(picture).convert("L"), dtype=np.float64)
    assert shots["light"][0, 0] == 255 and shots["dark"][0, 0] < 40
    assert all(shot[:1500].std() > 10 for shot in shots.values())


def test_markup_that_slipped_through_would_do_nothing(make_run, browse, proxy, monkeypatch):
    """The page's policy forbids what escaping should have made harmless."""
    monkeypatch.setattr("ffcv_hydra.report.markup.escape", lambda text: text)
    document = browse(write_report(make_run(result={"error": MARKUP, "status": "failed"})), "--dump-dom")
    assert "<script>" in document and "<title>photos, run</title>" in document
    assert not [request for request in proxy[1] if b"evil.example" in request]
