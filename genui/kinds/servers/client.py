"""HTTP with a model's server: one address, no redirects, replies bounded in size and time."""

import contextlib
import http.client
import os
import re
import socket
import ssl
import threading
import time
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

import msgspec

from genui.base.errors import GenuiError, MisuseError
from genui.base.files import sanitize

ADD_S = 5.0
"""Seconds within which a server that is added must answer what it is."""

ANSWER_S = 300.0
"""Seconds for which a server may take for a token; it may load a model and read a long prompt."""

MAX_REPLY = 8 << 20
"""Bytes."""


def parse_address(address: str) -> str:
    """The address without a trailing /v1. Raises MisuseError if it is not one of a server."""
    if re.search(r"[?#]|^([^/]*//)?[^/]*@", address):  # first: none of it is shown
        raise MisuseError(
            "an address has no user, password, ? or #; keep a key in an environment variable and "
            "name it with --key-env"
        )
    try:
        parts = urlsplit(address.strip())
        host, _ = parts.hostname, parts.port
    except ValueError:
        parts, host = urlsplit(""), None
    is_plain = address.isprintable() and " " not in address.strip()
    if parts.scheme not in ("http", "https") or not host or not is_plain:
        raise MisuseError(
            f"{sanitize(address, 80)!r}: is no address of a server; one is http://localhost:8080"
        )
    return f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/').removesuffix('/v1')}"


class StatusError(GenuiError):
    """The server refused a request."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


_UNRELATED = (401, 403, 429, 502, 503, 504)
"""Statuses that say nothing of the request: the server needs a key, is busy, is loading its model,
or is down behind another one."""


class Client:
    """Asks one server. Connections are reused; several threads may ask at once."""

    def __init__(self, url: str, key_env: str = "", timeout: float = 0.0) -> None:
        self.url, self.key_env, self.timeout = url, key_env, timeout or ANSWER_S
        parts = urlsplit(url)
        self._secure, self._path = parts.scheme == "https", parts.path
        self._host, self._port = parts.hostname or "", parts.port
        self._idle: list[http.client.HTTPConnection] = []

    def get(self, path: str) -> bytes:
        """The body of a reply. Raises GenuiError, one line that names the server."""
        return self._ask("GET", path, None)

    def post(self, path: str, body: Mapping[str, Any]) -> bytes:
        """The body of the reply to JSON. Raises GenuiError, one line that names the server."""
        return self._ask("POST", path, msgspec.json.encode(body))

    def find(self, path: str, body: Mapping[str, Any] | None = None) -> bytes:
        """The body of a reply, or b"" if the server does not know the request. Raises StatusError
        if it sends on to another address, or with a status of _UNRELATED."""
        try:
            return self.get(path) if body is None else self.post(path, body)
        except StatusError as error:
            if error.status < http.client.BAD_REQUEST or error.status in _UNRELATED:
                raise
            return b""

    def _ask(self, method: str, path: str, body: bytes | None) -> bytes:
        headers = self._headers(body)
        deadline = time.monotonic() + self.timeout
        while True:
            connection, reused = self._connection()
            try:
                if connection.sock is None:
                    connection.connect()
                with _cut_at(deadline, connection.sock):
                    connection.request(method, self._path + path, body, headers)
                    reply = connection.getresponse()
                    data = _read(reply)
            except TimeoutError:
                connection.close()
                raise self.silent() from None
            except _TooLargeError:
                connection.close()
                raise reply_error(self.url, f"more than {MAX_REPLY >> 20} MB") from None
            except (OSError, http.client.HTTPException, ValueError) as error:
                connection.close()
                if reused:
                    continue  # the server has closed a connection that was idle
                raise self._no_answer(error) from None
            if reply.will_close:
                connection.close()
            else:
                self._idle.append(connection)
            return self._check(reply, data)

    def _connection(self) -> tuple[http.client.HTTPConnection, bool]:
        """A connection, and whether it was used before."""
        with contextlib.suppress(IndexError):  # another thread may take the last one
            return self._idle.pop(), True
        if self._secure:
            context = ssl.create_default_context()
            return http.client.HTTPSConnection(
                self._host, self._port, timeout=self.timeout, context=context
            ), False
        return http.client.HTTPConnection(self._host, self._port, timeout=self.timeout), False

    def _headers(self, body: bytes | None) -> dict[str, str]:
        headers = {"User-Agent": "genui", "Accept": "application/json"}
        if body is not None:
            headers["Content-Type"] = "application/json"
        if self.key_env:
            key = os.environ.get(self.key_env, "").strip()
            if not key:
                raise GenuiError(
                    f"{self.url}: needs the key in the environment variable {self.key_env}, which "
                    "is not set; set it and start genui again"
                )
            if not key.isascii() or not key.isprintable():
                raise GenuiError(f"the environment variable {self.key_env} holds no key; set it")
            headers["Authorization"] = f"Bearer {key}"
        return headers

    def _check(self, reply: http.client.HTTPResponse, data: bytes) -> bytes:
        """The body of a reply that is no error."""
        status = reply.status
        if http.client.MULTIPLE_CHOICES <= status < http.client.BAD_REQUEST:
            target = sanitize(reply.getheader("Location") or "another address", 100)
            raise StatusError(
                f"{self.url}: sends on to {target}, where genui does not follow; add that address "
                "if you trust it",
                status,
            )
        if status == http.client.OK:
            return data
        reason = _reason(data) or reply.reason
        remedy = "see what the server has printed"
        if status in (http.client.UNAUTHORIZED, http.client.FORBIDDEN):
            remedy = "name the environment variable that holds its key with --key-env"
        if status == http.client.SERVICE_UNAVAILABLE:
            remedy = "it may still be loading its model: try again in a minute"
        raise StatusError(
            f"{self.url}: answers {status} ({sanitize(reason, 160)}); {remedy}", status
        )

    def silent(self) -> GenuiError:
        """The error for a server that does not answer in time."""
        return GenuiError(
            f"{self.url}: has not answered for {self.timeout:g} s; see whether the server is busy, "
            "or start it again"
        )

    def _no_answer(self, error: Exception) -> GenuiError:
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        if isinstance(error, socket.gaierror):
            reason = "no such host"
        elif isinstance(error, http.client.HTTPException):
            reason = "its reply is cut off or no HTTP"
        return GenuiError(
            f"{self.url}: does not answer ({sanitize(str(reason).lower(), 160)}); start the "
            "server, or add the address that it has now"
        )


class _TooLargeError(Exception):
    pass


@contextlib.contextmanager
def _cut_at(deadline: float, connected: Any) -> Iterator[None]:
    """Ends the connection at the deadline, however a reply drips, in its head or its body.

    Raises TimeoutError then, in place of the error that the cut caused.
    """

    def cut() -> None:
        with contextlib.suppress(OSError):
            connected.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(max(0.0, deadline - time.monotonic()), cut)
    timer.daemon = True
    timer.start()
    try:
        yield
    except (OSError, http.client.HTTPException, ValueError):
        if time.monotonic() >= deadline:
            raise TimeoutError from None
        raise
    finally:
        timer.cancel()
    if time.monotonic() >= deadline:  # a cut body may look like a whole one
        raise TimeoutError


def _read(reply: http.client.HTTPResponse) -> bytes:
    """The body of a reply."""
    parts, size = [], 0
    while part := reply.read1(1 << 16):
        parts.append(part)
        size += len(part)
        if size > MAX_REPLY:
            raise _TooLargeError
    if reply.length:
        raise http.client.IncompleteRead(b"", reply.length)
    reply.close()  # else the connection takes no further request
    return b"".join(parts)


class _Fault(msgspec.Struct):
    error: Any = ""
    message: str = ""
    detail: Any = ""


def _reason(data: bytes) -> str:
    """The message in the body of an error: `{"error": {"message": …}}` and the like."""
    with contextlib.suppress(msgspec.DecodeError, UnicodeError, RecursionError):
        fault = msgspec.json.decode(data, type=_Fault)
        for part in (fault.error, fault.message, fault.detail):
            text = part.get("message") if isinstance(part, dict) else part
            if isinstance(text, str) and text:
                return text
    return ""


def reply_error(url: str, what: str) -> GenuiError:
    return GenuiError(
        f"{url}: sent {what}, so nothing of this reply is used; see whether another version of the "
        "server does better"
    )
