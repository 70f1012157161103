"""Image files and the captions of files in a folder. Nothing in them is trusted."""

import io
import os
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import NamedTuple, cast

import msgspec
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from genui.base.errors import GenuiError, MisuseError
from genui.base.files import read_regular, show
from genui.engine.data.raw_images import SIDE, fit_square
from genui.formats.image import image_errors, open_image, strips
from genui.formats.recipe import METADATA, read_plan
from genui.recipes import DiffusionRecipe
from genui.runs.models import ModelInfo, find_model, read_header, weights_fingerprint

MAX_IMAGE_BYTES = 64 * 2**20

LARGE_PIXELS = 4_000_000
"""A larger image is decoded alone, whatever the number of threads: it may take 4 bytes a pixel."""

_decoding_large = threading.Lock()
_opening = threading.Lock()  # it changes the filters of warnings, which all threads share


class Square(NamedTuple):
    """An image in the size of the models, and what was changed to fit it."""

    rgba: NDArray[np.uint8]  # [32, 32, 4]
    changes: tuple[str, ...]  # such as "96×64 fitted to 32×32"


def read_square(source: Path | bytes, name: str = "") -> Square:
    """Read an image, turn it upright, pad it to a square and scale it to 32×32.

    Raises MisuseError, which begins with the `name` or that of the file. An image that is too large
    is refused before it is decoded.
    """
    name = name or show(cast("Path", source))
    if isinstance(source, Path):
        source = read_regular(
            source, MAX_IMAGE_BYTES, "make it smaller or name another", MisuseError
        )
    try:
        with image_errors():
            with _opening:
                opened = open_image(io.BytesIO(source))
            is_large = opened.width * opened.height > LARGE_PIXELS
            with opened, _decoding_large if is_large else nullcontext():
                mode = opened.mode
                ImageOps.exif_transpose(opened, in_place=True)
                return _fit(_rgba(opened), mode)
    except ValueError as error:
        raise MisuseError(f"{name}: {error}") from None


def _fit(image: Image.Image, mode: str) -> Square:
    """The image in the size of the models; `mode` is its mode in the file."""
    hard_edged = max(image.size) < SIDE or _is_enlarged_pixel_art(image)
    resampling = Image.Resampling.NEAREST if hard_edged else Image.Resampling.LANCZOS
    return Square(fit_square(image, resample=resampling), _changes(image, mode))


def _changes(image: Image.Image, mode: str) -> tuple[str, ...]:
    """Describe what was changed to fit the image; `mode` is its mode in the file."""
    changes = []
    if image.size != (SIDE, SIDE):
        changes.append(f"{image.width}×{image.height} fitted to {SIDE}×{SIDE}")
    if mode.startswith("I"):
        changes.append("16 bits reduced to 8")
    if min(image.getchannel("A").getextrema()) < 255:  # type: ignore[type-var]
        changes.append("transparent areas filled")
    return tuple(changes)


def _rgba(image: Image.Image) -> Image.Image:
    if not image.mode.startswith("I"):
        return image.convert("RGBA")
    grey = Image.new("L", image.size)  # 16 bits, which convert() would clip to white
    for top, strip in strips(image):
        values = np.rint(np.asarray(strip).astype(np.float64) / 257)
        grey.paste(Image.fromarray(np.clip(values, 0, 255).astype(np.uint8)), (0, top))
    return grey.convert("RGBA")


def _is_enlarged_pixel_art(image: Image.Image) -> bool:
    """Whether it consists of 32×32 square blocks of one colour each."""
    factor = image.width // SIDE
    if image.size != (factor * SIDE, factor * SIDE):
        return False
    for top in range(0, image.height, factor):
        row = np.asarray(image.crop((0, top, image.width, top + factor)))
        if (row != row[:1, ::factor].repeat(factor, axis=1)).any():
            return False
    return True


# --- A folder of files with captions ----------------------------------------------------------
# Captions come from `metadata.jsonl` if there is one ({"file_name": …, "text": …}, as in
# Hugging Face's imagefolder), else from `name.txt` beside `name.png`, else from the file names.

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp")

EXAMPLE_ROW = '{"file_name": "cat.png", "text": "a cat"}'
MAX_CAPTION = 300  # characters
MAX_NOTES = 20

CaptionOf = Callable[[Path, Path], str]
"""(file, the dataset's folder) to the caption in the file's name, or ""."""


class _Row(msgspec.Struct):
    """A line of metadata.jsonl. Other keys are ignored."""

    file_name: str
    text: str


def open_folder(path: str | os.PathLike[str], needs: str) -> Path:
    """The folder that `--data` names. Raises MisuseError, which says what it `needs`, if it is not
    a folder or cannot be read."""
    folder = Path(os.path.expanduser(path))
    # os.path and not Path: for a name that is too long it returns False and does not raise.
    if not os.path.exists(folder):
        raise MisuseError(f"{show(folder)}: no such folder; check the path given to --data")
    if not os.path.isdir(folder):
        raise MisuseError(f"{show(folder)}: is a file; {needs}")
    if not os.access(folder, os.R_OK | os.X_OK):
        raise MisuseError(f"{show(folder)}: may not be read; change its permissions")
    return folder


def clean_caption(text: str) -> str:
    """Make a caption printable and lower-case, with single spaces, of at most MAX_CAPTION."""
    printable = "".join(c if c.isprintable() else " " for c in text[: 4 * MAX_CAPTION])
    return " ".join(printable.lower().split())[:MAX_CAPTION].rstrip()


def with_captions(
    folder: Path, files: list[Path], notes: list[str], of_name: CaptionOf | None = None
) -> Iterator[tuple[Path, str]]:
    """Each file with its caption. One without a caption is left out with a note.

    `of_name` is used if there is neither metadata nor a text file.
    """
    from_metadata = _metadata(folder, notes)
    beside = {path for path in files if path.with_suffix(".txt").is_file()}
    for path in files:
        if from_metadata is not None:
            caption, wanted = from_metadata.get(path.resolve(), ""), f"a line in {METADATA}"
        elif beside:
            caption, wanted = _text_beside(path), f"its caption in {path.stem}.txt"
        else:
            caption = (of_name or caption_from_name)(path, folder)
            wanted = "a name that says what it is"
        if caption:
            yield path, caption
        else:
            notes.append(f"{show(path)}: no caption; give it {wanted}")


def _metadata(folder: Path, notes: list[str]) -> dict[Path, str] | None:
    """Captions by file from metadata.jsonl, or None if there is none."""
    path = folder / METADATA
    if not path.is_file():
        return None
    lines = read_regular(path, MAX_IMAGE_BYTES, "split the folder", MisuseError).splitlines()
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
            return clean_caption(file.read(16 * MAX_CAPTION).decode("utf-8-sig", "replace"))
    except OSError:
        return ""


def caption_from_name(path: Path, folder: Path) -> str:
    """The caption in a file's name: "red cat" of red-cat_012.png, "cats" of cats/012.png."""
    name = re.sub(r"[\s_-]*\d+$", "", path.stem)
    if not name and path.parent != folder:
        name = path.parent.name
    return clean_caption(re.sub(r"[_-]+", " ", name))


def shorten_notes(notes: list[str]) -> tuple[str, ...]:
    """The first MAX_NOTES notes, and how many more there are."""
    more = len(notes) - MAX_NOTES
    return (*notes[:MAX_NOTES], f"and {more} more like these") if more > 0 else tuple(notes)


# --- Generated datasets -----------------------------------------------------------------------

ALIKE = ("channels", "border", "sigma_data")
"""Settings that two models must share if their denoising errors are to be comparable."""

COMMAND = "genui generate MODEL -n 6000 --out FOLDER"


def find_reference(recipe: DiffusionRecipe) -> ModelInfo:
    """Find the model that generated the folder of images `recipe.against`.

    Raises MisuseError if no model generated it, or the model no longer exists, has other weights
    now, or is not comparable with the recipe.
    """
    folder = Path(recipe.against)
    try:
        plan = read_plan(folder)
    except GenuiError:
        raise MisuseError(
            f"against={show(folder)}: is not a folder of generated images; {COMMAND}"
        ) from None
    model = find_model(plan.model)
    if weights_fingerprint(model.path) != plan.fingerprint:
        raise MisuseError(
            f"against={show(folder)}: was generated with other weights of {plan.model}; "
            f"name a new folder: {COMMAND}"
        )
    reference = read_header(model.path).recipe
    if not isinstance(reference, DiffusionRecipe):
        raise MisuseError(f"against={show(folder)}: {model.name} is no diffusion model of images")
    for name in ALIKE:
        if getattr(reference, name) != getattr(recipe, name):
            raise MisuseError(
                f"against={show(folder)}: {model.name} has {name}={getattr(reference, name)} and "
                f"this recipe {getattr(recipe, name)}; start from it: --from {model.name}"
            )
    return model
