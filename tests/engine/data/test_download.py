"""Downloads: continued where they broke off; what is missing is known before."""

import hashlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

from genui.base import paths
from genui.base.errors import GenuiError
from genui.engine.data import fashion, icons
from genui.engine.data.download import describe_download, fetch
from genui.engine.data.image_datasets import load_images
from genui.engine.data.preparation import Preparation, Report, say_nothing
from genui.engine.data.tables import dataset_named

BODY = bytes(range(256)) * 1000
SHA = hashlib.sha256(BODY).hexdigest()


class Server(ThreadingHTTPServer):
    """Sends BODY; a request may break off, and `ranges` may not be understood."""

    breaks_off = False
    ranges = True
    asked: list[str]


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        server = self.server
        assert isinstance(server, Server)
        wanted = self.headers.get("Range", "")
        server.asked.append(wanted)
        begin = int(wanted[6:-1]) if wanted and server.ranges else 0
        self.send_response(206 if begin else 200)
        self.send_header("Content-Length", str(len(BODY) - begin))
        self.end_headers()
        end = len(BODY) // 2 if server.breaks_off else len(BODY)
        self.wfile.write(BODY[begin:end])

    def log_message(self, format: str, *args: object) -> None: ...


@pytest.fixture
def server() -> Iterator[Server]:
    with Server(("127.0.0.1", 0), Handler) as server:
        server.asked = []
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def fetch_from(server: Server, report: Report = say_nothing) -> bytes:
    url = f"http://127.0.0.1:{server.server_port}/"
    return fetch("body.bin", url, SHA, report=report).read_bytes()


def break_off(server: Server) -> None:
    server.breaks_off = True
    with pytest.raises(GenuiError, match="broke off at 128,000 of 256,000 bytes"):
        fetch_from(server)
    server.breaks_off = False


def test_a_download_that_broke_off_is_continued(server: Server) -> None:
    break_off(server)
    seen: list[str] = []
    assert fetch_from(server, seen.append) == BODY
    assert server.asked == ["", "bytes=128000-"]
    assert seen[-1] == describe_download("body.bin", len(BODY), len(BODY))
    assert not list(paths.downloads_dir().glob("*.part"))


def test_a_server_that_cannot_continue_sends_all_of_it(server: Server) -> None:
    break_off(server)
    server.ranges = False
    assert fetch_from(server) == BODY


def test_a_beginning_of_another_file_is_downloaded_again(server: Server) -> None:
    paths.downloads_dir().mkdir(parents=True)
    (paths.downloads_dir() / "body.bin.part").write_bytes(b"something else")
    assert fetch_from(server) == BODY
    assert server.asked == ["bytes=14-", ""]


def test_progress_is_said_in_megabytes() -> None:
    assert describe_download("x.zip", 34_000_000, 80_000_000) == "downloading x.zip, 34 of 80 MB"
    assert describe_download("x.zip", 34_000_000, 0) == "downloading x.zip, 34 MB"


def test_what_must_be_downloaded_is_known_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fashion, "FOLDERS", ())
    monkeypatch.setattr(fashion, "check_reachable", lambda name, url: None)
    row = dataset_named("fashion")
    assert row is not None
    assert row.missing_bytes() == sum(fashion.BYTES.values())
    paths.downloads_dir().mkdir(parents=True)
    (paths.downloads_dir() / "train-images-idx3-ubyte.gz").touch()
    assert row.missing_bytes() == 4_456_765


def test_a_missing_font_is_known_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GENUI_EMOJI_FONT", "/no/such.ttf")
    row = dataset_named("emoji")
    assert row is not None
    with pytest.raises(GenuiError, match="no such file"):
        row.missing_bytes()
    monkeypatch.setattr(icons, "find_font", lambda: None)
    assert row.missing_bytes() == 0


def test_random_examples_stand_in_for_data_that_is_not_here() -> None:
    images = load_images("fashion", preparation=Preparation(is_trial=True))
    rng = np.random.default_rng(0)
    assert images.batch(images.train[:4], rng).rgb.shape == (4, 3, 32, 32)
    assert len(images.held_out)
