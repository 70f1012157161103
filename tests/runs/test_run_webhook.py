"""Alerts over HTTP, to a server of the test's own."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from run_makers import a_run

from genui.base.config import Config
from genui.base.errors import GenuiError, MisuseError
from genui.cli.main import main
from genui.runs import webhook
from genui.runs.writer import RunWriter

received: list[tuple[str, bytes]] = []


class Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        received.append((self.path, body))
        self.send_response(404 if self.path == "/gone" else 200)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[str]:
    received.clear()
    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.mark.parametrize(
    ("service", "body"),
    [("ntfy", b"icons: finished"), ("text", b'{"text":"icons: finished"}'),
     ("auto", b'{"text":"icons: finished"}'), ("discord", b'{"content":"icons: finished"}')],
)  # fmt: skip
def test_each_service_gets_the_text_as_it_takes_it(server: str, service: str, body: bytes) -> None:
    config = Config(alert_url=f"{server}/secret", alert_service=service)  # type: ignore[arg-type]
    webhook.post(config, "icons: finished")
    assert received == [("/secret", body)]


def test_a_server_that_refuses_is_one_line_without_the_secret(server: str) -> None:
    with pytest.raises(GenuiError, match="the server answers 404") as refused:
        webhook.post(Config(alert_url=f"{server}/gone"), "x")
    assert "/gone" not in str(refused.value)
    with pytest.raises(GenuiError, match=r"alert_url at 127\.0\.0\.1: "):
        webhook.post(Config(alert_url="http://127.0.0.1:1/gone"), "x")
    for address in ("file:///etc/passwd", "http://[x"):
        with pytest.raises(MisuseError, match="https://"):
            webhook.post(Config(alert_url=address), "x")
    with pytest.raises(GenuiError, match="InvalidURL") as refused:
        webhook.post(Config(alert_url=f"{server}/a secret"), "x")
    assert "secret" not in str(refused.value)


@contextmanager
def answering(reply: bytes, pause: float = 0.0) -> Iterator[str]:
    """The address of a server that sends these bytes, one each `pause` seconds if given."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            with suppress(OSError):
                while True:
                    connection, _ = server.accept()
                    with connection, suppress(OSError):
                        connection.recv(65536)
                        for at in range(len(reply)) if pause else [0]:
                            connection.sendall(reply[at : at + 1] if pause else reply)
                            time.sleep(pause)

        threading.Thread(target=serve, daemon=True).start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}/secret"


def refusal(reply: bytes, pause: float = 0.0) -> str:
    """What is said of a server that sends this."""
    with answering(reply, pause) as address, pytest.raises(GenuiError) as refused:
        webhook.post(Config(alert_url=address), "x")
    assert "secret" not in str(refused.value)
    return str(refused.value)


def test_a_redirect_is_refused_and_the_other_host_is_not_asked(server: str) -> None:
    for status in (b"301 Moved", b"302 Found", b"307 Again"):
        reply = b"HTTP/1.1 %s\r\nLocation: %s/other\r\n\r\n" % (status, server.encode())
        line = refusal(reply)
        assert status.decode() in line
        assert "does not follow" in line
    assert received == []


def test_a_server_that_drips_has_one_deadline_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhook, "_TIMEOUT", 0.5)
    head = b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 10_000
    assert refusal(head, pause=0.05) == "alert_url at 127.0.0.1: no answer within 0.5 s"


def test_what_a_server_says_is_one_clean_line() -> None:
    line = refusal(b"HTTP/1.1 500 \x1b[31mbad\x07\r\n\r\n")
    assert line == "alert_url at 127.0.0.1: the server answers 500 bad"
    assert "no HTTP server" in refusal(b"garbage\r\n\r\n")


def test_an_alert_is_sent_where_no_thread_can_be_started(
    server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't create new thread at interpreter shutdown")

    monkeypatch.setenv("GENUI_ALERT_URL", f"{server}/end")
    with monkeypatch.context() as patch:
        # Only around the call: the server and its requests need threads of their own.
        patch.setattr(threading.Thread, "start", refuse)
        webhook.send({"name": "icons", "alert": "finished"}, wait=True)
    assert [path for path, _ in received] == ["/end"]


def test_a_run_that_ends_sends_what_the_user_chose(
    server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GENUI_ALERT_URL", f"{server}/ntfy")
    monkeypatch.setenv("GENUI_ALERT_SERVICE", "ntfy")
    monkeypatch.setenv("GENUI_ALERT_TEXT", "{alert} ({step})")
    with RunWriter(a_run()) as run:
        run.update(state="running", step=7)
        run.update(state="finished")
    with pytest.raises(ValueError, match="no data"), RunWriter(a_run()) as run:
        raise ValueError("no data")
    with RunWriter(a_run()) as run:  # stopped, by the user
        run.update(state="running")
    assert [body for _, body in received] == [
        b"finished at step 7 (7)",
        b"failed: ValueError: no data (0)",
    ]


def test_without_an_address_nothing_is_sent(server: str) -> None:
    with RunWriter(a_run()) as run:
        run.update(state="finished")
    assert received == []


def test_the_shell_sends_a_test_and_checks_the_text(
    server: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["config", "test-alert"]) == 2
    assert main(["config", "set", "alert_url", f"{server}/x"]) == 0
    assert main(["config", "set", "alert_text", "{name.__class__}"]) == 2
    assert main(["config", "set", "alert_text", "{secret}"]) == 2
    assert "use only {name}, {alert}" in capsys.readouterr().err
    assert main(["config", "test-alert"]) == 0
    assert received == [("/x", b'{"text":"test: alerts arrive here"}')]
