"""A server that answers as the Hugging Face hub does, as far as `genui pull` asks."""

import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class FakeHub:
    """Repositories by name, each a mapping of file names to bytes, and what was asked for."""

    def __init__(self) -> None:
        self.url = ""
        self.repositories: dict[str, dict[str, bytes]] = {}
        self.cards: dict[str, dict[str, Any]] = {}
        self.gated: set[str] = set()
        self.damaged: set[str] = set()  # files that are sent with other bytes
        self.ranges: list[str] = []  # of the requests that continue a file
        self.sent: list[str] = []  # files that were sent, whole or in part
        self.tokens: list[str] = []
        self.status = 200
        self.headers: dict[str, str] = {}  # in place of those of every file

    @contextmanager
    def serve(self) -> Iterator[None]:
        handler = type("Handler", (_Handler,), {"hub": self})
        server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        self.url = f"http://127.0.0.1:{server.server_port}"
        try:
            yield
        finally:
            server.shutdown()
            server.server_close()
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    hub: ClassVar[FakeHub]
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def _answer(self, with_body: bool) -> None:
        hub = self.hub
        hub.tokens.append(self.headers.get("Authorization", ""))
        path = self.path.partition("?")[0]
        if hub.status != 200:
            return self._send(hub.status, b"", {}, with_body)
        if match := re.fullmatch(r"/api/models/([^/]+/[^/]+)(?:/revision/([^/]+))?", path):
            if match[1] not in hub.repositories:
                return self._send(404, b"{}", {"X-Error-Code": "RepoNotFound"}, with_body)
            body = json.dumps(self._info(match[1])).encode()
            return self._send(200, body, {"Content-Type": "application/json"}, with_body)
        match = re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path)
        assert match is not None, path
        if match[1] in hub.gated and not self.headers.get("Authorization"):
            return self._send(401, b"", {"X-Error-Code": "GatedRepo"}, with_body)
        body = hub.repositories[match[1]][match[3]]
        headers = {"X-Repo-Commit": COMMIT, "ETag": f'"{_digest(body)}"', "Accept-Ranges": "bytes"}
        headers |= hub.headers
        if match[3] in hub.damaged:
            body = bytes(len(body))
        status = 200
        if asked := self.headers.get("Range"):
            hub.ranges.append(asked)
            begin = int(asked.removeprefix("bytes=").partition("-")[0])
            headers["Content-Range"] = f"bytes {begin}-{len(body) - 1}/{len(body)}"
            body, status = body[begin:], 206
        if with_body:
            hub.sent.append(match[3])
        return self._send(status, body, headers, with_body)

    def _info(self, name: str) -> dict[str, Any]:
        return {
            "id": name,
            "modelId": name,
            "sha": COMMIT,
            "gated": "manual" if name in self.hub.gated else False,
            "cardData": self.hub.cards.get(name, {}),
            "siblings": [
                {
                    "rfilename": file,
                    "size": len(body),
                    "blobId": _digest(body)[:40],
                    "lfs": {"sha256": _digest(body), "size": len(body), "pointerSize": 130}
                    if file.endswith((".gguf", ".safetensors", ".bin"))
                    else None,
                }
                for file, body in self.hub.repositories[name].items()
            ],
        }

    def _send(self, status: int, body: bytes, headers: dict[str, str], with_body: bool) -> None:
        self.send_response(status)
        for key, value in headers.items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if with_body:
            self.wfile.write(body)


def _digest(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()
