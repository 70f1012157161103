"""Files that genui writes and reads back: one Codec for each suffix.

A file contains the recipe that reproduces its generation. Files are not trusted: the size is
checked before a file is read, pixels are counted before they are decoded, and the recipe is
validated.
"""

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from genui.base.errors import GenuiError, MisuseError
from genui.base.files import show
from genui.base.late import late_imports
from genui.base.plugins import Table, index_by_name
from genui.formats import audio, cast, image, text, trees
from genui.formats.kinds import saves_of
from genui.formats.recipe import (
    MAX_BYTES,
    Digests,
    Shows,
    TraceRecipe,
    from_json,
    read_bytes,
    to_start,
)
from genui.formats.sample import Difference, NoRecipeError, Sample
from genui.formats.trees import SavedTree, branch_start
from genui.protocol import Start
from genui.protocol.kinds import KINDS, Kind

with late_imports():
    from genui.formats import credentials


@dataclass(frozen=True, kw_only=True)
class Codec:
    """One kind of file.

    The content that `decode` returns is a list of images uint8 [H, W, 3], a str, or another type
    that `difference` takes.
    """

    suffix: str
    """Lower case, with its dot."""
    title: str
    """The content of such a file, as offered by the app."""
    encode: Callable[[Sequence[Sample], TraceRecipe, float | None], bytes] | None = None
    """`encode(samples, recipe, rate)` returns the bytes of the file, drawn as `recipe.view` says;
    `rate` is in steps a second, or None. None if it is not written from frames."""
    decode: Callable[[bytes, str], tuple[Any, str | bytes | TraceRecipe]]
    """`decode(data, name)` returns the content and the recipe, "" if there is none. Raises
    GenuiError, one line that begins with `name`."""
    difference: Callable[[Any, Any, Sequence[Sample]], Difference | None] | None = None
    """`difference(saved, again, samples)` compares two contents; None if they are the same.
    `samples` are those that `again` was written from. None if the file contains no frames."""
    shows: Shows = "frame"
    """The view of a generation that such a file shows by default."""
    lossy: bool = False
    """Whether decoded frames differ from the encoded ones, so that digests are compared too."""
    one_text: bool = False
    """Whether it has room for only one text."""
    check_installed: Callable[[], object] | None = None
    """Raises GenuiError if a program that writes it is not installed."""
    media_type: str = ""
    """The media type for content credentials in such files; "" if they have no room."""
    media: tuple[str, ...] = ()
    """The media of models that write samples to such files, besides the `files` of kinds."""
    show: Callable[[Path], None] | None = None
    """Prints the file in the shell; None shows its last image and its recipe."""

    @property
    def name(self) -> str:
        """The key in the table."""
        return self.suffix


_IMAGE = Codec(
    suffix=".png",
    title="an image",
    encode=image.encode_png,
    decode=image.decode_image,
    difference=image.compare_images,
    media_type="image/png",
)
_ROWS = (
    _IMAGE,
    replace(
        _IMAGE,
        suffix=".gif",
        title="every step, moving, 256 colours",
        encode=image.encode_gif,
        shows="animation",
        lossy=True,
        media_type="image/gif",
    ),
    replace(_IMAGE, suffix=".apng", title="every step, moving, all colours", shows="animation"),
    Codec(
        suffix=".wav",
        title="a sound",
        encode=audio.encode_sound,
        decode=audio.decode_sound,
        difference=audio.compare_sounds,
        shows="sound",
        media_type="audio/wav",
    ),
    Codec(
        suffix=".txt",
        title="prompt and text",
        encode=text.encode_text,
        decode=text.decode_text,
        difference=text.compare_texts,
        shows="text",
    ),
    Codec(
        suffix=".cast",
        title="a recording of the terminal, for asciinema",
        encode=cast.encode_recording,
        decode=cast.decode_recording,
        difference=cast.compare_recordings,
        shows="animation",
        one_text=True,
    ),
    Codec(
        suffix=".trace",
        title="the branches, to open again",
        decode=trees.decode_tree,
        shows="tree",
    ),
)


def _codecs_of(kinds: Iterable[Kind]) -> dict[str, Codec]:
    return index_by_name(codec for kind in kinds for codec in saves_of(kind).codecs)


CODECS: Mapping[str, Codec] = Table(
    "genui.codecs",
    Codec,
    lambda: index_by_name(_ROWS) | _codecs_of(KINDS.list_built_in()),
    also=lambda: _codecs_of(KINDS.list_of_plugins()),
)
"""Suffix to the codec of its files; codecs of plug-ins come last."""


def codec_of(path: Path | str) -> Codec | None:
    """The codec of a file by its suffix, ignoring case; None if there is none."""
    return CODECS.get(Path(path).suffix.lower())


def codecs_for(medium: str) -> list[Codec]:
    return [codec for codec in CODECS.values() if medium in codec.media]


@dataclass(frozen=True)
class SavedFile:
    """A file with its recipe; for a `.trace` it is the recipe of the root."""

    path: Path
    recipe: TraceRecipe
    codec: Codec
    content: Any

    @property
    def start(self) -> Start:
        """The request of the first sample; for a `.trace` the request of the shown branch."""
        if isinstance(self.content, SavedTree):
            return branch_start(self.content)
        return to_start(self.recipe)

    @property
    def result(self) -> Digests:
        if isinstance(self.content, SavedTree):
            return self.content.result or Digests()
        return self.recipe.result


def check_signing(suffix: str) -> None:
    """Check, before anything is generated, that a file of that suffix, "" for none, can be signed.

    Raises MisuseError if it has no room for it, else as `credentials.own_certificate`.
    """
    room = [codec.suffix for codec in CODECS.values() if codec.media_type]
    if suffix not in room:
        raise MisuseError(f"--sign: signs a file that ends in {' '.join(room)}; name one by --out")
    credentials.import_library()
    credentials.own_certificate()


def read(path: Path) -> SavedFile:
    """The recipe and the content of a file.

    Raises MisuseError for a suffix without recipes, and GenuiError, one line that names the file,
    if it is missing, empty, truncated, too large, not text, of a newer format, edited by hand or
    without a recipe.
    """
    codec = codec_of(path)
    if codec is None:
        if not path.suffix and not os.path.lexists(path):
            read_bytes(path)  # raises: nothing has this name
        raise MisuseError(
            f"{show(path)}: a recipe is in files that end in {' '.join(CODECS)}; name one"
        )
    name = show(path)
    content, recipe = codec.decode(read_bytes(path), name)
    if not isinstance(recipe, TraceRecipe):
        if not recipe:
            raise NoRecipeError(name)
        recipe = from_json(recipe, name)
    return SavedFile(path, recipe, codec, content)


def encode(
    suffix: str,
    samples: Sequence[Sample],
    recipe: TraceRecipe,
    rate: float | None = None,
    sign: bool = False,
) -> bytes:
    """The bytes of a file of that suffix, drawn as `recipe.view` says.

    `rate` is in steps a second, for animations. Several images are drawn side by side. With
    `sign` the file has content credentials. Raises GenuiError if a step of the view does not exist
    or the file would be too large to be read back, and as `credentials.sign`.
    """
    codec = CODECS[suffix]
    if codec.encode is None:
        raise ValueError(f"{suffix} is not written from frames")
    data = codec.encode(samples, recipe, rate)
    if sign:
        data = credentials.sign(data, codec.media_type, recipe)
    if len(data) > MAX_BYTES:
        raise GenuiError(
            f"this would be a file of over {MAX_BYTES >> 20} MB; make it smaller or shorter"
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
    again, _ = file.codec.decode(data, show(file.path))
    return file.codec.difference(file.content, again, samples)
