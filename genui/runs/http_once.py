"""One HTTP request whose answer matters by its status alone, with a deadline for all of it.

urllib waits for each part of a reply anew, so a server that drips could hold a script that ends.
There no thread can be started either, so the deadline is that of the socket.
"""

import http.client
import io
import time
import urllib.request
from typing import Any

_LONGEST_HEAD = 64 * 1024  # bytes
_SHORTEST = 0.01  # seconds; 0 would mean not to wait at all


def open_once(request: urllib.request.Request, seconds: float) -> None:
    """Asks by http or https, through the proxies of the environment; no redirect is followed.

    Raises urllib.error.HTTPError for a status other than 2xx, TimeoutError after so many seconds
    from the connection on, OSError, ValueError or http.client.HTTPException.
    """
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.UnknownHandler(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
        _Http(),
        _Https(),
    ):
        opener.add_handler(handler)
    opener.open(request, timeout=seconds).close()


class _HeadOnly(http.client.HTTPConnection):
    """Reads the head of a reply alone, until the deadline."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._deadline = time.monotonic() + float(self.timeout or 0.0)

    def getresponse(self) -> http.client.HTTPResponse:
        head = b""
        while b"\r\n\r\n" not in head and b"\n\n" not in head:
            left = self._deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError
            if len(head) > _LONGEST_HEAD:
                raise http.client.LineTooLong("head")
            self.sock.settimeout(max(_SHORTEST, left))
            part = self.sock.recv(4096)
            if not part:
                break
            head += part
        reply = http.client.HTTPResponse(_Read(head), method="HEAD")  # type: ignore[arg-type]  # a reply to HEAD has no body
        reply.begin()
        return reply


class _HeadOnlyTls(_HeadOnly, http.client.HTTPSConnection):
    """The same over TLS."""


class _Read:
    """Bytes that were read already, as the socket that HTTPResponse takes."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def makefile(self, *args: Any, **kwargs: Any) -> Any:
        return io.BytesIO(self._data)


class _Http(urllib.request.HTTPHandler):
    def http_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(_HeadOnly, req)


class _Https(urllib.request.HTTPSHandler):
    def https_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(_HeadOnlyTls, req)
