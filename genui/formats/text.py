"""Files of text: texts, and recordings of the terminal.

The last line of a text is its recipe. A recording has it in its header.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from genui.base.errors import GenuiError
from genui.base.numbers import count
from genui.base.text import clean, clean_line
from genui.formats.recipe import TraceRecipe, to_json
from genui.formats.sample import Difference, NoRecipeError, Sample, first_difference
from genui.protocol import TextFrame

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

RECIPE_LINE = "genui-recipe: "  # begins the last line of a text
TEXT_RATE = 20.0  # tokens a second of a recording


def body(samples: Sequence[Sample]) -> str:
    """The text as written to a file; each under its seed if there are several."""
    texts = [sample.prompt + "".join(_texts(sample)) + sample.suffix for sample in samples]
    if len(texts) == 1:
        return texts[0]
    heads = [f"--- seed {sample.seed}\n" for sample in samples]
    return "\n".join(head + text for head, text in zip(heads, texts, strict=True))


def _texts(sample: Sample) -> list[str]:
    return [clean(frame.transcript) for frame in sample.frames if isinstance(frame, TextFrame)]


# --- .txt -------------------------------------------------------------------------------------


def encode_text(samples: Sequence[Sample], recipe: TraceRecipe, rate: float | None) -> bytes:
    """The text, and its recipe as the last line."""
    return f"{body(samples)}\n{RECIPE_LINE}{to_json(recipe)}\n".encode()


def decode_text(data: bytes, name: str) -> tuple[str, str]:
    """The text and its recipe. Raises GenuiError if it is not text or has no recipe."""
    return split_recipe(data, f"\n{RECIPE_LINE}", name)


def compare_texts(saved: str, again: str, samples: Sequence[Sample]) -> Difference | None:
    """The first character that differs and, of one sample, the step that wrote it."""
    at = first_difference(saved, again)
    if at is None:
        return None
    numbers = {"character": at + 1}
    where = f"character {count(at + 1)}"
    if len(samples) == 1:
        numbers["step"] = step = _step_of(at, samples[0])
        where += f" (step {count(step)})"
    line = f"differs from {where} on: {_quote(saved, at)} in the file, {_quote(again, at)} again"
    return Difference(line, numbers)


def _step_of(at: int, sample: Sample) -> int:
    """The step that wrote a character; 0 for the prompt."""
    end = len(sample.prompt)
    if at < end:
        return 0
    frames = [frame for frame in sample.frames if isinstance(frame, TextFrame)]
    for frame in frames:
        end += len(clean(frame.transcript))
        if at < end:
            return frame.step
    return frames[-1].step + 1


def _quote(text: str, at: int) -> str:
    return repr(text[at : at + 12]) if at < len(text) else "the end"


# --- .cast: version 2 of asciinema's format (docs.asciinema.org/manual/asciicast/v2) ----------
# A header in JSON on the first line, then one event a line: [seconds, "o", output].

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


def record_images(frames: "Sequence[NDArray[np.uint8]]", title: str) -> Recording:
    """Each image in half blocks, drawn over the previous one."""
    from genui.render.image import draw_ansi

    height, width, _ = frames[0].shape
    painted = [
        _HOME + draw_ansi(frame, "truecolor", width).rstrip("\n").replace("\n", "\r\n")
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


@dataclass(frozen=True)
class CastFile:
    """The outputs of a recording, in order."""

    outputs: tuple[str, ...]


def encode_recording(samples: Sequence[Sample], recipe: TraceRecipe, rate: float | None) -> bytes:
    """A text token by token, or the images that the view shows, one after the other."""
    from genui.formats import image

    title = f"genui {recipe.model}: {samples[0].prompt}"[:200]
    first = samples[0]
    if first.frames and isinstance(first.frames[0], TextFrame):
        texts = [*_texts(first), first.suffix] if first.suffix else _texts(first)
        recording, usual = record_text(first.prompt, texts, title), TEXT_RATE
    else:
        recording = record_images(image.shown_images(samples, recipe), title)
        usual = image.RATE
    return _encode_cast(recording, to_json(recipe), rate or usual)


def decode_recording(data: bytes, name: str) -> tuple[CastFile, bytes]:
    """A recording's outputs and the recipe in its header.

    Raises GenuiError if it is not a complete recording.
    """
    head, *lines = _decoded(data, name).split("\n")
    try:
        header = msgspec.json.decode(head, type=dict[str, msgspec.Raw])
        events = [msgspec.json.decode(line, type=tuple[float, str, str]) for line in lines if line]
    except (msgspec.DecodeError, RecursionError) as error:
        reason = str(error).replace("`", "'")[:120]
        raise GenuiError(
            f"{name}: is not a complete asciinema recording ({reason}); write or copy it again"
        ) from None
    outputs = tuple(output for _, code, output in events if code == "o")
    return CastFile(outputs), bytes(header.get("genui", b""))


def compare_recordings(
    saved: CastFile, again: CastFile, samples: Sequence[Sample]
) -> Difference | None:
    """The first output that differs."""
    at = first_difference(saved.outputs, again.outputs)
    if at is None:
        return None
    counts = f"(of {len(saved.outputs)}, and again {len(again.outputs)})"
    return Difference(f"differs from output {at + 1} on {counts}", {"output": at + 1})


def split_recipe(data: bytes, mark: str, name: str) -> tuple[str, str]:
    """The lines before the last one, and the recipe in the last, which begins with `mark`.

    Raises GenuiError, which begins with `name`, if it is not text or has no recipe.
    """
    content, separator, recipe = _decoded(data, name).rpartition(mark)
    if not separator or "\n" in recipe.rstrip("\n"):
        raise NoRecipeError(name)
    return content, recipe


def _decoded(data: bytes, name: str) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise GenuiError(
            f"{name}: is not UTF-8 text (byte {error.start}); name a text that genui wrote"
        ) from None
