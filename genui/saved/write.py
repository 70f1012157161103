"""The frames of a generation as the bytes of a file that carries its recipe."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from genui.errors import GenuiError
from genui.protocol import Frame, ImageFrame, PointsFrame, TextFrame
from genui.saved.files import MOST_BYTES, RECIPE_LINE, Kind
from genui.saved.recipe import TraceRecipe, to_json

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

COLUMNS = 4  # samples, or the frames of a clip, side by side
FILM_COLUMNS = 10  # steps in a row of a filmstrip
RATE = 12.0  # pictures a second of a moving one
CLIP_RATE = 10.0  # frames a second of a clip
TEXT_RATE = 20.0  # tokens a second of a recording
_SMALLER = "draw it smaller or take fewer steps"


@dataclass(frozen=True)
class Sample:
    """One generation: the prompt as the model saw it, and its frames in order.

    `suffix` is what stands after the text, of a prompt with a gap.
    """

    seed: int
    prompt: str
    frames: Sequence[Frame]
    suffix: str = ""


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
    if kind == "csv":
        from genui.saved import plane

        one, step = samples[0], (recipe.view.steps or _all_steps(samples))[-1]
        return f"{plane.rows(one.frames, one.prompt, step)}\n# {RECIPE_LINE}{text}\n".encode()
    if kind == "cast":
        return _cast(samples, recipe, rate)
    if kind == "mid" or (kind == "wav" and isinstance(samples[0].frames[0], TextFrame)):
        from genui.saved import music

        pieces = [music.piece_of(recipe.init, one.prompt, one.frames) for one in samples]
        return music.encode(kind, pieces, text, recipe.view.kind == "orchestra")
    if kind == "wav":
        from genui.saved import sound

        return sound.encode([sample.frames for sample in samples], text, recipe.view.steps)
    from genui.render import film

    pictures = shown_pictures(samples, recipe)
    if kind == "png":
        return film.png(pictures[0], text)
    clip = recipe.view.kind == "clip"
    rate = rate or (CLIP_RATE if clip else RATE)
    if kind == "mp4":
        from genui.saved import mp4

        return mp4.encode(pictures, text, rate)
    milliseconds = max(20, round(1000 / rate))
    hold = 0 if clip else film.HOLD  # a clip goes on at once
    return (film.gif if kind == "gif" else film.apng)(pictures, text, milliseconds, hold)


def body(samples: Sequence[Sample]) -> str:
    """The text as it is written to a file: each under its seed where there are several."""
    texts = [sample.prompt + "".join(_texts(sample)) + sample.suffix for sample in samples]
    if len(texts) == 1:
        return texts[0]
    heads = [f"--- seed {sample.seed}\n" for sample in samples]
    return "\n".join(head + text for head, text in zip(heads, texts, strict=True))


def shown_pictures(samples: Sequence[Sample], recipe: TraceRecipe) -> "list[NDArray[np.uint8]]":
    """The pictures [H, W, 3] that the recipe's view shows: one, or each of a moving one."""
    from genui.render import film

    view = recipe.view
    steps = view.steps or _all_steps(samples)
    if view.kind in ("frame", "clip"):
        steps = steps[-1:]
    clips = [[_clip(sample, step, view.part) for sample in samples] for step in steps]
    drawn = sum(clip.size // 3 for of_step in clips for clip in of_step) * view.scale**2
    if drawn > film.MOST_PIXELS:
        raise GenuiError(f"this would be over {film.MOST_PIXELS:,} pixels; {_SMALLER}")
    if view.kind == "clip":
        moments = [list(moment) for moment in zip(*clips[0], strict=True)]
    else:  # a film has the steps below each other where each is a row of its own
        across = max(len(clips[0][0]), 1) if view.kind == "film" else COLUMNS
        moments = [[flat(clip, across) for clip in of_step] for of_step in clips]
    pictures = [film.enlarged(film.sheet(moment, COLUMNS), view.scale) for moment in moments]
    if view.kind == "film":
        columns = 1 if len(clips[0][0]) > 1 else FILM_COLUMNS
        return [film.strip(pictures, columns, gap=max(1, view.scale // 2))]
    return pictures


def last_picture(sample: Sample, step: int | None = None) -> "NDArray[np.uint8]":
    """What a sample of pictures came to, or stood at in a step, [H, W, 3]."""
    return flat(_clip(sample, sample.frames[-1].step if step is None else step, "x"))


def pixels(frame: ImageFrame, part: str) -> "NDArray[np.uint8]":
    """The `x`, `guess` or `noise` of a frame, [H, W, 3]; of a clip the first of its pictures."""
    return clip_pixels(frame, part)[0]


def clip_pixels(frame: ImageFrame, part: str) -> "NDArray[np.uint8]":
    """All pictures of that part of a frame, [T, H, W, 3]: one, unless it is of a clip."""
    import numpy as np

    shape = (frame.pictures, frame.height, frame.width, 3)
    return np.frombuffer(getattr(frame, part), np.uint8).reshape(shape)


def flat(clip: "NDArray[np.uint8]", columns: int = COLUMNS) -> "NDArray[np.uint8]":
    """The pictures [T, H, W, 3] of a clip as one, `columns` in a row; a single one as it is."""
    from genui.render import film

    return film.sheet(list(clip), columns, gap=1, shade=film.GAP_SHADE)


def film_steps(samples: Sequence[Sample], most: int = 10) -> tuple[int, ...]:
    """Steps for a filmstrip: evenly spaced, both ends among them."""
    from genui.render import film

    return film.spread(_all_steps(samples), most)


def _all_steps(samples: Sequence[Sample]) -> tuple[int, ...]:
    frames = samples[0].frames
    if frames and isinstance(frames[0], PointsFrame):
        from genui.saved import plane

        return plane.steps(frames)
    return tuple(frame.step for frame in frames)


def _clip(sample: Sample, step: int, part: str) -> "NDArray[np.uint8]":
    if sample.frames and isinstance(sample.frames[0], PointsFrame):
        from genui.saved import plane

        return plane.picture(sample.frames, step)[None]
    for frame in reversed(sample.frames):
        if frame.step == step and isinstance(frame, ImageFrame):
            if len(getattr(frame, part)) != frame.pictures * frame.height * frame.width * 3:
                continue
            return clip_pixels(frame, part)
    raise GenuiError(f"step {step}: this trace has no such picture; show another step")


def _texts(sample: Sample) -> list[str]:
    from genui.render.sanitise import clean

    return [clean(frame.text) for frame in sample.frames if isinstance(frame, TextFrame)]


def _cast(samples: Sequence[Sample], recipe: TraceRecipe, rate: float | None) -> bytes:
    from genui.render import cast

    title = f"genui {recipe.model}: {samples[0].prompt}"[:200]
    first = samples[0]
    if first.frames and isinstance(first.frames[0], TextFrame):
        texts = [*_texts(first), first.suffix] if first.suffix else _texts(first)
        recording = cast.of_text(first.prompt, texts, title)
        return cast.encode(recording, to_json(recipe), rate or TEXT_RATE)
    recording = cast.of_pictures(shown_pictures(samples, recipe), title)
    return cast.encode(recording, to_json(recipe), rate or RATE)
