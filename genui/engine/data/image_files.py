"""One picture file, of a user's own, read into a square of 32×32 pixels. It is not trusted."""

import contextlib
import gzip
import io
import math
import os
import re
import stat
import struct
import tempfile
import warnings
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple, TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from genui.base.errors import MisuseError
from genui.base.files import read_regular
from genui.base.paths import cache_dir
from genui.engine.data.download import fetch, shared
from genui.engine.data.images import SIDE, Pictures, fingerprint, fit_square, hold_out_pictures
from genui.formats.recipe import METADATA, read_plan, used_critic
from genui.recipes import DiffusionRecipe
from genui.runs.models import ModelInfo, find_model, read_header, weights_fingerprint

FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP")
MOST_IMAGE_BYTES = 64 * 2**20


class UnusableError(Exception):
    """The file cannot be used; the message says why and what to do, and leaves out its name."""


class Square(NamedTuple):
    """A picture as it can be used, and what was done to make it so."""

    rgba: NDArray[np.uint8]  # [32, 32, 4]
    changes: tuple[str, ...]  # as "96×64 fitted to 32×32"


def read_square(path: Path, most_pixels: int) -> Square:
    """The picture, upright, padded to a square and fitted to 32×32.

    Raises UnusableError; one of more than `most_pixels` is refused before it is decoded.
    """
    try:
        status = path.stat()
    except FileNotFoundError:
        raise UnusableError("no such file; check its name") from None
    except (OSError, ValueError):  # closed to us, or no name a file can have
        raise UnusableError("cannot be reached; check its name and permissions") from None
    if stat.S_ISDIR(status.st_mode):
        raise UnusableError("is a folder; name a picture file")
    if not stat.S_ISREG(status.st_mode):
        raise UnusableError("is no ordinary file; name a picture file")
    if status.st_size > MOST_IMAGE_BYTES:
        raise UnusableError(f"larger than {MOST_IMAGE_BYTES >> 20} MiB; make it smaller")
    try:
        picture, mode = _opened(path, most_pixels)
    except Image.DecompressionBombError:
        raise UnusableError(f"more than {most_pixels:,} pixels; make it smaller") from None
    except PermissionError:
        raise UnusableError("may not be read; change its permissions") from None
    except UnidentifiedImageError:
        known = f"{', '.join(FORMATS[:-1])} or {FORMATS[-1]}"
        raise UnusableError(f"is no picture this can read; use a {known}") from None
    except Exception:  # a broken file makes Pillow's decoders raise nearly anything
        raise UnusableError("is broken or cut off; replace it with a whole one") from None
    hard_edged = max(picture.size) < SIDE or _is_enlarged_pixel_art(picture)
    resampling = Image.Resampling.NEAREST if hard_edged else Image.Resampling.LANCZOS
    return Square(fit_square(picture, resample=resampling), _changes(picture, mode))


def _changes(picture: Image.Image, mode: str) -> tuple[str, ...]:
    """What a person should know of the fitting; `mode` is the picture's as it was stored."""
    changes = []
    if picture.size != (SIDE, SIDE):
        changes.append(f"{picture.width}×{picture.height} fitted to {SIDE}×{SIDE}")
    if mode.startswith("I"):
        changes.append("16 bits made 8")
    if min(picture.getchannel("A").getextrema()) < 255:  # type: ignore[type-var]
        changes.append("what is transparent filled")
    return tuple(changes)


def _opened(path: Path, most_pixels: int) -> tuple[Image.Image, str]:
    """The picture as RGBA, and its mode in the file."""
    with warnings.catch_warnings():
        # Pillow's own limits: the error is an error, the warning comes below `most_pixels`.
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        with Image.open(path, formats=FORMATS) as opened:  # reads no more than the header
            if opened.width * opened.height > most_pixels:
                raise Image.DecompressionBombError
            return _rgba(ImageOps.exif_transpose(opened)), opened.mode


def _rgba(picture: Image.Image) -> Image.Image:
    if picture.mode.startswith("I"):  # 16 bits of grey, which convert() would clip to white
        grey = np.asarray(picture).astype(np.float64) / 257
        picture = Image.fromarray(np.clip(np.rint(grey), 0, 255).astype(np.uint8))
    return picture.convert("RGBA")


def _is_enlarged_pixel_art(picture: Image.Image) -> bool:
    """Whether it is a square of 32×32 blocks of one colour each."""
    factor = picture.width // SIDE
    if picture.size != (factor * SIDE, factor * SIDE):
        return False
    pixels = np.asarray(picture)
    blocks = pixels[::factor, ::factor].repeat(factor, axis=0).repeat(factor, axis=1)
    return np.array_equal(pixels, blocks)


# --- Drawn pictures kept between runs; a broken or read-only cache is ignored -----------------

Drawn = tuple[NDArray[np.uint8], tuple[str, ...]]
"""Pictures [N, 32, 32, 4] and their N captions."""


def read_cache(key: str) -> Drawn | None:
    """What was drawn under this key, or None."""
    try:
        with np.load(_path(key), allow_pickle=False) as stored:
            rgba, captions = stored["rgba"], tuple(map(str, stored["captions"]))
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None
    if rgba.dtype != np.uint8 or rgba.shape != (len(captions), 32, 32, 4):
        return None
    return rgba, captions


def write_cache(key: str, drawn: Drawn) -> None:
    """Keep what was drawn, if the disk allows; whole or not at all."""
    path = _path(key)
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, aside = tempfile.mkstemp(dir=path.parent, prefix=path.stem, suffix=".tmp")
        try:
            with os.fdopen(handle, "wb") as file:
                np.savez_compressed(file, rgba=drawn[0], captions=np.array(drawn[1]))
            os.replace(aside, path)
        except BaseException:
            os.unlink(aside)
            raise


def _path(key: str) -> Path:
    return cache_dir() / "pictures" / f"{key}.npz"


# --- IDX, the array format of MNIST's files, plain or gzipped. Nothing in such a file is trusted
# Two zero bytes, a byte for the type, a byte for the number of dimensions, their sizes as
# big-endian 32-bit integers, then the values (LeCun et al., http://yann.lecun.com/exdb/mnist).

UNSIGNED_BYTE = 0x08
GZIP_MAGIC = b"\x1f\x8b"
MOST_IDX_BYTES = 256 * 2**20  # unpacked


def read_idx(path: Path, dimensions: int) -> NDArray[np.uint8]:
    """The array in an IDX file of unsigned bytes, with that many dimensions.

    Raises MisuseError naming the file where it is missing, truncated, of another type or shape,
    or longer than it says.
    """
    body = read_regular(path, MOST_IDX_BYTES, "fetch it again", MisuseError)
    if body.startswith(GZIP_MAGIC):
        try:
            with gzip.open(io.BytesIO(body)) as file:
                body = file.read(MOST_IDX_BYTES + 1)
        except (EOFError, zlib.error, gzip.BadGzipFile):
            raise MisuseError(
                f"{path}: its gzip stream is cut off or broken; fetch it again"
            ) from None
    if len(body) > MOST_IDX_BYTES:
        raise MisuseError(f"{path}: unpacks to more than {MOST_IDX_BYTES >> 20} MiB; not read")
    if len(body) < 4 or body[:2] != b"\0\0":
        raise MisuseError(f"{path}: no IDX file (it begins with {body[:4].hex(' ') or 'nothing'})")
    if body[2] != UNSIGNED_BYTE:
        raise MisuseError(f"{path}: IDX type 0x{body[2]:02x}; only unsigned bytes (0x08) are read")
    if body[3] != dimensions:
        raise MisuseError(f"{path}: an IDX array of {body[3]} dimensions; {dimensions} are needed")
    start = 4 + 4 * dimensions
    if len(body) < start:
        raise MisuseError(f"{path}: cut off within its header; fetch it again")
    shape = struct.unpack(f">{dimensions}I", body[4:start])
    wanted = math.prod(shape)
    if len(body) - start != wanted:
        sizes = "×".join(map(str, shape))
        raise MisuseError(
            f"{path}: says {sizes} = {wanted:,} bytes and holds {len(body) - start:,}; "
            "fetch it again"
        )
    return np.frombuffer(body, np.uint8, offset=start).reshape(shape)


# --- Fashion-MNIST (Xiao et al. 2017): ten kinds of clothing, 6,000 grey pictures each --------
# Many pictures to one caption, so that a sample can be new; and an official test set, so that
# what is learned can be told from what is remembered. The test set is the held-out part of these
# `Pictures` and is never trained.

LICENCE = "MIT (Fashion-MNIST, by Zalando SE)"
CAPTIONS = (
    *("t-shirt", "trouser", "pullover", "dress", "coat"),
    *("sandal", "shirt", "sneaker", "bag", "ankle boot"),
)
"""Of the labels 0 to 9."""

DRAWN = 28  # pixels along a side, as published
MARGIN = (SIDE - DRAWN) // 2

URL = "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/"
PARTS = ("train", "t10k")
SHA256 = {
    "train-images-idx3-ubyte.gz": (
        "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84"
    ),
    "train-labels-idx1-ubyte.gz": (
        "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845"
    ),
    "t10k-images-idx3-ubyte.gz": (
        "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073"
    ),
    "t10k-labels-idx1-ubyte.gz": (
        "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5"
    ),
}
"""Of the files as the authors publish them; Debian's were packed again and are not checked."""

FOLDERS = ("/usr/share/datasets/fashion-mnist",)  # Debian: apt install dataset-fashion-mnist


def load_fashion(data: str = "") -> Pictures:
    """All 70,000 pictures, the official test set held out.

    From `data`, a folder of IDX files or one of them; or else GENUI_DATA/fashion-mnist, Debian's
    package, or a pinned download. Raises MisuseError or GenuiError where they cannot be used.
    """
    folder = _folder(data)
    (trained, trained_labels), (tested, tested_labels) = (_part(folder, part) for part in PARTS)
    grey = np.concatenate((trained, tested))
    labels = np.concatenate((trained_labels, tested_labels))
    captions = tuple(CAPTIONS[label] for label in labels)
    return Pictures(
        name="fashion",
        licence=LICENCE if not data else "the user's own",
        fingerprint=fingerprint(grey, captions),
        rgba=padded(grey),
        captions=captions,
        scheme="plain",
        train=np.arange(len(trained)),
        held_out=np.arange(len(trained), len(grey)),
    )


def holds_idx(data: str) -> bool:
    """Whether a path of the user's is meant as IDX files: one of them, or a folder with some."""
    path = Path(os.path.expanduser(data))
    if os.path.isdir(path):
        return any(_found(path, name) for name in SHA256)
    return "ubyte" in path.name


def padded(grey: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Grey pictures [N, 28, 28] on black, repeated to RGB and opaque: [N, 32, 32, 4]."""
    rgba = np.zeros((len(grey), SIDE, SIDE, 4), np.uint8)
    rgba[:, MARGIN:-MARGIN, MARGIN:-MARGIN, :3] = grey[..., None]
    rgba[..., 3] = 255
    return rgba


def _folder(data: str) -> Path | None:
    """Where the four files are; None where they must be fetched."""
    if data:
        path = Path(os.path.expanduser(data))
        return path if os.path.isdir(path) else path.parent
    places = (shared("fashion-mnist"), *map(Path, FOLDERS))
    whole = (each for each in places if each and all(_found(each, name) for name in SHA256))
    return next(whole, None)


def _part(folder: Path | None, part: str) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """The pictures [N, 28, 28] and labels [N] of one part."""
    images_path = _fashion_file(folder, f"{part}-images-idx3-ubyte.gz")
    labels_path = _fashion_file(folder, f"{part}-labels-idx1-ubyte.gz")
    images, labels = read_idx(images_path, 3), read_idx(labels_path, 1)
    if images.shape[1:] != (DRAWN, DRAWN):
        height, width = images.shape[1:]
        raise MisuseError(f"{images_path}: pictures of {width}×{height}; {DRAWN}×{DRAWN} needed")
    if len(images) != len(labels):
        raise MisuseError(
            f"{labels_path}: {len(labels):,} labels for {len(images):,} pictures; "
            "take both files from one place"
        )
    if not len(labels):
        raise MisuseError(f"{images_path}: holds no picture")
    if labels.max() >= len(CAPTIONS):
        raise MisuseError(f"{labels_path}: label {labels.max()}; they go from 0 to 9")
    return images, labels


def _fashion_file(folder: Path | None, name: str) -> Path:
    if folder is None:
        return fetch(name, URL + name, SHA256[name])
    found = _found(folder, name)
    if found is None:
        raise MisuseError(
            f"{folder}: {name} (or without .gz) is missing; all four files of the set are needed: "
            f"{', '.join(SHA256)}"
        )
    return found


def _found(folder: Path, name: str) -> Path | None:
    """The file of that name, packed or not."""
    for path in (folder / name, folder / name.removesuffix(".gz")):
        if os.path.isfile(path):
            return path
    return None


# --- A user's own folder of captioned pictures. Nothing in it is trusted ----------------------
# Captions come from `metadata.jsonl` where there is one ({"file_name": …, "text": …}, as in
# Hugging Face's imagefolder), else from a `name.txt` beside `name.png`, else from the names.

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp")
EXAMPLE_ROW = '{"file_name": "cat.png", "text": "a cat"}'
MOST_PICTURES = 100_000  # 400 MB as 32×32 RGBA
MOST_PIXELS = 50_000_000  # of a picture before it is reduced
MOST_CAPTION = 300  # characters
MOST_NOTES = 20

T = TypeVar("T")
CaptionOf = Callable[[Path, Path], str]
"""(file, the folder given) to the caption that its name says, or ""."""


class _Row(msgspec.Struct):
    """A line of metadata.jsonl; other keys are ignored."""

    file_name: str
    text: str


def load_folder(path: str | os.PathLike[str]) -> Pictures:
    """Every usable picture in the folder and its sub-folders, with its caption.

    What is left out is listed in `notes`. Raises MisuseError where the path is no folder
    or nothing in it can be used.
    """
    folder = open_folder(path, "pictures need a folder, such as cat.png with cat.txt")
    notes: list[str] = []
    usable, _ = read_captioned(folder, SUFFIXES, "pictures", MOST_PICTURES, read_picture, notes)
    rgba = np.stack([picture for picture, _ in usable])
    captions = tuple(caption for _, caption in usable)
    trained, held_out = hold_out_pictures(len(captions))
    return Pictures(
        name=clean_caption(folder.resolve().name) or "folder",
        licence="the user's own",
        fingerprint=fingerprint(rgba, captions),
        rgba=rgba,
        captions=captions,
        scheme="plain",
        train=trained,
        held_out=held_out,
        notes=shortened(notes),
    )


def open_folder(path: str | os.PathLike[str], needs: str) -> Path:
    """The folder that `--data` names. Raises MisuseError, saying what it `needs`, where it is
    none or may not be read."""
    folder = Path(os.path.expanduser(path))
    # os.path and not Path: a name too long or a folder above it closed is False, not an error.
    if not os.path.exists(folder):
        raise MisuseError(f"{shown(folder)}: no such folder; check the path given to --data")
    if not os.path.isdir(folder):
        raise MisuseError(f"{shown(folder)}: is a file; {needs}")
    if not os.access(folder, os.R_OK | os.X_OK):
        raise MisuseError(f"{shown(folder)}: may not be read; change its permissions")
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
        raise MisuseError(f"{shown(folder)}: no {things} in it; looked for {', '.join(suffixes)}")
    if len(files) > most:
        notes.append(f"{shown(folder)}: only the first {most:,} of {len(files):,} taken")
    usable: list[tuple[T, str]] = []
    for file, caption in _captioned(folder, files[:most], notes, of_name or caption_from_name):
        try:
            usable.append((read(file), caption))
        except MisuseError as reason:
            notes.append(str(reason))
    if not usable:
        first = notes[0] if notes else f"{METADATA} names none of them"
        raise MisuseError(f"{shown(folder)}: none of its {len(files)} {things} works: {first}")
    return usable, len(files)


def read_picture(path: Path) -> NDArray[np.uint8]:
    """The picture, upright, padded to a square and fitted to [32, 32, 4].

    Raises MisuseError naming the file where it cannot be used.
    """
    try:
        return read_square(path, MOST_PIXELS).rgba
    except UnusableError as reason:
        raise MisuseError(f"{shown(path)}: {reason}") from None


def clean_caption(text: str) -> str:
    """Printable, lower case, one space between words, of bounded length."""
    printable = "".join(c if c.isprintable() else " " for c in text[: 4 * MOST_CAPTION])
    return " ".join(printable.lower().split())[:MOST_CAPTION].rstrip()


def _files_below(folder: Path, suffixes: tuple[str, ...]) -> list[Path]:
    """The regular files in a folder and its sub-folders that end so, sorted, but hidden ones."""
    found = (
        Path(root) / name
        for root, _, names in os.walk(folder)
        for name in names
        if name.lower().endswith(suffixes) and not name.startswith(".")
    )
    return sorted(path for path in found if os.path.isfile(path))


def _captioned(
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
            notes.append(f"{shown(path)}: no caption; give it {wanted}")


def _metadata(folder: Path, notes: list[str]) -> dict[Path, str] | None:
    """Captions by picture from metadata.jsonl, or None where there is none."""
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
            notes.append(f"{shown(path)} line {number}: expected {EXAMPLE_ROW}")
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


def shortened(notes: list[str]) -> tuple[str, ...]:
    """The first notes, and how many more there are."""
    more = len(notes) - MOST_NOTES
    return (*notes[:MOST_NOTES], f"and {more} more like these") if more > 0 else tuple(notes)


def shown(path: Path) -> str:
    """A file name fit for a message: names may hold control characters."""
    return "".join(c if c.isprintable() else "?" for c in str(path))


# --- Pictures that a model drew, as `genui generate MODEL -n 6000 --out FOLDER` writes them ---

ALIKE = ("channels", "border", "sigma_data")
"""What the errors of two models can be compared by: the same arrays, weighted alike."""

AGAIN = "genui generate MODEL -n 6000 --out FOLDER"


def drawn_by(recipe: DiffusionRecipe) -> ModelInfo:
    """The model that drew the folder of pictures that a recipe is to be trained against.

    Raises MisuseError where no model did, it is there no more, its weights are others now, or it
    cannot be compared with.
    """
    folder = Path(recipe.against)
    try:
        plan, critic = read_plan(folder), used_critic(folder)
    except (OSError, msgspec.DecodeError):
        raise MisuseError(
            f"against={shown(folder)}: is no folder of pictures that a model drew; {AGAIN}"
        ) from None
    model = find_model(plan.model)
    if weights_fingerprint(model.path) != plan.fingerprint:
        raise MisuseError(
            f"against={shown(folder)}: was drawn with other weights of {plan.model}; "
            f"name a new folder: {AGAIN}"
        )
    if critic:
        raise MisuseError(
            f"against={shown(folder)}: was drawn with a critic, which genui no longer has; "
            f"name a new folder: {AGAIN}"
        )
    theirs = read_header(model.path).recipe
    if not isinstance(theirs, DiffusionRecipe):
        raise MisuseError(
            f"against={shown(folder)}: {model.name} is no diffusion model of pictures"
        )
    for name in ALIKE:
        if getattr(theirs, name) != getattr(recipe, name):
            raise MisuseError(
                f"against={shown(folder)}: {model.name} has {name}={getattr(theirs, name)} and "
                f"this recipe {getattr(recipe, name)}; start from it: --from {model.name}"
            )
    return model
