"""The frames of a generation as the bytes of a file that carries its recipe."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from genui.errors import GenuiError
from genui.protocol import Frame, ImageFrame, TextFrame
from genui.saved.files import MOST_BYTES, RECIPE_LINE, Kind
from genui.saved.recipe import TraceRecipe, to_json

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

COLUMNS = 4  # samples side by side
RATE = 12.0  # pictures a second of a moving one
TEXT_RATE = 20.0  # tokens a second of a recording
_SMALLER = "draw it smaller or take fewer steps"


@dataclass(frozen=True)
class Sample:
    """One generation: the prompt as the model saw it, and its frames in order."""

    seed: int
    prompt: str
    frames: Sequence[Frame]


def encode(
    kind: Kind, samples: Sequence[Sample], recipe: TraceRecipe, rate: float | None = None
) -> bytes:
    """The bytes of a file of that kind, drawn as `recipe.view` says.

    `rate` is in steps a second and counts where the file moves. Several samples of pictures
    are drawn side by side. Raises GenuiError where a step asked for is not there, and for a
    file that would be too large to be read back.
    """
    data = _encoded(kind, samples, recipe, rate)
    if len(data) > MOST_BYTES:
        raise GenuiError(f"this would be a file of over {MOST_BYTES >> 20} MB; {_SMALLER}")
    return data


def _encoded(
    kind: Kind, samples: Sequence[Sample], recipe: TraceRecipe, rate: float | None
) -> bytes:
    text = to_json(recipe)
    if kind == "txt":
        return f"{body(samples)}\n{RECIPE_LINE}{text}\n".encode()
    if kind == "cast":
        return _cast(samples, recipe, rate)
    from genui.render import film

    pictures = shown_pictures(samples, recipe)
    if kind == "png":
        return film.png(pictures[0], text)
    milliseconds = max(20, round(1000 / (rate or RATE)))
    return (film.gif if kind == "gif" else film.apng)(pictures, text, milliseconds)


def body(samples: Sequence[Sample]) -> str:
    """The text as it is written to a file: each under its seed where there are several."""
    texts = [sample.prompt + "".join(_texts(sample)) for sample in samples]
    if len(texts) == 1:
        return texts[0]
    heads = [f"--- seed {sample.seed}\n" for sample in samples]
    return "\n".join(head + text for head, text in zip(heads, texts, strict=True))


def shown_pictures(samples: Sequence[Sample], recipe: TraceRecipe) -> "list[NDArray[np.uint8]]":
    """The pictures [H, W, 3] that the recipe's view shows: one, or each of a moving one."""
    from genui.render import film

    view = recipe.view
    steps = view.steps or _all_steps(samples)
    if view.kind == "frame":
        steps = steps[-1:]
    first = _picture(samples[0], steps[0], view.part)
    drawn = len(steps) * len(samples) * first.shape[0] * first.shape[1] * view.scale**2
    if drawn > film.MOST_PIXELS:
        raise GenuiError(f"this would be over {film.MOST_PIXELS:,} pixels; {_SMALLER}")
    pictures = [
        film.enlarged(
            film.sheet([_picture(s, step, view.part) for s in samples], COLUMNS), view.scale
        )
        for step in steps
    ]
    if view.kind == "film":
        return [film.strip(pictures, gap=max(1, view.scale // 2))]
    return pictures


def last_picture(sample: Sample) -> "NDArray[np.uint8]":
    """What a sample of pictures came to, [H, W, 3]."""
    return _picture(sample, sample.frames[-1].step, "x")


def pixels(frame: ImageFrame, part: str) -> "NDArray[np.uint8]":
    """The `x`, `guess` or `noise` of a frame, [H, W, 3]."""
    import numpy as np

    return np.frombuffer(getattr(frame, part), np.uint8).reshape(frame.height, frame.width, 3)


def film_steps(samples: Sequence[Sample], most: int = 10) -> tuple[int, ...]:
    """Steps for a filmstrip: evenly spaced, both ends among them."""
    from genui.render import film

    return film.spread(_all_steps(samples), most)


def _all_steps(samples: Sequence[Sample]) -> tuple[int, ...]:
    return tuple(frame.step for frame in samples[0].frames)


def _picture(sample: Sample, step: int, part: str) -> "NDArray[np.uint8]":
    for frame in reversed(sample.frames):
        if frame.step == step and isinstance(frame, ImageFrame):
            if len(getattr(frame, part)) != frame.height * frame.width * 3:
                continue
            return pixels(frame, part)
    raise GenuiError(f"step {step}: this trace has no such picture; show another step")


def _texts(sample: Sample) -> list[str]:
    from genui.render.sanitise import clean

    return [clean(frame.text) for frame in sample.frames if isinstance(frame, TextFrame)]


def _cast(samples: Sequence[Sample], recipe: TraceRecipe, rate: float | None) -> bytes:
    from genui.render import cast

    title = f"genui {recipe.model}: {samples[0].prompt}"[:200]
    first = samples[0]
    if first.frames and isinstance(first.frames[0], TextFrame):
        recording = cast.of_text(first.prompt, _texts(first), title)
        return cast.encode(recording, to_json(recipe), rate or TEXT_RATE)
    recording = cast.of_pictures(shown_pictures(samples, recipe), title)
    return cast.encode(recording, to_json(recipe), rate or RATE)
