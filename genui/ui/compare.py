"""Where traces part, how far apart two pictures are, and what another model is asked. Pure."""

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

from msgspec.structs import replace

from genui import protocol
from genui.protocol import Frame, ImageFrame, TextFrame
from genui.render.sanitise import clean_line
from genui.ui.trace import Trace

Part = Literal["guess", "x", "noise"]
PARTS: dict[Part, str] = {
    "guess": "guess of the clean picture",
    "x": "noisy picture",
    "noise": "noise that the model sees",
}


class Gap(NamedTuple):
    """How far apart two pictures are."""

    share: float  # of the pixels: those that differ at all
    mean: float  # absolute difference of a colour value, 0 to 255


def same(one: Frame, other: Frame) -> bool:
    """Whether two frames came to the same: the token and its text, or the noisy picture's bytes.

    The text too, because another model numbers its tokens otherwise.
    """
    if isinstance(one, TextFrame) and isinstance(other, TextFrame):
        return (one.token, one.text) == (other.token, other.text)
    if isinstance(one, ImageFrame) and isinstance(other, ImageFrame):
        return (one.width, one.height, one.x) == (other.width, other.height, other.x)
    return False


def parting(columns: Sequence[Sequence[Frame]]) -> int | None:
    """The first step at which the traces are not all the same; None where they are so far.

    Each is its frames in order, all from the same first step on.
    """
    # A branch shares the very frames of its parent, so most are the same object.
    for frames in zip(*columns, strict=False):
        first = frames[0]
        if any(frame is not first and not same(first, frame) for frame in frames[1:]):
            return first.step
    return None


def in_common(columns: Sequence[Sequence[Frame]]) -> int:
    """The last step that all of them have a frame of; 0 where one has none."""
    return min((frames[-1].step if frames else 0 for frames in columns), default=0)


def gap(one: ImageFrame, other: ImageFrame, part: Part) -> Gap | None:
    """How far apart that part of two frames is; None for pictures of different sizes."""
    sizes = [(frame.pictures, frame.width, frame.height) for frame in (one, other)]
    if sizes[0] != sizes[1]:
        return None
    from genui.render.film import difference
    from genui.saved.write import clip_pixels

    found = difference([*clip_pixels(one, part)], [*clip_pixels(other, part)])
    assert found is not None, "equal sizes can be compared"
    return Gap(found[0], found[2])


def gap_words(found: Gap) -> str:
    """`12.5 % of pixels differ, mean difference 3.4 of 255`."""
    if not found.share:
        return "no pixel differs"
    share = 100 * found.share
    return f"{share:.3g} % of pixels differ, mean difference {found.mean:.3g} of 255"


def token_words(frames: Sequence[Frame | None]) -> str:
    """`: ‘the’ and ‘my’`, of two tokens that differ; else nothing."""
    texts = [frame.text for frame in frames if isinstance(frame, TextFrame)]
    if len(frames) != 2 or len(texts) != 2:
        return ""
    one, other = (clean_line(repr(text)[1:-1], 16) or "␣" for text in texts)
    return f": ‘{one}’ and ‘{other}’"


def for_model(trace: Trace[Any], model: str) -> protocol.Start:
    """What asks `model` for the same: prompt, seed, settings and edits.

    A token that was chosen by hand is asked for as its text.
    """
    edits = []
    for at in trace.request.edits:
        index = at.step + 1 - trace.first  # of the frame that the token became
        if isinstance(at.edit, protocol.WriteToken) and index < len(trace.frames):
            at = replace(at, edit=protocol.WriteText(trace.frames[index].text))
        edits.append(at)
    return replace(trace.request, model=model, edits=tuple(edits))
