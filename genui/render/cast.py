"""Recordings for asciinema: version 2 of its file format (docs.asciinema.org/manual/asciicast/v2).

A header in JSON on the first line, then an event a line: [seconds, "o", output].
"""

import json
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from genui.base.text import clean, clean_line
from genui.render.image import picture_to_ansi

COLUMNS, LINES = 80, 24  # of a recording of text
_CLEAR_AND_HIDE = "\x1b[2J\x1b[?25l"
_HOME = "\x1b[H"


class Recording(NamedTuple):
    """What a terminal of `width` × `height` cells is sent: an output each, one after the other."""

    width: int
    height: int
    title: str
    outputs: tuple[str, ...]


def of_text(prompt: str, tokens: Sequence[str], title: str) -> Recording:
    """The prompt, then an output a token. A token of half a character sends nothing yet."""
    outputs = tuple(clean(text).replace("\n", "\r\n") for text in (prompt, *tokens))
    return Recording(COLUMNS, LINES, title, outputs)


def of_pictures(frames: Sequence[NDArray[np.uint8]], title: str) -> Recording:
    """Each picture in half-blocks, painted over the one before."""
    height, width, _ = frames[0].shape
    painted = [
        _HOME + picture_to_ansi(frame, "truecolor", width).rstrip("\n").replace("\n", "\r\n")
        for frame in frames
    ]
    painted[0] = _CLEAR_AND_HIDE + painted[0]
    return Recording(width, -(-height // 2), title, tuple(painted))


def encode(recording: Recording, recipe: str, rate: float) -> bytes:
    """The recording as a file, `rate` outputs a second; `recipe` is JSON for its header."""
    header = {
        "version": 2,
        "width": recording.width,
        "height": recording.height,
        "title": clean_line(recording.title),
        "env": {"TERM": "xterm-256color", "SHELL": "/bin/sh"},
        "genui": json.loads(recipe),
    }
    events = [[round(i / rate, 6), "o", text] for i, text in enumerate(recording.outputs)]
    return "".join(json.dumps(line) + "\n" for line in (header, *events)).encode()
