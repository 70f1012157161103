"""Fashion-MNIST, read from files in MNIST's IDX format. Nothing in such a file is trusted."""

import gzip
import io
import os
import struct
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from genui.base import paths
from genui.base.errors import MisuseError
from genui.base.files import read_regular
from genui.engine.data.download import check_reachable, fetch, is_downloaded, shared
from genui.engine.data.image_files import SIDE
from genui.engine.data.images import RawImages, fingerprint
from genui.engine.data.preparation import Report

# --- IDX, MNIST's format of arrays, plain or gzipped ------------------------------------------
# Two zero bytes, a byte for the type, a byte for the number of dimensions, their sizes as
# big-endian 32-bit integers, then the values (LeCun et al., http://yann.lecun.com/exdb/mnist).

UNSIGNED_BYTE = 0x08
GZIP_MAGIC = b"\x1f\x8b"
MAX_IDX_BYTES = 256 * 2**20  # unpacked


def read_idx(path: Path, dimensions: int) -> NDArray[np.uint8]:
    """Read an IDX file of unsigned bytes with that many dimensions.

    Raises MisuseError, naming the file, if it is missing, damaged or another kind of array.
    """
    body = read_regular(path, MAX_IDX_BYTES, "download it again", MisuseError)
    try:
        if body.startswith(GZIP_MAGIC):
            with gzip.open(io.BytesIO(body)) as file:
                body = file.read(MAX_IDX_BYTES + 1)
        if struct.unpack_from(">HBB", body) != (0, UNSIGNED_BYTE, dimensions):
            raise ValueError(f"it begins with {body[:4].hex(' ')}")
        shape = struct.unpack_from(f">{dimensions}I", body, 4)
        return np.frombuffer(body, np.uint8, offset=4 + 4 * dimensions).reshape(shape)
    except (EOFError, OSError, zlib.error, struct.error, ValueError) as error:
        raise MisuseError(
            f"{path}: no IDX file of unsigned bytes in {dimensions} dimensions, or damaged "
            f"({error}); download it again"
        ) from None


# --- Fashion-MNIST (Xiao et al. 2017): ten kinds of clothing, 7,000 grey images each ----------
# There are many images for each caption, so a sample can be new, and an official test set, which
# tells generalisation from memorisation. The test set is never trained on.

CAPTIONS = (
    *("t-shirt", "trouser", "pullover", "dress", "coat"),
    *("sandal", "shirt", "sneaker", "bag", "ankle boot"),
)
"""The captions of the labels 0 to 9."""

FASHION_SIDE = 28  # pixels, as published
MARGIN = (SIDE - FASHION_SIDE) // 2

URL = "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/"
PARTS = ("train", "t10k")
SHA256 = {
    "train-images-idx3-ubyte": "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
    "train-labels-idx1-ubyte": "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
    "t10k-images-idx3-ubyte": "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
    "t10k-labels-idx1-ubyte": "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
}
"""For the authors' .gz files; Debian's were compressed again and are not checked."""

BYTES = {
    "train-images-idx3-ubyte": 26_421_880,
    "train-labels-idx1-ubyte": 29_515,
    "t10k-images-idx3-ubyte": 4_422_102,
    "t10k-labels-idx1-ubyte": 5_148,
}
"""The sizes of these files."""

FOLDERS = ("/usr/share/datasets/fashion-mnist",)  # Debian: apt install dataset-fashion-mnist


def read_fashion(data: str = "") -> RawImages:
    """Read all 70,000 images, the official test set last.

    `data` is a folder of IDX files or one of them. Without it they come from
    GENUI_DATA/fashion-mnist, Debian's package or `download_fashion`. Raises MisuseError or
    GenuiError if they cannot be used.
    """
    folder = _folder(data) or paths.downloads_dir()
    (train, train_labels), (test, test_labels) = (_part(folder, part) for part in PARTS)
    grey = np.concatenate((train, test))
    labels = np.concatenate((train_labels, test_labels))
    captions = tuple(CAPTIONS[label] for label in labels)
    return RawImages(pad(grey), captions, len(test), fingerprint(grey, captions))


def download_fashion(report: Report) -> None:
    """Download the four files, unless a folder has them. Raises GenuiError if one cannot be had."""
    if _folder("") is None:
        for name, sha256 in SHA256.items():
            fetch(f"{name}.gz", f"{URL}{name}.gz", sha256, report=report)


def check_fashion() -> int:
    """How many bytes must be downloaded. Raises GenuiError if there is no network for it."""
    if _folder("") is not None:
        return 0
    missing = [name for name in SHA256 if not is_downloaded(f"{name}.gz")]
    if missing:
        check_reachable(f"{missing[0]}.gz", f"{URL}{missing[0]}.gz")
    return sum(BYTES[name] for name in missing)


def random_fashion() -> RawImages:
    """Random images of the same shapes, to measure the speed of a training."""
    grey = np.random.default_rng(0).integers(0, 256, (600, FASHION_SIDE, FASHION_SIDE), np.uint8)
    captions = tuple(CAPTIONS[label % len(CAPTIONS)] for label in range(len(grey)))
    return RawImages(pad(grey), captions, 200)


def holds_idx(data: str) -> bool:
    """Whether the user's path is an IDX file of the set, or a folder with one."""
    path = Path(os.path.expanduser(data))
    if os.path.isdir(path):
        return any(_find(path, name) for name in SHA256)
    return "ubyte" in path.name


def pad(grey: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Grey images [N, 28, 28] to opaque RGBA with a black margin, [N, 32, 32, 4]."""
    rgba = np.zeros((len(grey), SIDE, SIDE, 4), np.uint8)
    rgba[:, MARGIN:-MARGIN, MARGIN:-MARGIN, :3] = grey[..., None]
    rgba[..., 3] = 255
    return rgba


def _folder(data: str) -> Path | None:
    """The folder with the four files, or None if they must be downloaded."""
    if data:
        path = Path(os.path.expanduser(data))
        return path if os.path.isdir(path) else path.parent
    folders = (shared("fashion-mnist"), *map(Path, FOLDERS))
    complete = (each for each in folders if each and all(_find(each, name) for name in SHA256))
    return next(complete, None)


def _part(folder: Path, part: str) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """The images [N, 28, 28] and labels [N] of one part."""
    images_path = _fashion_file(folder, f"{part}-images-idx3-ubyte")
    labels_path = _fashion_file(folder, f"{part}-labels-idx1-ubyte")
    images, labels = read_idx(images_path, 3), read_idx(labels_path, 1)
    if images.shape[1:] != (FASHION_SIDE, FASHION_SIDE):
        height, width = images.shape[1:]
        needed = f"{FASHION_SIDE}×{FASHION_SIDE} needed"
        raise MisuseError(f"{images_path}: images of {width}×{height}; {needed}")
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


def _fashion_file(folder: Path, name: str) -> Path:
    path = _find(folder, name)
    if path is None:
        raise MisuseError(
            f"{folder}: {name}.gz (or without .gz) is missing; all four files of the set are "
            f"needed: {', '.join(f'{each}.gz' for each in SHA256)}"
        )
    return path


def _find(folder: Path, name: str) -> Path | None:
    """The file of that name, compressed or not."""
    paths = (folder / f"{name}.gz", folder / name)
    return next((path for path in paths if os.path.isfile(path)), None)
