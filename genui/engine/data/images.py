"""Captioned 32×32 pictures as training batches: what icons, emoji and folders have in common."""

import hashlib
import itertools
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from genui.base.errors import MisuseError, did_you_mean
from genui.engine.data.captions import COLOURS, DEFAULT_GROUND, split_words
from genui.recipes import DiffusionRecipe, GanRecipe

SIDE = 32  # pixels
CANVAS = 16  # pixels of the coarse picture a caption alone is trained to draw
HELD_OUT = 60  # names
SMALLEST_SPLIT = 50  # pictures; with fewer, all are trained
HELD_PAIRS = 8  # of the 90 pairs of different colours
PICTURE_SETS = ("icons", "emoji", "fashion")
BARE = 0.4  # share of pictures on a ground whose caption does not name it

Scheme = Literal["figure-ground", "ground", "plain"]
Pair = tuple[str, str]

_NAMES = tuple(COLOURS)
_COLOURS: NDArray[np.float32] = np.divide(list(COLOURS.values()), 255, dtype=np.float32)  # [10, 3]
_DEFAULT = _NAMES.index(DEFAULT_GROUND)


class Batch(NamedTuple):
    """B training examples."""

    captions: list[str]
    rgb: NDArray[np.float32]  # [B, 3, 32, 32] in -1 to 1
    canvas: NDArray[np.float32]  # [B, 4, 16, 16] in -1 to 1


@dataclass(frozen=True, eq=False, kw_only=True)
class Pictures:
    """A set of named pictures and the rule by which they become captioned examples.

    - `figure-ground`: the shape in one colour on another, "red heart on black"; the canvas
      is the shape's alpha, folded 2×2 into four channels.
    - `ground`: the picture on a colour, "octopus on blue", or on black, "octopus"; the
      canvas is the picture's colour, premultiplied, and its alpha, at half the size.
    - `plain`: the picture on black under its own caption; the canvas is its colour at half
      the size, and an alpha that is 1 everywhere.
    """

    name: str
    licence: str
    fingerprint: str
    rgba: NDArray[np.uint8]  # [N, 32, 32, 4], alpha not premultiplied
    captions: tuple[str, ...]  # lower case, one space between words
    scheme: Scheme
    train: NDArray[np.int64]  # indices
    held_out: NDArray[np.int64]  # indices never trained
    held_pairs: frozenset[Pair] = frozenset()  # (figure, ground) never trained together
    notes: tuple[str, ...] = ()  # what was left out while reading, one line each

    def __len__(self) -> int:
        return len(self.captions)

    def batch(
        self, indices: NDArray[np.int64], rng: np.random.Generator, held_pairs: bool = False
    ) -> Batch:
        """Examples of these pictures in colours drawn from `rng`.

        With `held_pairs` the colour pairs are those never trained, without it all others.
        Raises ValueError where they are asked for and the set has none.
        """
        if held_pairs and not self.held_pairs:
            raise ValueError(f"{self.name} holds no colour pairs out")
        names = [self.captions[i] for i in indices]
        canvas = self._canvas_of(indices)
        if self.scheme == "plain":
            return Batch(names, self._over(indices, np.full(len(indices), _DEFAULT)), canvas)
        if self.scheme == "ground":
            ground = rng.integers(len(_NAMES), size=len(indices))
            bare = rng.random(len(indices)) < BARE
            ground[bare] = _DEFAULT
            captions = [
                name if is_bare else f"{name} on {_NAMES[g]}"
                for name, g, is_bare in zip(names, ground, bare, strict=True)
            ]
            return Batch(captions, self._over(indices, ground), canvas)
        pairs = self._held_pairs if held_pairs else self._trained_pairs
        figure, ground = pairs[rng.integers(len(pairs), size=len(indices))].T
        captions = [
            f"{_NAMES[f]} {name} on {_NAMES[g]}"
            for name, f, g in zip(names, figure, ground, strict=True)
        ]
        return Batch(captions, self._filled(indices, figure, ground), canvas)

    def canvas_batch(self, indices: NDArray[np.int64]) -> tuple[list[str], NDArray[np.float32]]:
        """Bare names and canvases [B, 4, 16, 16] in -1 to 1, without drawing the pictures."""
        return [self.captions[i] for i in indices], self._canvas_of(indices)

    def compose(self, caption: str) -> NDArray[np.float32] | None:
        """The true picture [3, 32, 32] in -1 to 1 of a caption, or None where there is none."""
        name, figure, ground = self._read(caption)
        index = self._index.get(name)
        if index is None or ground is None or figure == ground:
            return None
        return self._drawn(index, figure, ground)[0]

    def lineup(self, caption: str) -> NDArray[np.float32] | None:
        """Every picture of the set in the colours of a caption: [N, 3, 32, 32] in -1 to 1."""
        _, figure, ground = self._read(caption)
        return None if ground is None else self._drawn(np.arange(len(self)), figure, ground)

    def captions_in_usual_colours(self, indices: NDArray[np.int64]) -> list[str]:
        """Their captions as `in_colours_of` draws them where no colour is named."""
        return self.in_usual_colours([self.captions[i] for i in indices])

    def in_usual_colours(self, names: Sequence[str]) -> list[str]:
        """Captions that name these in those colours."""
        if self.scheme == "figure-ground":
            return [f"white {name} on {DEFAULT_GROUND}" for name in names]
        return list(names)

    def in_colours_of(self, caption: str, indices: NDArray[np.int64]) -> NDArray[np.float32]:
        """These pictures in the colours a caption names: [B, 3, 32, 32] in -1 to 1.

        Where it names none they are white on black, or on black.
        """
        _, figure, ground = self._read(caption)
        if self.scheme == "figure-ground" and (figure is None or ground is None):
            figure, ground = _NAMES.index("white"), _DEFAULT
        return self._drawn(indices, figure, _DEFAULT if ground is None else ground)

    def _read(self, caption: str) -> tuple[str, int | None, int | None]:
        """A caption's name, figure colour and ground colour, as far as the scheme has them."""
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

    def _drawn(
        self, indices: NDArray[np.int64], figure: int | None, ground: int
    ) -> NDArray[np.float32]:
        """These pictures in one colour each for figure and ground."""
        grounds = np.full(len(indices), ground)
        if figure is None:
            return self._over(indices, grounds)
        return self._filled(indices, np.full(len(indices), figure), grounds)

    # --- what is worked out once -----------------------------------------------------

    @cached_property
    def _index(self) -> dict[str, NDArray[np.int64]]:
        """The first picture of each name."""
        keyed = ((" ".join(split_words(name)), i) for i, name in enumerate(self.captions))
        return {words: np.array([i]) for words, i in reversed(list(keyed))}

    @cached_property
    def names(self) -> frozenset[str]:
        """Every caption once."""
        return frozenset(self.captions)

    @cached_property
    def _trained_pairs(self) -> NDArray[np.int64]:
        return _pair_numbers(frozenset(itertools.permutations(_NAMES, 2)) - self.held_pairs)

    @cached_property
    def _held_pairs(self) -> NDArray[np.int64]:
        return _pair_numbers(self.held_pairs)

    # --- drawing ---------------------------------------------------------------------

    def _planes(self, indices: NDArray[np.int64]) -> NDArray[np.uint8]:
        """[B, 4, 32, 32]"""
        return np.ascontiguousarray(self.rgba[indices].transpose(0, 3, 1, 2))

    def _canvas_of(self, indices: NDArray[np.int64]) -> NDArray[np.float32]:
        canvas = self._coarse(indices).astype(np.float32)
        canvas *= 2 / 255
        canvas -= 1
        return canvas

    def _coarse(self, indices: NDArray[np.int64]) -> NDArray[np.uint8]:
        """The canvases [B, 4, 16, 16] of these pictures, 0 to 255."""
        if self.scheme == "figure-ground":
            alpha = self.rgba[indices, ..., 3].reshape(-1, CANVAS, 2, CANVAS, 2)
            return alpha.transpose(0, 2, 4, 1, 3).reshape(-1, 4, CANVAS, CANVAS)
        if self.scheme == "plain":
            planes = np.ones((len(indices), 4, SIDE, SIDE), np.float32)
            on_black = self._over(indices, np.full(len(indices), _DEFAULT))
            planes[:, :3] = (on_black + 1) / 2
        else:
            planes = self._planes(indices) / np.float32(255)
            planes[:, :3] *= planes[:, 3:]
        coarse = planes.reshape(-1, 4, CANVAS, 2, CANVAS, 2).mean(axis=(3, 5))
        return np.rint(coarse * 255).astype(np.uint8)

    def _over(self, indices: NDArray[np.int64], ground: NDArray[np.int64]) -> NDArray[np.float32]:
        """The pictures composited on one colour each: [B, 3, 32, 32] in -1 to 1."""
        planes = self._planes(indices).astype(np.float32)
        planes /= 255
        below = _COLOURS[ground][:, :, None, None]
        rgb = planes[:, :3] - below
        rgb *= planes[:, 3:]
        rgb += below
        rgb *= 2
        rgb -= 1
        return rgb

    def _filled(
        self, indices: NDArray[np.int64], figure: NDArray[np.int64], ground: NDArray[np.int64]
    ) -> NDArray[np.float32]:
        """The shapes in one colour on another: [B, 3, 32, 32] in -1 to 1."""
        alpha = self.rgba[indices, ..., 3][:, None].astype(np.float32)
        alpha /= 255
        below = _COLOURS[ground][:, :, None, None]
        rgb = np.multiply(alpha, _COLOURS[figure][:, :, None, None] - below, dtype=np.float32)
        rgb += below
        rgb *= 2
        rgb -= 1
        return rgb


def load_pictures(dataset: str, data: str = "") -> Pictures:
    """The picture set of that name, or the user's own folder where `data` names one.

    Raises MisuseError for an unknown name or an unusable folder, GenuiError where a font
    is not installed.
    """
    # The loaders need Pillow and a font; a model that is only asked to draw needs neither.
    if dataset == "fashion":
        from genui.engine.data.image_files import holds_idx, load_fashion

        if not data or holds_idx(data):
            return load_fashion(data)
    if data:
        from genui.engine.data.image_files import load_folder

        return load_folder(data)
    if dataset == "icons":
        from genui.engine.data.icons import load_icons

        return load_icons()
    if dataset == "emoji":
        from genui.engine.data.icons import load_emoji

        return load_emoji()
    raise MisuseError(f"no picture set '{dataset}': {did_you_mean(dataset, PICTURE_SETS)}")


def check_pictures(recipe: DiffusionRecipe | GanRecipe) -> str:
    """One line describing the pictures a recipe would train on, having read them."""
    pictures = load_pictures(recipe.dataset, recipe.data)
    line = f"{pictures.name}: {len(pictures):,} pictures"
    if isinstance(recipe, DiffusionRecipe) and recipe.against:
        from genui.engine.data.image_files import drawn_by

        line += f", against what {drawn_by(recipe).name} drew"
    return with_notes(line, pictures.notes)


def with_notes(line: str, notes: Sequence[str]) -> str:
    """A line on a picture set, and what of it was left out."""
    match notes:
        case []:
            return line
        case [note]:
            return f"{line}; left out: {note}"
        case _:
            return f"{line}; left out: {notes[0]} (and {len(notes) - 1} more like it)"


def fingerprint(rgba: NDArray[np.uint8], captions: Sequence[str]) -> str:
    """16 hexadecimal digits that change when any picture or caption does."""
    digest = hashlib.sha256(np.ascontiguousarray(rgba).tobytes())
    digest.update("\n".join(captions).encode())
    return digest.hexdigest()[:16]


def hold_out_names(
    captions: Sequence[str], keep: Collection[str] = ()
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(trained, held out) indices: about 60 names whose every word another trained name has.

    Single words, which people try first, and names in `keep` are always trained. The choice
    depends on the names alone.
    """
    left = Counter(word for name in captions for word in set(split_words(name)))
    held: list[int] = []
    for i in sorted(range(len(captions)), key=lambda i: shuffle_key(captions[i])):
        words = set(split_words(captions[i]))
        eligible = len(words) > 1 and captions[i] not in keep
        if len(held) < HELD_OUT and eligible and all(left[word] > 1 for word in words):
            held.append(i)
            left.subtract(words)
    return _split(len(captions), held)


def hold_out_pictures(count: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(trained, held out) indices for pictures of any captions: one in 16, at most 60."""
    if count < SMALLEST_SPLIT:
        return _split(count, [])
    order = sorted(range(count), key=lambda i: shuffle_key(str(i)))
    return _split(count, order[: min(HELD_OUT, count // 16)])


def hold_out_pairs() -> frozenset[Pair]:
    """The colour pairs never trained: every colour is still trained as figure and as ground."""
    pairs = sorted(itertools.permutations(_NAMES, 2), key=lambda pair: shuffle_key(" ".join(pair)))
    return frozenset(pairs[:HELD_PAIRS])


def as_pixels(x: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Pictures [..., 3, H, W] in -1 to 1 as bytes [..., H, W, 3]."""
    return np.rint((np.moveaxis(x, -3, -1) + 1) * 127.5).astype(np.uint8)


def as_floats(rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
    """What `as_pixels` takes: pictures [..., H, W, 3] as [..., 3, H, W] in -1 to 1."""
    return np.moveaxis(rgb, -1, -3).astype(np.float32) / 127.5 - 1


def _split(count: int, held: list[int]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    trained = np.ones(count, bool)
    trained[held] = False
    return np.flatnonzero(trained), np.array(sorted(held), np.int64)


def shuffle_key(text: str) -> bytes:
    """An order that looks random and is the same on every machine."""
    return hashlib.sha256(text.encode()).digest()


def _pair_numbers(pairs: Collection[Pair]) -> NDArray[np.int64]:
    return np.array([(_NAMES.index(f), _NAMES.index(g)) for f, g in sorted(pairs)], np.int64)


# --- Any picture into a square of 32×32 pixels ------------------------------------------------


def fit_square(
    picture: Image.Image, margin: int = 0, resample: Image.Resampling = Image.Resampling.LANCZOS
) -> NDArray[np.uint8]:
    """The whole picture, centred on nothing, its longer side `margin` pixels from the edges.

    Returns [32, 32, 4] for mode RGBA and [32, 32] for mode L.
    """
    longest = max(picture.size)
    square = Image.new(picture.mode, (longest, longest))
    square.paste(picture, ((longest - picture.width) // 2, (longest - picture.height) // 2))
    inner = SIDE - 2 * margin
    result = Image.new(picture.mode, (SIDE, SIDE))
    result.paste(square.resize((inner, inner), resample), (margin, margin))
    return np.asarray(result)
