"""Captioned images: as a dataset loads them, split, and as training batches."""

import hashlib
import itertools
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from genui.engine.data.captions import COLOURS, DEFAULT_GROUND, split_words

CANVAS = 16  # pixels of the coarse image that the network predicts from the caption alone
HELD_OUT = 60  # names
SMALLEST_SPLIT = 50  # images; of fewer, none is held out
HELD_PAIRS = 8  # of the 90 pairs of different colours
BARE = 0.4  # share of the examples of scheme "ground" whose caption names no background
UNSTYLED = 0.5  # share of the examples whose caption does not say the style

BEFORE_COLOUR = ("two", "three", "small", "large")
"""First words of a name that stand before its colour: "two red hearts"."""

Scheme = Literal["figure-ground", "ground", "plain"]
Pair = tuple[str, str]

_NAMES = tuple(COLOURS)
_COLOURS: NDArray[np.float32] = np.divide(list(COLOURS.values()), 255, dtype=np.float32)  # [10, 3]
_DEFAULT = _NAMES.index(DEFAULT_GROUND)


class RawImages(NamedTuple):
    """The result of `load` of a row, as this or as a plain tuple."""

    rgba: NDArray[np.uint8]  # [N, side, side, 4], alpha not premultiplied
    captions: tuple[str, ...]  # lower case, one space between words
    test: int = 0  # the last so many images are the dataset's own test set
    fingerprint: str = ""  # computed from the arrays if it is empty
    name: str = ""  # of the user's own images
    notes: tuple[str, ...] = ()  # what was left out while reading, one line each
    styles: tuple[str, ...] = ()
    """A word for each image that its caption may begin with: names have an image in each style."""
    licence: str = ""  # of what the user named, if it is known to be the dataset's own
    files: tuple[str, ...] = ()  # where each of the user's own images lies, if it is known


def fingerprint(rgba: NDArray[np.uint8], captions: Sequence[str]) -> str:
    """16 hexadecimal digits that change when any image or caption does."""
    digest = hashlib.sha256(np.ascontiguousarray(rgba).tobytes())
    digest.update("\n".join(captions).encode())
    return digest.hexdigest()[:16]


class Batch(NamedTuple):
    """B training examples."""

    captions: list[str]
    rgb: NDArray[np.float32]  # [B, 3, side, side] in -1 to 1
    canvas: NDArray[np.float32]  # [B, 4, 16, 16] in -1 to 1


@dataclass(frozen=True, eq=False, kw_only=True)
class CaptionedImages:
    """Named images, and the scheme by which they become captioned examples.

    - `figure-ground`: the shape in one colour on another, "red heart on black". The canvas is the
      shape's alpha, folded 2×2 into four channels.
    - `ground`: the image on a background colour, "octopus on blue", or on black, "octopus". The
      canvas is the premultiplied colour and the alpha, at its size.
    - `plain`: the image on black with its own caption. The canvas is its colour at that size and an
      alpha of 1.

    With `styles` half of the captions begin with that of the image: "noto octopus on blue".
    """

    name: str
    licence: str
    fingerprint: str
    rgba: NDArray[np.uint8]  # [N, side, side, 4], alpha not premultiplied
    captions: tuple[str, ...]  # lower case, one space between words
    scheme: Scheme
    train: NDArray[np.int64]  # indices
    held_out: NDArray[np.int64]  # indices never trained
    held_pairs: frozenset[Pair] = frozenset()  # (figure, ground) never trained together
    test_set: bool = False  # whether `held_out` is the dataset's own test set
    label_of: Callable[[str], str] | None = None  # as in ImageDataset
    notes: tuple[str, ...] = ()  # what was left out while reading, one line each
    styles: tuple[str, ...] = ()  # as in RawImages
    files: tuple[str, ...] = ()  # as in RawImages

    def __len__(self) -> int:
        return len(self.captions)

    @property
    def line(self) -> str:
        """The dataset in one line: `shapes: 1,200 images to train on, 60 held out`."""
        return (
            f"{self.name}: {len(self.train):,} images to train on, {len(self.held_out):,} held out"
        )

    def describe_source(self, index: int) -> str:
        """Where an image comes from: `icons 41`, or `photos 41 (cats/012.png)`."""
        file = f" ({self.files[index]})" if self.files else ""
        return f"{self.name} {index}{file}"

    def batch(
        self, indices: NDArray[np.int64], rng: np.random.Generator, held_pairs: bool = False
    ) -> Batch:
        """Examples of these images in random colours.

        With `held_pairs` the pairs of colours are the held-out ones, otherwise the trained ones.
        """
        names, canvas = self.canvas_batch(indices, rng)
        if self.scheme == "plain":
            return Batch(names, self._composite(indices, np.full(len(indices), _DEFAULT)), canvas)
        if self.scheme == "ground":
            ground = rng.integers(len(_NAMES), size=len(indices))
            bare = rng.random(len(indices)) < BARE
            ground[bare] = _DEFAULT
            captions = [
                name if is_bare else f"{name} on {_NAMES[g]}"
                for name, g, is_bare in zip(names, ground, bare, strict=True)
            ]
            return Batch(captions, self._composite(indices, ground), canvas)
        pairs = self._held_pairs if held_pairs else self._trained_pairs
        figure, ground = pairs[rng.integers(len(pairs), size=len(indices))].T
        captions = [
            f"{add_colour(name, _NAMES[f])} on {_NAMES[g]}"
            for name, f, g in zip(names, figure, ground, strict=True)
        ]
        return Batch(captions, self._fill(indices, figure, ground), canvas)

    def canvas_batch(
        self, indices: NDArray[np.int64], rng: np.random.Generator
    ) -> tuple[list[str], NDArray[np.float32]]:
        """Names, some with their style, and canvases [B, 4, 16, 16] in -1 to 1, without the
        images."""
        names = [self.captions[i] for i in indices]
        if self.styles:
            styled = rng.random(len(indices)) >= UNSTYLED
            names = [
                f"{self.styles[i]} {name}" if is_styled else name
                for i, name, is_styled in zip(indices, names, styled, strict=True)
            ]
        return names, self._canvas(indices)

    def compose(self, caption: str) -> NDArray[np.float32] | None:
        """The true image of a caption, [3, side, side] in -1 to 1, or None if there is none."""
        name, figure, ground = self._read(caption)
        index = self._index.get(name)
        if index is None or ground is None or figure == ground:
            return None
        return self._draw(index, figure, ground)[0]

    def draw_all(self, caption: str) -> NDArray[np.float32] | None:
        """Every image in the colours of a caption, [N, 3, side, side] in -1 to 1, or None if the
        caption names no background."""
        _, figure, ground = self._read(caption)
        return None if ground is None else self._draw(np.arange(len(self)), figure, ground)

    def default_captions(self, indices: NDArray[np.int64]) -> list[str]:
        """The captions of these images in the default colours of `draw_in_colours_of`."""
        return self.add_default_colours([self.captions[i] for i in indices])

    def add_default_colours(self, names: Sequence[str]) -> list[str]:
        """Turn names into captions with the default colours of `draw_in_colours_of`."""
        if self.scheme == "figure-ground":
            return [f"white {name} on {DEFAULT_GROUND}" for name in names]
        return list(names)

    def in_default_colours(self, caption: str) -> str:
        """A caption with the default colours in place of its own; unchanged if it names none."""
        name, figure, ground = self._read(caption)
        if ground is None or (self.scheme == "figure-ground" and figure is None):
            return caption
        return self.add_default_colours([name])[0]

    def draw_in_colours_of(self, caption: str, indices: NDArray[np.int64]) -> NDArray[np.float32]:
        """These images in the colours that a caption names, [B, 3, side, side] in -1 to 1.

        By default shapes are white and the background is black.
        """
        _, figure, ground = self._read(caption)
        if self.scheme == "figure-ground" and (figure is None or ground is None):
            figure, ground = _NAMES.index("white"), _DEFAULT
        return self._draw(indices, figure, _DEFAULT if ground is None else ground)

    def _read(self, caption: str) -> tuple[str, int | None, int | None]:
        """Parse a caption: the name and the indices of the figure's and the ground's colour.

        A colour is None if the scheme has none or the caption does not name it.
        """
        words = " ".join(split_words(caption))
        if self.scheme == "plain" or (self.scheme == "ground" and words in self._index):
            return words, None, _DEFAULT
        subject, _, ground_name = words.rpartition(" on ")
        ground = _NAMES.index(ground_name) if ground_name in COLOURS else None
        if self.scheme == "ground":
            return subject, None, ground
        figure_name, _, name = subject.partition(" ")
        if figure_name not in COLOURS:
            return name, None, None
        return name, _NAMES.index(figure_name), ground

    def _draw(
        self, indices: NDArray[np.int64], figure: int | None, ground: int
    ) -> NDArray[np.float32]:
        """These images with one ground colour, and one figure colour if it is given."""
        grounds = np.full(len(indices), ground)
        if figure is None:
            return self._composite(indices, grounds)
        return self._fill(indices, np.full(len(indices), figure), grounds)

    @cached_property
    def _index(self) -> dict[str, NDArray[np.int64]]:
        """Normalised name, also with its style, to the index of its first image, [1]."""
        names = [*self.captions, *map(" ".join, zip(self.styles, self.captions, strict=False))]
        keyed = ((" ".join(split_words(name)), i % len(self)) for i, name in enumerate(names))
        return {words: np.array([i]) for words, i in reversed(list(keyed))}

    @cached_property
    def names(self) -> frozenset[str]:
        """The distinct captions."""
        return frozenset(self.captions)

    @cached_property
    def _trained_pairs(self) -> NDArray[np.int64]:
        return _pair_numbers(frozenset(itertools.permutations(_NAMES, 2)) - self.held_pairs)

    @cached_property
    def _held_pairs(self) -> NDArray[np.int64]:
        return _pair_numbers(self.held_pairs)

    def _planes(self, indices: NDArray[np.int64]) -> NDArray[np.uint8]:
        """RGBA of these images, [B, 4, side, side], 0 to 255."""
        return np.ascontiguousarray(self.rgba[indices].transpose(0, 3, 1, 2))

    def _canvas(self, indices: NDArray[np.int64]) -> NDArray[np.float32]:
        """The canvases of these images, [B, 4, 16, 16] in -1 to 1."""
        canvas = self._coarse(indices).astype(np.float32)
        canvas *= 2 / 255
        canvas -= 1
        return canvas

    def _coarse(self, indices: NDArray[np.int64]) -> NDArray[np.uint8]:
        """The canvases of these images before scaling, [B, 4, 16, 16], 0 to 255."""
        if self.scheme == "figure-ground":
            alpha = _shrink(self.rgba[indices, ..., 3], 2 * CANVAS).astype(np.uint8)
            alpha = alpha.reshape(-1, CANVAS, 2, CANVAS, 2)
            return alpha.transpose(0, 2, 4, 1, 3).reshape(-1, 4, CANVAS, CANVAS)
        if self.scheme == "plain":
            planes = np.ones((len(indices), 4, *self.rgba.shape[1:3]), np.float32)
            on_black = self._composite(indices, np.full(len(indices), _DEFAULT))
            planes[:, :3] = (on_black + 1) / 2
        else:
            planes = self._planes(indices) / np.float32(255)
            planes[:, :3] *= planes[:, 3:]
        return np.rint(_shrink(planes, CANVAS) * 255).astype(np.uint8)

    def _composite(
        self, indices: NDArray[np.int64], ground: NDArray[np.int64]
    ) -> NDArray[np.float32]:
        """These images on one background colour each, [B, 3, side, side] in -1 to 1."""
        planes = self._planes(indices).astype(np.float32)
        planes /= 255
        return blend(planes[:, :3], _COLOURS[ground][:, :, None, None], planes[:, 3:])

    def _fill(
        self, indices: NDArray[np.int64], figure: NDArray[np.int64], ground: NDArray[np.int64]
    ) -> NDArray[np.float32]:
        """The shapes in one colour on another, [B, 3, side, side] in -1 to 1."""
        alpha = self.rgba[indices, ..., 3][:, None].astype(np.float32)
        alpha /= 255
        foreground, background = (_COLOURS[each][:, :, None, None] for each in (figure, ground))
        return blend(foreground, background, alpha)


def hold_out_names(
    captions: Sequence[str], keep: Collection[str] = ()
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(trained, held out) indices. At most 60 names are held out, with all images of each, and each
    of their words also occurs in a trained name.

    Single words, which people try first, and names in `keep` are always trained. The choice
    depends only on the names.
    """
    names = dict.fromkeys(captions)
    trained_counts = Counter(word for name in names for word in set(split_words(name)))
    held: set[str] = set()
    for name in sorted(names, key=shuffle_key):
        words = set(split_words(name))
        eligible = len(words) > 1 and name not in keep
        if len(held) < HELD_OUT and eligible and all(trained_counts[word] > 1 for word in words):
            held.add(name)
            trained_counts.subtract(words)
    return _split(len(captions), [i for i, name in enumerate(captions) if name in held])


def hold_out_images(count: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(trained, held out) indices, whatever the captions: one in 16 is held out, at most 60."""
    if count < SMALLEST_SPLIT:
        return _split(count, [])
    order = sorted(range(count), key=lambda i: shuffle_key(str(i)))
    return _split(count, order[: min(HELD_OUT, count // 16)])


def hold_out_pairs() -> frozenset[Pair]:
    """The held-out pairs of colours. Every colour is still trained as figure and as ground."""
    pairs = sorted(itertools.permutations(_NAMES, 2), key=lambda pair: shuffle_key(" ".join(pair)))
    return frozenset(pairs[:HELD_PAIRS])


def blend(
    foreground: NDArray[np.float32], background: NDArray[np.float32], alpha: NDArray[np.floating]
) -> NDArray[np.float32]:
    """Alpha-composite colours, all 0 to 1 and broadcast; returns colours in -1 to 1."""
    rgb: NDArray[np.float32] = np.multiply(alpha, foreground - background, dtype=np.float32)
    rgb += background
    rgb *= 2
    rgb -= 1
    return rgb


def as_pixels(x: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Images [..., 3, H, W] in -1 to 1 to uint8 [..., H, W, 3]."""
    return np.rint((np.moveaxis(x, -3, -1) + 1) * 127.5).astype(np.uint8)


def as_floats(rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
    """The inverse of `as_pixels`: uint8 [..., H, W, 3] to [..., 3, H, W] in -1 to 1."""
    return np.moveaxis(rgb, -1, -3).astype(np.float32) / 127.5 - 1


def add_colour(name: str, colour: str) -> str:
    """A name with its colour: "red heart", "two red hearts"."""
    first, _, rest = name.partition(" ")
    return f"{first} {colour} {rest}" if rest and first in BEFORE_COLOUR else f"{colour} {name}"


def _shrink(planes: NDArray[Any], side: int) -> NDArray[Any]:
    """Planes [..., S, S] to [..., side, side]: means of squares. They are returned as they are if
    they have that size."""
    factor = planes.shape[-1] // side
    if factor == 1:
        return planes
    return planes.reshape(*planes.shape[:-2], side, factor, side, factor).mean(axis=(-3, -1))


def _split(count: int, held: list[int]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    trained = np.ones(count, bool)
    trained[held] = False
    return np.flatnonzero(trained), np.array(sorted(held), np.int64)


def shuffle_key(text: str) -> bytes:
    """A sort key for a pseudo-random order that is the same on every machine."""
    return hashlib.sha256(text.encode()).digest()


def _pair_numbers(pairs: Collection[Pair]) -> NDArray[np.int64]:
    return np.array([(_NAMES.index(f), _NAMES.index(g)) for f, g in sorted(pairs)], np.int64)
