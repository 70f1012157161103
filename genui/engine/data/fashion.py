"""Fashion-MNIST (Xiao et al. 2017): ten kinds of clothing, 6,000 grey pictures each.

Many pictures to one caption, so that a sample can be new; and an official test set, so that
what is learned can be told from what is remembered. The test set is the held-out part of these
`Pictures` and is never trained.
"""

import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from genui.engine.data.download import fetch, shared
from genui.engine.data.idx import read_idx
from genui.engine.data.pictures import SIDE, Pictures, fingerprint
from genui.errors import MisuseError

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
    images_path = _path(folder, f"{part}-images-idx3-ubyte.gz")
    labels_path = _path(folder, f"{part}-labels-idx1-ubyte.gz")
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


def _path(folder: Path | None, name: str) -> Path:
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
