"""Reading back what genui saved: the recipe in a file, and what the file shows.

Nothing in a file is believed: its size is checked before it is read, its pixels are counted
before they are decoded, and its recipe is validated.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import msgspec

from genui.base.errors import GenuiError, MisuseError
from genui.base.files import read_regular, shown
from genui.base.text import clean_line
from genui.formats import favourites
from genui.formats.audio import SoundFile
from genui.formats.midi import ScoreFile
from genui.formats.recipe import TraceRecipe, from_json, to_json
from genui.protocol import Frame, ImageFrame, PointsFrame, TextFrame

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MOST_BYTES = 64 * 1024 * 1024
RECIPE_LINE = "genui-recipe: "  # begins the last line of a text

Kind = Literal["png", "gif", "apng", "mp4", "wav", "mid", "csv", "txt", "cast", "trace"]
SUFFIXES: dict[str, Kind] = {
    ".png": "png",
    ".gif": "gif",
    ".apng": "apng",
    ".mp4": "mp4",
    ".wav": "wav",
    ".mid": "mid",
    ".csv": "csv",
    ".txt": "txt",
    ".cast": "cast",
    ".trace": "trace",
}


@dataclass(frozen=True)
class CastFile:
    """The outputs of a recording, in order."""

    outputs: tuple[str, ...]


Content: TypeAlias = list[Any] | str | CastFile | SoundFile | ScoreFile | favourites.SavedTree
"""What a file shows: frames uint8 [H, W, 3], a text, a recording of the terminal, a sound, notes,
or a trace with its forks."""


@dataclass(frozen=True)
class SavedFile:
    """A file with its recipe. Of a `.trace` the recipe is that of the root."""

    path: Path
    recipe: TraceRecipe
    kind: Kind
    content: Content


def read(path: Path) -> SavedFile:
    """The recipe and the content of a file.

    Raises MisuseError for a kind of file that carries no recipe, and GenuiError, one line
    that names the file, where it is missing, empty, truncated, huge, no text, of a newer
    format, edited by hand, or carries no recipe.
    """
    kind = SUFFIXES.get(path.suffix.lower())
    if kind is None:
        raise MisuseError(
            f"{shown(path)}: a recipe is in files that end in {' '.join(SUFFIXES)}; name one"
        )
    return SavedFile(path, *_READERS[kind](read_bytes(path), shown(path), kind))


def read_bytes(path: Path) -> bytes:
    """The whole of a regular file of 1 to MOST_BYTES bytes. Raises GenuiError naming it."""
    data = read_regular(path, MOST_BYTES, "name a file that genui wrote")
    if not data:
        raise GenuiError(f"{shown(path)}: is empty; write it again")
    return data


class UnmarkedError(GenuiError):
    """A file, of anybody's, in which no recipe is."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"{name}: carries no recipe; `genui generate --out` and the app write files that do"
        )


def _recipe_in(text: str, name: str) -> TraceRecipe:
    """The recipe that a file's comment is. Raises GenuiError where it is another text."""
    if not (text.startswith("{") and '"format"' in text):
        raise UnmarkedError(name)
    return from_json(text, name)


_Read: TypeAlias = tuple[TraceRecipe, Kind, Content]


def _of_trace(data: bytes, name: str, kind: Kind) -> _Read:
    tree = favourites.tree_from(data, name)
    return tree.recipe, kind, tree


def _of_picture(data: bytes, name: str, kind: Kind) -> _Read:
    from genui.formats import image

    try:
        found = image.read(data)
    except ValueError as error:
        raise GenuiError(f"{name}: cannot be read: {error}; write or copy it again") from None
    recipe = _recipe_in(found.text, name)
    moves = kind == "png" and recipe.view.kind == "animation"  # an APNG of another name
    return recipe, "apng" if moves else kind, found.frames


def _of_video(data: bytes, name: str, kind: Kind) -> _Read:
    """Without ffmpeg the frames are left out: the recipe is read without it."""
    from genui.formats import video

    try:
        recipe = _recipe_in(video.comment(data), name)
        return recipe, kind, video.decode(data) if video.installed() else []
    except ValueError as error:
        raise GenuiError(f"{name}: cannot be read: {error}; write or copy it again") from None


def _of_sound(data: bytes, name: str, kind: Kind) -> _Read:
    from genui.formats import audio

    try:
        content, text = audio.decode(data)
    except ValueError as reason:
        raise GenuiError(f"{name}: {reason}") from None
    return _recipe_in(text, name), kind, content


def _of_music(data: bytes, name: str, kind: Kind) -> _Read:
    from genui.formats import midi

    try:
        content, text = midi.decode(data)
    except ValueError as error:
        raise GenuiError(f"{name}: {error}; write or copy it again") from None
    return _recipe_in(text, name), kind, content


def _of_text(data: bytes, name: str, kind: Kind) -> _Read:
    """In a CSV the recipe's line is a comment."""
    text = _decoded(data, name)
    begins = f"\n# {RECIPE_LINE}" if kind == "csv" else f"\n{RECIPE_LINE}"
    content, mark, recipe = text.rpartition(begins)
    if not mark or "\n" in recipe.rstrip("\n"):
        raise UnmarkedError(name)
    return from_json(recipe, name), kind, content


def _of_cast(data: bytes, name: str, kind: Kind) -> _Read:
    recipe, content = cast_in(data, name)
    if not recipe:
        raise UnmarkedError(name)
    return from_json(recipe, name), kind, content


_READERS: Mapping[Kind, Callable[[bytes, str, Kind], _Read]] = {
    "png": _of_picture,
    "gif": _of_picture,
    "apng": _of_picture,
    "mp4": _of_video,
    "wav": _of_sound,
    "mid": _of_music,
    "csv": _of_text,
    "txt": _of_text,
    "cast": _of_cast,
    "trace": _of_trace,
}


def cast_in(data: bytes, name: str) -> tuple[bytes, CastFile]:
    """The recipe in a recording's header (empty where there is none), and its outputs.

    Raises GenuiError where it is no whole recording.
    """
    head, *lines = _decoded(data, name).split("\n")
    try:
        header = msgspec.json.decode(head, type=dict[str, msgspec.Raw])
        events = [msgspec.json.decode(line, type=tuple[float, str, str]) for line in lines if line]
    except (msgspec.DecodeError, RecursionError) as error:
        reason = str(error).replace("`", "'")[:120]
        raise GenuiError(
            f"{name}: is no whole asciinema recording ({reason}); write or copy it again"
        ) from None
    outputs = tuple(output for _, code, output in events if code == "o")
    return bytes(header.get("genui", b"")), CastFile(outputs)


def _decoded(data: bytes, name: str) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise GenuiError(
            f"{name}: is no UTF-8 text (byte {error.start}); name a text that genui wrote"
        ) from None


# --- The frames of a generation as the bytes of a file that carries its recipe ----------------

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
        from genui.formats import points

        one, step = samples[0], (recipe.view.steps or _all_steps(samples))[-1]
        return f"{points.rows(one.frames, one.prompt, step)}\n# {RECIPE_LINE}{text}\n".encode()
    if kind == "cast":
        return _cast(samples, recipe, rate)
    if kind == "mid" or (kind == "wav" and isinstance(samples[0].frames[0], TextFrame)):
        from genui.formats import midi

        pieces = [midi.piece_of(recipe.init, one.prompt, one.frames) for one in samples]
        return midi.encode(kind, pieces, text, recipe.view.kind == "orchestra")
    if kind == "wav":
        from genui.formats import audio

        return audio.encode([sample.frames for sample in samples], text, recipe.view.steps)
    from genui.formats import image

    pictures = shown_pictures(samples, recipe)
    if kind == "png":
        return image.png(pictures[0], text)
    clip = recipe.view.kind == "clip"
    rate = rate or (CLIP_RATE if clip else RATE)
    if kind == "mp4":
        from genui.formats import video

        return video.encode(pictures, text, rate)
    milliseconds = max(20, round(1000 / rate))
    hold = 0 if clip else image.HOLD  # a clip goes on at once
    return (image.gif if kind == "gif" else image.apng)(pictures, text, milliseconds, hold)


def body(samples: Sequence[Sample]) -> str:
    """The text as it is written to a file: each under its seed where there are several."""
    texts = [sample.prompt + "".join(_texts(sample)) + sample.suffix for sample in samples]
    if len(texts) == 1:
        return texts[0]
    heads = [f"--- seed {sample.seed}\n" for sample in samples]
    return "\n".join(head + text for head, text in zip(heads, texts, strict=True))


def shown_pictures(samples: Sequence[Sample], recipe: TraceRecipe) -> "list[NDArray[np.uint8]]":
    """The pictures [H, W, 3] that the recipe's view shows: one, or each of a moving one."""
    from genui.formats import image

    view = recipe.view
    steps = view.steps or _all_steps(samples)
    if view.kind in ("frame", "clip"):
        steps = steps[-1:]
    clips = [[_clip(sample, step, view.part) for sample in samples] for step in steps]
    drawn = sum(clip.size // 3 for of_step in clips for clip in of_step) * view.scale**2
    if drawn > image.MOST_PIXELS:
        raise GenuiError(f"this would be over {image.MOST_PIXELS:,} pixels; {_SMALLER}")
    if view.kind == "clip":
        moments = [list(moment) for moment in zip(*clips[0], strict=True)]
    else:  # a film has the steps below each other where each is a row of its own
        across = max(len(clips[0][0]), 1) if view.kind == "film" else COLUMNS
        moments = [[flat(clip, across) for clip in of_step] for of_step in clips]
    pictures = [image.enlarged(image.sheet(moment, COLUMNS), view.scale) for moment in moments]
    if view.kind == "film":
        columns = 1 if len(clips[0][0]) > 1 else FILM_COLUMNS
        return [image.strip(pictures, columns, gap=max(1, view.scale // 2))]
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
    from genui.formats import image

    return image.sheet(list(clip), columns, gap=1, shade=image.GAP_SHADE)


def film_steps(samples: Sequence[Sample], most: int = 10) -> tuple[int, ...]:
    """Steps for a filmstrip: evenly spaced, both ends among them."""
    from genui.formats import image

    return image.spread(_all_steps(samples), most)


def _all_steps(samples: Sequence[Sample]) -> tuple[int, ...]:
    frames = samples[0].frames
    if frames and isinstance(frames[0], PointsFrame):
        from genui.formats import points

        return points.steps(frames)
    return tuple(frame.step for frame in frames)


def _clip(sample: Sample, step: int, part: str) -> "NDArray[np.uint8]":
    if sample.frames and isinstance(sample.frames[0], PointsFrame):
        from genui.formats import points

        return points.picture(sample.frames, step)[None]
    for frame in reversed(sample.frames):
        if frame.step == step and isinstance(frame, ImageFrame):
            if len(getattr(frame, part)) != frame.pictures * frame.height * frame.width * 3:
                continue
            return clip_pixels(frame, part)
    raise GenuiError(f"step {step}: this trace has no such picture; show another step")


def _texts(sample: Sample) -> list[str]:
    from genui.base.text import clean

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


# --- Contact sheets: several generations on one picture, with all their recipes inside --------

MOST = 400


def sheet(
    samples: Sequence[tuple[Sample, TraceRecipe]], captions: Sequence[str], columns: int = 0
) -> bytes:
    """A PNG with the last frame of each sample, or its text, and a caption below it.

    In its text chunk is the list of their recipes, as JSON. Raises GenuiError for none and for
    more than MOST.
    """
    from genui.formats import image
    from genui.formats.image import Card, contact_sheet

    if not 0 < len(samples) <= MOST:
        raise GenuiError(f"a contact sheet takes 1 to {MOST} samples, not {len(samples)}")
    cards = []
    for (sample, _), caption in zip(samples, captions, strict=True):
        last = sample.frames[-1]
        if isinstance(last, ImageFrame):
            cards.append(Card(caption, picture=pixels(last, "guess" if last.guess else "x")))
        else:
            cards.append(Card(caption, text=body([sample])))
    recipes = ",".join(to_json(recipe) for _, recipe in samples)
    return image.png(contact_sheet(cards, columns), f"[{recipes}]")


def caption_of(recipe: TraceRecipe) -> str:
    """`red heart · icons, seed 7`."""
    prompt = clean_line(recipe.prompt, 40)
    rest = f"{clean_line(recipe.model, 24)}, seed {recipe.seed}"
    return f"{prompt} · {rest}" if prompt else rest
