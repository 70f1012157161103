"""Files that genui writes and reads back: one Codec for each suffix.

A file contains the recipe that reproduces its generation. Files are not trusted: the size is
checked before a file is read, pixels are counted before they are decoded, and the recipe is
validated.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from genui.base.errors import GenuiError, MisuseError
from genui.base.files import show
from genui.base.plugins import Table, resolve
from genui.formats.recipe import (
    MAX_BYTES,
    Result,
    Shows,
    TraceRecipe,
    from_json,
    read_bytes,
    to_start,
)
from genui.formats.trees import SavedTree, branch_start
from genui.protocol import Frame, Start


@dataclass(frozen=True)
class Sample:
    """One generation: the prompt as the model saw it, and its frames in order.

    `suffix` is the text after the gap of a prompt that has one.
    """

    seed: int
    prompt: str
    frames: Sequence[Frame]
    suffix: str = ""


@dataclass(frozen=True)
class Difference:
    """The difference between two files of one codec: one line for a person, and numbers."""

    line: str
    numbers: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Codec:
    """One kind of file. A function may be given as `module:name`, which is imported when needed.

    The content that `decode` returns is a list of images uint8 [H, W, 3], a str, or another type
    that `difference` takes.
    """

    suffix: str
    """Lower case, with its dot."""
    title: str
    """The content of such a file, as offered by the app."""
    encode: str | Callable[..., bytes] = ""
    """`encode(samples, recipe, rate)` returns the bytes of the file, drawn as `recipe.view` says;
    `rate` is in steps a second, or None. "" if it is not written from frames."""
    decode: str | Callable[..., tuple[Any, "str | bytes | TraceRecipe"]] = ""
    """`decode(data, name)` returns the content and the recipe, "" if there is none. Raises
    GenuiError, one line that begins with `name`. "" if such files have no recipe."""
    difference: str | Callable[..., Difference | None] = ""
    """`difference(saved, again, samples)` compares two contents; None if they are the same.
    `samples` are those that `again` was written from. "" if the file contains no frames."""
    shows: Shows = "frame"
    """What such a file shows of a generation by default."""
    lossy: bool = False
    """Whether decoded frames differ from the encoded ones, so that digests are compared too."""
    one_text: bool = False
    """Whether it has room for only one text."""
    check_installed: str | Callable[..., object] = ""
    """Raises GenuiError if a program that writes it is not installed."""
    show: str | Callable[[Path], None] = "genui.cli.show:show_saved"
    """`show(path)` prints the file in the shell."""
    media: tuple[str, ...] = ()
    """For plug-ins: the media of models whose samples are written to such files."""

    @property
    def name(self) -> str:
        """The key in the table."""
        return self.suffix


_IMAGE = Codec(
    suffix=".png",
    title="an image",
    encode="genui.formats.image:encode_png",
    decode="genui.formats.image:decode_image",
    difference="genui.formats.image:compare_images",
    show="genui.cli.show:show_image",
)
_ROWS = (
    _IMAGE,
    replace(
        _IMAGE,
        suffix=".gif",
        title="every step, moving, 256 colours",
        encode="genui.formats.image:encode_gif",
        shows="animation",
        lossy=True,
    ),
    replace(_IMAGE, suffix=".apng", title="every step, moving, all colours", shows="animation"),
    Codec(
        suffix=".mp4",
        title="a clip for players",
        encode="genui.formats.video:encode_mp4",
        decode="genui.formats.video:decode_mp4",
        difference="genui.formats.image:compare_images",
        shows="animation",
        lossy=True,
        check_installed="genui.formats.video:ffmpeg",
    ),
    Codec(
        suffix=".wav",
        title="a sound",
        encode="genui.formats.audio:encode_sound",
        decode="genui.formats.audio:decode_sound",
        difference="genui.formats.audio:compare_sounds",
        shows="sound",
    ),
    Codec(
        suffix=".mid",
        title="a MIDI file, a track a voice",
        encode="genui.formats.midi:encode_score",
        decode="genui.formats.midi:decode_score",
        difference="genui.formats.midi:compare_scores",
        shows="score",
        show="genui.cli.show:show_score",
    ),
    Codec(
        suffix=".csv",
        title="points, x,y a line",
        encode="genui.formats.text:encode_points",
        decode="genui.formats.text:decode_points",
        difference="genui.formats.text:compare_lines",
    ),
    Codec(
        suffix=".txt",
        title="prompt and text",
        encode="genui.formats.text:encode_text",
        decode="genui.formats.text:decode_text",
        difference="genui.formats.text:compare_texts",
        shows="text",
        show="genui.cli.show:show_text",
    ),
    Codec(
        suffix=".cast",
        title="a recording of the terminal, for asciinema",
        encode="genui.formats.text:encode_recording",
        decode="genui.formats.text:decode_recording",
        difference="genui.formats.text:compare_recordings",
        shows="animation",
        one_text=True,
    ),
    Codec(
        suffix=".trace",
        title="the branches, to open again",
        decode="genui.formats.trees:decode_tree",
        shows="tree",
    ),
    *(
        Codec(suffix=suffix, title="an image", show=_IMAGE.show)
        for suffix in (".bmp", ".jpeg", ".jpg", ".webp")
    ),
    *(
        Codec(suffix=suffix, title="text", show="genui.cli.show:show_text")
        for suffix in (".log", ".md", ".py")
    ),
)

CODECS: Mapping[str, Codec] = Table("genui.codecs", Codec, {codec.suffix: codec for codec in _ROWS})
"""Suffix to the codec of its files; those of plug-ins come last."""


def codec_of(path: Path | str) -> Codec | None:
    """The codec of a file by its suffix, ignoring case; None if there is none."""
    return CODECS.get(Path(path).suffix.lower())


def codecs_for(medium: str) -> list[Codec]:
    """The codecs of plug-ins that write samples of a medium."""
    return [codec for codec in CODECS.values() if medium in codec.media]


@dataclass(frozen=True)
class SavedFile:
    """A file with its recipe, which for a `.trace` is that of the root."""

    path: Path
    recipe: TraceRecipe
    codec: Codec
    content: Any

    @property
    def start(self) -> Start:
        """The request of the first sample; for a `.trace` that of the branch that was shown."""
        if isinstance(self.content, SavedTree):
            return branch_start(self.content)
        return to_start(self.recipe)

    @property
    def result(self) -> Result:
        """The digests of the generation."""
        if isinstance(self.content, SavedTree):
            return self.content.result or Result()
        return self.recipe.result


class NoRecipeError(GenuiError):
    """A file without a recipe."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"{name}: has no recipe; `genui generate --out` and the app write files with one"
        )


def carries_recipe(path: Path) -> bool:
    """Whether files of that suffix can contain a recipe."""
    codec = codec_of(path)
    return codec is not None and bool(codec.decode)


def read(path: Path) -> SavedFile:
    """The recipe and the content of a file.

    Raises MisuseError for a suffix without recipes, and GenuiError, one line that names the file,
    if it is missing, empty, truncated, too large, not text, of a newer format, edited by hand or
    without a recipe.
    """
    codec = codec_of(path)
    if codec is None or not codec.decode:
        if not path.suffix and not os.path.lexists(path):
            read_bytes(path)  # raises: nothing has this name
        suffixes = " ".join(codec.suffix for codec in CODECS.values() if codec.decode)
        raise MisuseError(f"{show(path)}: a recipe is in files that end in {suffixes}; name one")
    name = show(path)
    content, recipe = resolve(codec.decode)(read_bytes(path), name)
    if not isinstance(recipe, TraceRecipe):
        if not recipe:
            raise NoRecipeError(name)
        recipe = from_json(recipe, name)
    return SavedFile(path, recipe, codec, content)


def encode(
    suffix: str, samples: Sequence[Sample], recipe: TraceRecipe, rate: float | None = None
) -> bytes:
    """The bytes of a file of that suffix, drawn as `recipe.view` says.

    `rate` is in steps a second, for animations. Several images are drawn side by side. Raises
    GenuiError if a step of the view does not exist or the file would be too large to be read back.
    """
    data = resolve(CODECS[suffix].encode)(samples, recipe, rate)
    if len(data) > MAX_BYTES:
        raise GenuiError(
            f"this would be a file of over {MAX_BYTES >> 20} MB; draw it smaller or take fewer "
            "steps"
        )
    return data


def compare(file: SavedFile, samples: Sequence[Sample]) -> Difference | None:
    """The difference between a file and the same samples encoded now; None if there is none.

    None also for a file without frames and for one that cannot be decoded here.
    """
    if not file.codec.difference or file.content == []:
        return None
    # The recipe is not compared: the file's may have fields that this version does not write.
    data = encode(file.codec.suffix, samples, file.recipe)
    again, _ = resolve(file.codec.decode)(data, show(file.path))
    return resolve(file.codec.difference)(file.content, again, samples)


def first_difference(one: Sequence[Any], other: Sequence[Any]) -> int | None:
    """The first index at which two sequences differ; None if they are equal."""
    for at, (a, b) in enumerate(zip(one, other, strict=False)):
        if a != b:
            return at
    return None if len(one) == len(other) else min(len(one), len(other))
