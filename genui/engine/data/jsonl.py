"""Texts in JSON lines, as datasets are published: an object a line, its text under "text"."""

from collections.abc import Iterator

import msgspec

PLAN = "genui.json"
"""What `genui generate --out FOLDER` keeps beside its samples; it is no text to learn."""


class _Row(msgspec.Struct):
    """A line; other keys are ignored."""

    text: str


def documents(name: str, content: str) -> tuple[dict[str, str], int]:
    """The texts of a file of JSON lines by `name:line`, and how many lines have none.

    Where no line has one it is a file of another kind, and one text as it stands.
    """
    found = dict(_texts(name, content))
    lines = sum(1 for line in content.splitlines() if line.strip())
    return (found, lines - len(found)) if found else ({name: content}, 0)


def _texts(name: str, content: str) -> Iterator[tuple[str, str]]:
    decoder = msgspec.json.Decoder(_Row)
    for number, line in enumerate(content.splitlines(), 1):
        try:
            text = decoder.decode(line.encode("utf-8", "replace")).text
        except (msgspec.DecodeError, RecursionError):
            continue
        if text.strip():
            yield f"{name}:{number}", text
