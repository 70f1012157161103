"""Fashion-MNIST, from the IDX files that MNIST's format is. Nothing in such a file is trusted."""

import gzip
import io
import math
import os
import struct
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from genui.base.errors import MisuseError
from genui.base.files import read_regular
from genui.engine.data.download import fetch, shared
from genui.engine.data.images import SIDE, RawImages, fingerprint

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


# --- Fashion-MNIST (Xiao et al. 2017): ten kinds of clothing, 6,000 grey images each --------
# Many images to one caption, so that a sample can be new; and an official test set, so that
# what is learned can be told from what is remembered. The test set is never trained.

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


def read_fashion(data: str = "") -> RawImages:
    """All 70,000 images, the official test set last.

    From `data`, a folder of IDX files or one of them; or else GENUI_DATA/fashion-mnist, Debian's
    package, or a pinned download. Raises MisuseError or GenuiError where they cannot be used.
    """
    folder = _folder(data)
    (trained, trained_labels), (tested, tested_labels) = (_part(folder, part) for part in PARTS)
    grey = np.concatenate((trained, tested))
    labels = np.concatenate((trained_labels, tested_labels))
    captions = tuple(CAPTIONS[label] for label in labels)
    return RawImages(pad(grey), captions, len(tested), fingerprint(grey, captions))


def holds_idx(data: str) -> bool:
    """Whether a path of the user's is meant as IDX files: one of them, or a folder with some."""
    path = Path(os.path.expanduser(data))
    if os.path.isdir(path):
        return any(_find(path, name) for name in SHA256)
    return "ubyte" in path.name


def pad(grey: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Grey images [N, 28, 28] on black, repeated to RGB and opaque: [N, 32, 32, 4]."""
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
    whole = (each for each in places if each and all(_find(each, name) for name in SHA256))
    return next(whole, None)


def _part(folder: Path | None, part: str) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """The images [N, 28, 28] and labels [N] of one part."""
    images_path = _fashion_file(folder, f"{part}-images-idx3-ubyte.gz")
    labels_path = _fashion_file(folder, f"{part}-labels-idx1-ubyte.gz")
    images, labels = read_idx(images_path, 3), read_idx(labels_path, 1)
    if images.shape[1:] != (DRAWN, DRAWN):
        height, width = images.shape[1:]
        raise MisuseError(f"{images_path}: images of {width}×{height}; {DRAWN}×{DRAWN} needed")
    if len(images) != len(labels):
        raise MisuseError(
            f"{labels_path}: {len(labels):,} labels for {len(images):,} images; "
            "take both files from one place"
        )
    if not len(labels):
        raise MisuseError(f"{images_path}: holds no image")
    if labels.max() >= len(CAPTIONS):
        raise MisuseError(f"{labels_path}: label {labels.max()}; they go from 0 to 9")
    return images, labels


def _fashion_file(folder: Path | None, name: str) -> Path:
    if folder is None:
        return fetch(name, URL + name, SHA256[name])
    path = _find(folder, name)
    if path is None:
        raise MisuseError(
            f"{folder}: {name} (or without .gz) is missing; all four files of the set are needed: "
            f"{', '.join(SHA256)}"
        )
    return path


def _find(folder: Path, name: str) -> Path | None:
    """The file of that name, packed or not."""
    for path in (folder / name, folder / name.removesuffix(".gz")):
        if os.path.isfile(path):
            return path
    return None
