"""Reading back what genui saved: the recipe in a file, and what the file shows.

Nothing in a file is believed: its size is checked before it is read, its pixels are counted
before they are decoded, and its recipe is validated.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

import msgspec

from genui.errors import GenuiError, MisuseError
from genui.runs.disk import read_regular, shown
from genui.saved import tree as trees
from genui.saved.music import ScoreFile
from genui.saved.recipe import TraceRecipe, from_json
from genui.saved.sound import SoundFile

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


Content: TypeAlias = list[Any] | str | CastFile | SoundFile | ScoreFile | trees.SavedTree
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
    tree = trees.tree_from(data, name)
    return tree.recipe, kind, tree


def _of_picture(data: bytes, name: str, kind: Kind) -> _Read:
    from genui.render import film

    try:
        found = film.read(data)
    except ValueError as error:
        raise GenuiError(f"{name}: cannot be read: {error}; write or copy it again") from None
    recipe = _recipe_in(found.text, name)
    moves = kind == "png" and recipe.view.kind == "animation"  # an APNG of another name
    return recipe, "apng" if moves else kind, found.frames


def _of_video(data: bytes, name: str, kind: Kind) -> _Read:
    """Without ffmpeg the frames are left out: the recipe is read without it."""
    from genui.saved import mp4

    try:
        recipe = _recipe_in(mp4.comment(data), name)
        return recipe, kind, mp4.decode(data) if mp4.installed() else []
    except ValueError as error:
        raise GenuiError(f"{name}: cannot be read: {error}; write or copy it again") from None


def _of_sound(data: bytes, name: str, kind: Kind) -> _Read:
    from genui.saved import sound

    try:
        content, text = sound.decode(data)
    except ValueError as reason:
        raise GenuiError(f"{name}: {reason}") from None
    return _recipe_in(text, name), kind, content


def _of_music(data: bytes, name: str, kind: Kind) -> _Read:
    from genui.saved import music

    try:
        content, text = music.decode(data)
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
