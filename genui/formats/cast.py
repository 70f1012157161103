"""Recordings of the terminal: version 2 of asciinema's format
(docs.asciinema.org/manual/asciicast/v2).

A header in JSON, which has the recipe, is the first line; then comes one event a line: [seconds,
"o", output].
"""

import json
from collections.abc import Sequence
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from genui.base.errors import GenuiError
from genui.base.late import late_imports
from genui.base.text import clean, clean_line
from genui.formats.image import RATE, shown_images
from genui.formats.recipe import TraceRecipe, to_json
from genui.formats.sample import Difference, Sample, first_difference
from genui.formats.text import decode_utf8, text_of_steps
from genui.protocol import TextFrame

with late_imports():
    from genui.render import image

TEXT_RATE = 20.0  # tokens a second of a recording
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
    """Each image in half blocks, drawn over the previous one."""
    height, width, _ = frames[0].shape
    painted = [
        _HOME + image.draw_ansi(frame, "truecolor", width).rstrip("\n").replace("\n", "\r\n")
        for frame in frames
    ]
    painted[0] = _CLEAR_AND_HIDE + painted[0]
    return Recording(width, -(-height // 2), title, tuple(painted))


def _encode_cast(recording: Recording, recipe: str, fps: float) -> bytes:
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


def encode_recording(samples: Sequence[Sample], recipe: TraceRecipe, rate: float | None) -> bytes:
    """A text token by token, or the images that the view shows, one after the other."""
    title = f"genui {recipe.model}: {samples[0].prompt}"[:200]
    first = samples[0]
    if first.frames and isinstance(first.frames[0], TextFrame):
        texts = [*text_of_steps(first), first.suffix] if first.suffix else text_of_steps(first)
        recording, usual = record_text(first.prompt, texts, title), TEXT_RATE
    else:
        recording = record_images(shown_images(samples, recipe), title)
        usual = RATE
    return _encode_cast(recording, to_json(recipe), rate or usual)


def decode_recording(data: bytes, name: str) -> tuple[tuple[str, ...], bytes]:
    """A recording's outputs and the recipe in its header.

    Raises GenuiError if it is not a complete recording.
    """
    head, *lines = decode_utf8(data, name).split("\n")
    try:
        header = msgspec.json.decode(head, type=dict[str, msgspec.Raw])
        events = [msgspec.json.decode(line, type=tuple[float, str, str]) for line in lines if line]
    except (msgspec.DecodeError, RecursionError) as error:
        reason = str(error).replace("`", "'")[:120]
        raise GenuiError(
            f"{name}: is not a complete asciinema recording ({reason}); write or copy it again"
        ) from None
    outputs = tuple(output for _, code, output in events if code == "o")
    return outputs, bytes(header.get("genui", b""))


def compare_recordings(
    saved: Sequence[str], again: Sequence[str], samples: Sequence[Sample]
) -> Difference | None:
    """The first output that differs."""
    at = first_difference(saved, again)
    if at is None:
        return None
    counts = f"(of {len(saved)}, and again {len(again)})"
    return Difference(f"differs from output {at + 1} on {counts}", {"output": at + 1})
