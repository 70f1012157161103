"""Alerts to a phone or a chat: one HTTP request, only if the user has set `alert_url`.

ntfy (https://docs.ntfy.sh/publish) gets the text as the body; Slack, Mattermost, Google Chat and
others get {"text": …}, Discord {"content": …}. Only `alert_text` is sent, and nothing else.

A run that ends says so itself, also when no app is open. The app sends the other alerts.
"""

import re
from contextlib import suppress
from typing import Any, Literal
from urllib.parse import urlsplit

import msgspec

from genui.base.calls import Call
from genui.base.config import Config, load_config
from genui.base.errors import GenuiError, MisuseError
from genui.base.text import clean_line

_TIMEOUT = 5.0  # seconds
_LONGEST = 500  # characters
FIELDS = ("name", "alert", "step", "host", "project")
"""The words that `alert_text` may contain in braces."""

_FIELD = re.compile(r"\{([^{}]*)\}")

Service = Literal["auto", "ntfy", "text", "discord"]


def format_text(template: str, values: dict[str, str]) -> str:
    """The text of an alert. Raises MisuseError for a field that there is not."""
    strange = [name for name in _FIELD.findall(template) if name not in FIELDS]
    if strange:
        known = ", ".join(f"{{{name}}}" for name in FIELDS)
        raise MisuseError(f"alert_text {template!r}: use only {known}")
    return clean_line(_FIELD.sub(lambda field: values.get(field[1], ""), template))


def check_address(address: str) -> str:
    """The host of an address to send to. Raises MisuseError if it is none."""
    try:
        parts = urlsplit(address)
    except ValueError:  # brackets of IPv6
        parts = urlsplit("")
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise MisuseError("alert_url: give an address that begins with https://")
    return parts.hostname


def post(config: Config, text: str) -> None:
    """Sends a text; no redirect is followed. Raises GenuiError, one line, without the path of the
    address, a secret, also if the server has not answered in time, and RuntimeError where no thread
    can be started to wait for it."""
    call = Call(lambda: _post(config, text))
    if not call.wait(_TIMEOUT):
        host = urlsplit(config.alert_url).hostname
        raise GenuiError(f"alert_url at {host}: no answer within {_TIMEOUT:g} s")
    call.result()


def _post(config: Config, text: str) -> None:
    """As `post`; each read of the reply may take the time anew."""
    from http.client import HTTPException
    from urllib.error import HTTPError, URLError
    from urllib.request import HTTPRedirectHandler, Request, build_opener

    class Stay(HTTPRedirectHandler):
        def redirect_request(self, *args: Any, **kwargs: Any) -> None:
            return None  # the redirect is the answer, an HTTPError

    host = check_address(config.alert_url)
    where = f"alert_url at {host}"
    service = _service(config.alert_service, host)
    text = text[:_LONGEST]
    if service == "ntfy":
        data, kind = text.encode(), "text/plain; charset=utf-8"
    else:
        field = "content" if service == "discord" else "text"
        data, kind = msgspec.json.encode({field: text}), "application/json"
    headers = {"Content-Type": kind, "User-Agent": "genui"}
    try:
        request = Request(config.alert_url, data, headers)
        build_opener(Stay).open(request, timeout=_TIMEOUT).close()
    except HTTPError as error:
        answer = f"{error.code} {clean_line(str(error.reason), 60)}".rstrip()
        moved = "; it sends on, where genui does not follow" if 300 <= error.code < 400 else ""
        raise GenuiError(f"{where}: the server answers {answer}{moved}") from None
    except URLError as error:
        raise GenuiError(f"{where}: {clean_line(str(error.reason), 200)}") from None
    except (OSError, ValueError) as error:
        raise GenuiError(f"{where}: {clean_line(str(error), 200)}") from None
    except HTTPException as error:  # its message may contain the address
        raise GenuiError(
            f"{where}: no HTTP server, or no address ({type(error).__name__})"
        ) from None


def _service(chosen: Service, host: str) -> Service:
    if chosen != "auto":
        return chosen
    return "ntfy" if "ntfy" in host else "discord" if "discord" in host else "text"


def send(values: dict[str, str], wait: bool = False) -> None:
    """Sends an alert if the user has set an address, on a thread of its own. Never raises.

    With `wait` it returns when the alert is sent, for a process that ends.
    """
    with suppress(Exception):  # a damaged config.toml
        config = load_config()
        if not config.alert_url:
            return
        text = format_text(config.alert_text, values)
        try:
            call = Call(lambda: _post(config, text))
        except RuntimeError:  # Python 3.12 starts no thread while a script ends
            _post(config, text)
            return
        if wait:
            call.wait(_TIMEOUT + 1)
