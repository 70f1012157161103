"""A user's own images, one file or a folder with captions. Nothing in them is trusted."""

import os
import re
import stat
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple, TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from genui.base.errors import MisuseError
from genui.base.files import read_regular, show
from genui.engine.data.images import (
    OWN_LICENCE,
    SIDE,
    CaptionedImages,
    fingerprint,
    fit_square,
    hold_out_images,
)
from genui.formats.recipe import METADATA, read_plan, used_critic
from genui.recipes import DiffusionRecipe
from genui.runs.models import ModelInfo, find_model, read_header, weights_fingerprint

FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP")
MOST_IMAGE_BYTES = 64 * 2**20


class UnusableError(Exception):
    """The file cannot be used; the message says why and what to do, and leaves out its name."""


class Square(NamedTuple):
    """An image as it can be used, and what was done to make it so."""

    rgba: NDArray[np.uint8]  # [32, 32, 4]
    changes: tuple[str, ...]  # as "96×64 fitted to 32×32"


def read_square(path: Path, most_pixels: int) -> Square:
    """The image, upright, padded to a square and fitted to 32×32.

    Raises UnusableError; one of more than `most_pixels` is refused before it is decoded.
    """
    try:
        status = path.stat()
    except FileNotFoundError:
        raise UnusableError("no such file; check its name") from None
    except (OSError, ValueError):  # closed to us, or no name a file can have
        raise UnusableError("cannot be reached; check its name and permissions") from None
    if stat.S_ISDIR(status.st_mode):
        raise UnusableError("is a folder; name an image file")
    if not stat.S_ISREG(status.st_mode):
        raise UnusableError("is no ordinary file; name an image file")
    if status.st_size > MOST_IMAGE_BYTES:
        raise UnusableError(f"larger than {MOST_IMAGE_BYTES >> 20} MiB; make it smaller")
    try:
        image, mode = _open(path, most_pixels)
    except Image.DecompressionBombError:
        raise UnusableError(f"more than {most_pixels:,} pixels; make it smaller") from None
    except PermissionError:
        raise UnusableError("may not be read; change its permissions") from None
    except UnidentifiedImageError:
        known = f"{', '.join(FORMATS[:-1])} or {FORMATS[-1]}"
        raise UnusableError(f"is no image this can read; use a {known}") from None
    except Exception:  # a broken file makes Pillow's decoders raise nearly anything
        raise UnusableError("is broken or cut off; replace it with a whole one") from None
    hard_edged = max(image.size) < SIDE or _is_enlarged_pixel_art(image)
    resampling = Image.Resampling.NEAREST if hard_edged else Image.Resampling.LANCZOS
    return Square(fit_square(image, resample=resampling), _changes(image, mode))


def _changes(image: Image.Image, mode: str) -> tuple[str, ...]:
    """What a person should know of the fitting; `mode` is the image's as it was stored."""
    changes = []
    if image.size != (SIDE, SIDE):
        changes.append(f"{image.width}×{image.height} fitted to {SIDE}×{SIDE}")
    if mode.startswith("I"):
        changes.append("16 bits made 8")
    if min(image.getchannel("A").getextrema()) < 255:  # type: ignore[type-var]
        changes.append("what is transparent filled")
    return tuple(changes)


def _open(path: Path, most_pixels: int) -> tuple[Image.Image, str]:
    """The image as RGBA, and its mode in the file."""
    with warnings.catch_warnings():
        # Pillow's own limits: the error is an error, the warning comes below `most_pixels`.
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        with Image.open(path, formats=FORMATS) as opened:  # reads no more than the header
            if opened.width * opened.height > most_pixels:
                raise Image.DecompressionBombError
            return _rgba(ImageOps.exif_transpose(opened)), opened.mode


def _rgba(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):  # 16 bits of grey, which convert() would clip to white
        grey = np.asarray(image).astype(np.float64) / 257
        image = Image.fromarray(np.clip(np.rint(grey), 0, 255).astype(np.uint8))
    return image.convert("RGBA")


def _is_enlarged_pixel_art(image: Image.Image) -> bool:
    """Whether it is a square of 32×32 blocks of one colour each."""
    factor = image.width // SIDE
    if image.size != (factor * SIDE, factor * SIDE):
        return False
    pixels = np.asarray(image)
    blocks = pixels[::factor, ::factor].repeat(factor, axis=0).repeat(factor, axis=1)
    return np.array_equal(pixels, blocks)


# --- A user's own folder of captioned images. Nothing in it is trusted ------------------------
# Captions come from `metadata.jsonl` where there is one ({"file_name": …, "text": …}, as in
# Hugging Face's imagefolder), else from a `name.txt` beside `name.png`, else from the names.

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp")
EXAMPLE_ROW = '{"file_name": "cat.png", "text": "a cat"}'
MOST_IMAGES = 100_000  # 400 MB as 32×32 RGBA
MOST_PIXELS = 50_000_000  # of an image before it is reduced
MOST_CAPTION = 300  # characters
MOST_NOTES = 20

T = TypeVar("T")
CaptionOf = Callable[[Path, Path], str]
"""(file, the folder given) to the caption that its name says, or ""."""


class _Row(msgspec.Struct):
    """A line of metadata.jsonl; other keys are ignored."""

    file_name: str
    text: str


def load_folder(path: str | os.PathLike[str]) -> CaptionedImages:
    """Every usable image in the folder and its sub-folders, with its caption.

    What is left out is listed in `notes`. Raises MisuseError where the path is no folder
    or nothing in it can be used.
    """
    folder = open_folder(path, "images need a folder, such as cat.png with cat.txt")
    notes: list[str] = []
    usable, _ = read_captioned(folder, SUFFIXES, "images", MOST_IMAGES, read_image, notes)
    rgba = np.stack([image for image, _ in usable])
    captions = tuple(caption for _, caption in usable)
    trained, held_out = hold_out_images(len(captions))
    return CaptionedImages(
        name=clean_caption(folder.resolve().name) or "folder",
        licence=OWN_LICENCE,
        fingerprint=fingerprint(rgba, captions),
        rgba=rgba,
        captions=captions,
        scheme="plain",
        train=trained,
        held_out=held_out,
        notes=shorten_notes(notes),
    )


def open_folder(path: str | os.PathLike[str], needs: str) -> Path:
    """The folder that `--data` names. Raises MisuseError, saying what it `needs`, where it is
    none or may not be read."""
    folder = Path(os.path.expanduser(path))
    # os.path and not Path: a name too long or a folder above it closed is False, not an error.
    if not os.path.exists(folder):
        raise MisuseError(f"{show(folder)}: no such folder; check the path given to --data")
    if not os.path.isdir(folder):
        raise MisuseError(f"{show(folder)}: is a file; {needs}")
    if not os.access(folder, os.R_OK | os.X_OK):
        raise MisuseError(f"{show(folder)}: may not be read; change its permissions")
    return folder


def read_captioned(
    folder: Path,
    suffixes: tuple[str, ...],
    things: str,
    most: int,
    read: Callable[[Path], T],
    notes: list[str],
    of_name: CaptionOf | None = None,
) -> tuple[list[tuple[T, str]], int]:
    """What `read` makes of each file in a folder and its sub-folders that ends so, with its
    caption; and how many such files there are.

    Each that has no caption, or for which `read` raises MisuseError, is noted and left out.
    Raises MisuseError where none is left; `things` is what a person calls them.
    """
    files = _files_below(folder, suffixes)
    if not files:
        raise MisuseError(f"{show(folder)}: no {things} in it; looked for {', '.join(suffixes)}")
    if len(files) > most:
        notes.append(f"{show(folder)}: only the first {most:,} of {len(files):,} taken")
    usable: list[tuple[T, str]] = []
    for file, caption in _with_captions(folder, files[:most], notes, of_name or caption_from_name):
        try:
            usable.append((read(file), caption))
        except MisuseError as reason:
            notes.append(str(reason))
    if not usable:
        first = notes[0] if notes else f"{METADATA} names none of them"
        raise MisuseError(f"{show(folder)}: none of its {len(files)} {things} works: {first}")
    return usable, len(files)


def read_image(path: Path) -> NDArray[np.uint8]:
    """The image, upright, padded to a square and fitted to [32, 32, 4].

    Raises MisuseError naming the file where it cannot be used.
    """
    try:
        return read_square(path, MOST_PIXELS).rgba
    except UnusableError as reason:
        raise MisuseError(f"{show(path)}: {reason}") from None


def clean_caption(text: str) -> str:
    """Printable, lower case, one space between words, of bounded length."""
    printable = "".join(c if c.isprintable() else " " for c in text[: 4 * MOST_CAPTION])
    return " ".join(printable.lower().split())[:MOST_CAPTION].rstrip()


def _files_below(folder: Path, suffixes: tuple[str, ...]) -> list[Path]:
    """The regular files in a folder and its sub-folders that end so, sorted, but hidden ones."""
    paths = (
        Path(root) / name
        for root, _, names in os.walk(folder)
        for name in names
        if name.lower().endswith(suffixes) and not name.startswith(".")
    )
    return sorted(path for path in paths if os.path.isfile(path))


def _with_captions(
    folder: Path, files: list[Path], notes: list[str], of_name: CaptionOf
) -> Iterator[tuple[Path, str]]:
    """Each file with its caption; one without is noted and left out.

    `of_name(path, folder)` is what a name says where nothing else does.
    """
    from_metadata = _metadata(folder, notes)
    beside = {path for path in files if path.with_suffix(".txt").is_file()}
    for path in files:
        if from_metadata is not None:
            caption, wanted = from_metadata.get(path.resolve(), ""), f"a line in {METADATA}"
        elif beside:
            caption, wanted = _text_beside(path), f"its caption in {path.stem}.txt"
        else:
            caption, wanted = of_name(path, folder), "a name that says what it is"
        if caption:
            yield path, caption
        else:
            notes.append(f"{show(path)}: no caption; give it {wanted}")


def _metadata(folder: Path, notes: list[str]) -> dict[Path, str] | None:
    """Captions by image from metadata.jsonl, or None where there is none."""
    path = folder / METADATA
    if not path.is_file():
        return None
    lines = read_regular(path, MOST_IMAGE_BYTES, "split the folder", MisuseError).splitlines()
    decoder = msgspec.json.Decoder(_Row)
    captions: dict[Path, str] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            row = decoder.decode(line)
            captions[(folder / row.file_name).resolve()] = clean_caption(row.text)
        except (msgspec.DecodeError, UnicodeDecodeError, ValueError, OSError):
            notes.append(f"{show(path)} line {number}: expected {EXAMPLE_ROW}")
    return captions


def _text_beside(path: Path) -> str:
    try:
        with path.with_suffix(".txt").open("rb") as file:
            return clean_caption(file.read(16 * MOST_CAPTION).decode("utf-8-sig", "replace"))
    except OSError:
        return ""


def caption_from_name(path: Path, folder: Path) -> str:
    """The name "red-cat_012.png" says "red cat", and "cats/012.png" says "cats"."""
    name = re.sub(r"[\s_-]*\d+$", "", path.stem)
    if not name and path.parent != folder:
        name = path.parent.name
    return clean_caption(re.sub(r"[_-]+", " ", name))


def shorten_notes(notes: list[str]) -> tuple[str, ...]:
    """The first notes, and how many more there are."""
    more = len(notes) - MOST_NOTES
    return (*notes[:MOST_NOTES], f"and {more} more like these") if more > 0 else tuple(notes)


# --- Generated datasets, as `genui generate MODEL -n 6000 --out FOLDER` writes them -----------

ALIKE = ("channels", "border", "sigma_data")
"""What the errors of two models can be compared by: the same arrays, weighted alike."""

AGAIN = "genui generate MODEL -n 6000 --out FOLDER"


def drawn_by(recipe: DiffusionRecipe) -> ModelInfo:
    """The model that drew the folder of images that a recipe is to be trained against.

    Raises MisuseError where no model did, it is there no more, its weights are others now, or it
    cannot be compared with.
    """
    folder = Path(recipe.against)
    try:
        plan, critic = read_plan(folder), used_critic(folder)
    except (OSError, msgspec.DecodeError):
        raise MisuseError(
            f"against={show(folder)}: is no folder of images that a model drew; {AGAIN}"
        ) from None
    model = find_model(plan.model)
    if weights_fingerprint(model.path) != plan.fingerprint:
        raise MisuseError(
            f"against={show(folder)}: was drawn with other weights of {plan.model}; "
            f"name a new folder: {AGAIN}"
        )
    if critic:
        raise MisuseError(
            f"against={show(folder)}: was drawn with a critic, which genui no longer has; "
            f"name a new folder: {AGAIN}"
        )
    drawer = read_header(model.path).recipe
    if not isinstance(drawer, DiffusionRecipe):
        raise MisuseError(f"against={show(folder)}: {model.name} is no diffusion model of images")
    for name in ALIKE:
        if getattr(drawer, name) != getattr(recipe, name):
            raise MisuseError(
                f"against={show(folder)}: {model.name} has {name}={getattr(drawer, name)} and "
                f"this recipe {getattr(recipe, name)}; start from it: --from {model.name}"
            )
    return model
