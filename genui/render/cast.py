"""Recordings for asciinema: version 2 of its file format (docs.asciinema.org/manual/asciicast/v2).

A header in JSON on the first line, then an event a line: [seconds, "o", output].
"""

import json
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from genui.base.text import clean, clean_line
from genui.render.image import draw_ansi

COLUMNS, LINES = 80, 24  # of a recording of text
_CLEAR_AND_HIDE = "\x1b[2J\x1b[?25l"
_HOME = "\x1b[H"


class Recording(NamedTuple):
    """The outputs to a terminal of `width` × `height` cells, in order."""

    width: int
    height: int
    title: str
    outputs: tuple[str, ...]


def record_text(prompt: str, tokens: Sequence[str], title: str) -> Recording:
    """The prompt, then an output a token. An incomplete character gives an empty output."""
    outputs = tuple(clean(text).replace("\n", "\r\n") for text in (prompt, *tokens))
    return Recording(COLUMNS, LINES, title, outputs)


def record_images(frames: Sequence[NDArray[np.uint8]], title: str) -> Recording:
    """Each image in half blocks, drawn over the one before."""
    height, width, _ = frames[0].shape
    painted = [
        _HOME + draw_ansi(frame, "truecolor", width).rstrip("\n").replace("\n", "\r\n")
        for frame in frames
    ]
    painted[0] = _CLEAR_AND_HIDE + painted[0]
    return Recording(width, -(-height // 2), title, tuple(painted))


def encode(recording: Recording, recipe: str, fps: float) -> bytes:
    """The recording as a file with `fps` outputs a second; `recipe` is JSON for its header."""
    header = {
        "version": 2,
        "width": recording.width,
        "height": recording.height,
        "title": clean_line(recording.title),
        "env": {"TERM": "xterm-256color", "SHELL": "/bin/sh"},
        "genui": json.loads(recipe),
    }
    events = [[round(i / fps, 6), "o", text] for i, text in enumerate(recording.outputs)]
    return "".join(json.dumps(line) + "\n" for line in (header, *events)).encode()
