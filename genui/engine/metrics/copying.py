"""Whether samples are copies of training data: verbatim passages and nearest neighbours."""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from genui.base.errors import GenuiError, MisuseError
from genui.base.text import clean, clean_line
from genui.engine import kinds
from genui.engine.data.image_datasets import load_images
from genui.engine.data.image_files import SIDE
from genui.engine.data.images import CaptionedImages, as_floats, as_pixels
from genui.engine.data.text import heading_of, load_training_text
from genui.engine.sample.diffusion import DiffusionGenerator
from genui.engine.sample.text import TextGenerator, TextState
from genui.engine.sample.trace import Trace
from genui.protocol import Agreement, ImageFrame, ImageSettings, Neighbour, Neighbours, Quote
from genui.protocol.edits import inputs_at
from genui.recipes import Recipe, TextRecipe
from genui.runs.models import own_recipe

# --- Verbatim runs of a text ------------------------------------------------------------------

GRAM = 8  # bytes per gram
STRIDE = 4  # bytes between the indexed suffixes
SHORTEST = GRAM + STRIDE - 1
"""Runs of at least so many bytes are always found; shorter ones may be missed."""

MAX_BYTES = 50 * 10**6
"""The longest text that is indexed; the rest is ignored (`Verbatim.whole`)."""

_GAP = b"\0"  # between two texts: no run contains it


class TextRun(NamedTuple):
    """Bytes [start, start + length) of a text, which occur in an index from `place` on."""

    start: int
    length: int
    place: int  # in `Verbatim.data`

    @property
    def end(self) -> int:
        return self.start + self.length


NO_RUN = TextRun(0, 0, 0)


class Verbatim:
    """An index that finds the runs of bytes that a text shares with the indexed texts.

    It is a suffix array of every fourth suffix. Any run of `SHORTEST` bytes contains the first
    `GRAM` bytes of one, so it is found exactly. The index takes 3 bytes per byte of text; a whole
    suffix array would take 4 or 8. `data` is all texts, each followed by a gap.
    """

    def __init__(self, texts: Sequence[bytes]) -> None:
        parts: list[bytes] = []
        self.starts: list[int] = []  # of each text in `data`
        size = 0
        for text in texts:
            if size >= MAX_BYTES:
                break
            self.starts.append(size)
            parts += [text[: MAX_BYTES - size].replace(_GAP, b" "), _GAP]
            size += len(parts[-2]) + 1
        self.whole = size >= sum(map(len, texts)) + len(texts)  # whether all texts are indexed
        self.data = b"".join(parts)
        self._bytes = np.frombuffer(self.data, np.uint8)
        aligned = _grams(self.data + bytes(GRAM), STRIDE)
        self._order = _sort_suffixes(aligned)
        self._sorted = aligned[self._order]

    def longest(self, text: bytes) -> TextRun:
        """The first of the longest runs of `text` that occur in the indexed texts.

        Its length is 0 if there is no run of `SHORTEST` bytes.
        """
        runs = self._runs(text, SHORTEST, growing=True)
        return max(runs, key=lambda run: run.length, default=NO_RUN)

    def passages(self, text: bytes, shortest: int) -> list[TextRun]:
        """The runs of at least `shortest` bytes, the longest first; none shares a byte with a
        longer one."""
        apart: list[TextRun] = []
        for run in sorted(self._runs(text, shortest), key=lambda run: -run.length):
            if all(run.end <= one.start or one.end <= run.start for one in apart):
                apart.append(run)
        return apart

    def _runs(self, text: bytes, shortest: int, growing: bool = False) -> Iterator[TextRun]:
        """The runs of at least `shortest` bytes, by their start, that are no part of one before.

        If `growing`, only those that are longer than all before.
        """
        text = text.replace(_GAP, b" ")
        grams = _grams(text)
        low, high = (np.searchsorted(self._sorted, grams, side) for side in ("left", "right"))
        reached = 0
        for start in range(len(text)):
            end = max(start + shortest, reached + 1)
            if end > len(text):
                return
            best = NO_RUN
            for first in range(start, start + STRIDE):  # where an indexed suffix begins
                run = self._extend(text, start, first, end, int(low[first]), int(high[first]))
                if run.length:
                    best, end = run, run.end + 1
            if best.length:
                reached = best.end
                shortest = best.length + 1 if growing else shortest
                yield best

    def _extend(
        self, text: bytes, start: int, first: int, end: int, low: int, high: int
    ) -> TextRun:
        """The longest run from `start` on that reaches `end`, of which an indexed suffix begins at
        `first`; `low` and `high` are the bounds of those that share a gram with it."""
        best = NO_RUN
        while end <= len(text) and low < high:
            low, high = self._narrow(text[first:end], low, high)
            place = self._place(text[start:first], low, high)
            if place is None:
                break
            # The last byte is a gap, which matches no text.
            while end < len(text) and self.data[place + end - start] == text[end]:
                end += 1
            best = TextRun(start, end - start, place)
            end += 1
        return best

    def _narrow(self, prefix: bytes, low: int, high: int) -> tuple[int, int]:
        """The bounds of those of the sorted suffixes `low` to `high` that begin with `prefix`."""
        if len(prefix) <= GRAM:
            return low, high

        def beginning(suffix: int) -> bytes:
            return self.data[STRIDE * int(suffix) : STRIDE * int(suffix) + len(prefix)]

        order = self._order
        low = bisect_left(order, prefix, low, high, key=beginning)
        return low, bisect_right(order, prefix, low, high, key=beginning)

    def _place(self, before: bytes, low: int, high: int) -> int | None:
        """Where the bytes `before` stand in front of one of the sorted suffixes `low` to `high`."""
        places = self._order[low:high].astype(np.int64) * STRIDE - len(before)
        places = places[places >= 0]
        for offset, byte in enumerate(before):
            places = places[self._bytes[places + offset] == byte]
        return int(places[0]) if len(places) else None

    def locate(self, place: int) -> tuple[int, int]:
        """The number of the text that a byte of `data` is in, and its line; both count from 1."""
        number = bisect_right(self.starts, place)
        return number, 1 + self.data.count(b"\n", self.starts[number - 1], place)


def _grams(data: bytes, stride: int = 1) -> NDArray[np.uint64]:
    """The grams `stride` bytes apart, 1 to GRAM, as numbers in their order: at stride 1
    [len(data) - GRAM + 1]."""
    count = len(data) - GRAM + 1
    if count <= 0:
        return np.empty(0, np.uint64)
    grams = np.empty(-(-count // stride), np.uint64)
    for offset in range(0, min(GRAM, count), stride):
        whole = (len(data) - offset) // GRAM
        grams[offset // stride :: GRAM // stride] = np.frombuffer(data, ">u8", whole, offset)
    return grams


def _sort_suffixes(grams: NDArray[np.uint64]) -> NDArray[np.int32]:
    """The order of the suffixes that begin with these grams, `STRIDE` bytes apart. After the last
    comes nothing.

    Prefix doubling (Manber & Myers 1990): what is sorted by its first bytes is sorted by twice as
    many with the ranks of the suffixes that follow them. Only ties are sorted again.
    """
    order = np.argsort(grams, kind="stable").astype(np.int32)
    ranks = np.zeros(len(grams) + 1, np.int32)  # from 1; the last is that of nothing
    tied, keys, ahead = np.arange(len(grams), dtype=np.int32), grams[order], GRAM // STRIDE
    while len(tied) and ahead < 2 * len(grams):
        begins = np.ones(len(tied), bool)  # whether it differs from the one before
        np.not_equal(keys[1:], keys[:-1], out=begins[1:])
        ranks[order[tied]] = np.maximum.accumulate(np.where(begins, tied, 0)) + 1
        tied = tied[~(begins & np.append(begins[1:], True))]
        suffixes = order[tied]
        after = np.minimum(suffixes.astype(np.int64) + ahead, len(grams))
        keys = ranks[suffixes].astype(np.int64) << 32 | ranks[after]
        sorted_by = np.argsort(keys, kind="stable")
        order[tied], keys, ahead = suffixes[sorted_by], keys[sorted_by], 2 * ahead
    return order


# --- The share of generated text that is copied -----------------------------------------------
# The three-sample test of Meehan et al. 2020, with verbatim runs as its distance. A passage is
# nearer to the training text if its longest run there is longer than in as much held-out text. If
# a model copies nothing this holds for half of the passages, since both contain common phrases.

PASSAGE = 120  # bytes
MAX_PARTS = 4  # of the training text, each as long as the held-out text


@dataclass(frozen=True)
class Copying:
    passages: int
    share: float  # of passages nearer to the training text, ties as half; 0.5: nothing is copied
    longest: int  # bytes of the longest run in the whole training text
    longest_real: int  # the same for as much held-out text, which is no copy

    def __str__(self) -> str:
        return (
            f"{self.share:.2f} of {self.passages} passages are nearer to training than to "
            f"held-out text (0.5: none)"
        )


def copying(
    samples: Sequence[bytes],
    train: Sequence[bytes],
    held_out: Sequence[bytes],
) -> Copying:
    """Compare the passages of the samples with the training and the held-out text.

    Raises ValueError if there is no passage, or less training text than held-out text.
    """
    passages = [
        sample[at : at + PASSAGE]
        for sample in samples
        for at in range(0, len(sample) - PASSAGE // 2, PASSAGE)
    ]
    size = sum(map(len, held_out))
    parts = list(_parts(train, size))[:MAX_PARTS]
    if not passages or not parts:
        raise ValueError(f"{len(passages)} passages and {len(parts)} parts of training text")
    held = Verbatim(held_out)
    to_held = [held.longest(each).length for each in passages]
    wins = 0.0
    for part in map(Verbatim, parts):
        for each, held_length in zip(passages, to_held, strict=True):
            length = part.longest(each).length
            wins += 1.0 if length > held_length else 0.5 if length == held_length else 0.0
    whole = Verbatim(train)
    return Copying(
        passages=len(passages),
        share=wins / (len(parts) * len(passages)),
        longest=max(whole.longest(sample).length for sample in samples),
        longest_real=max(
            whole.longest(piece).length
            for piece in _pieces(b"\n".join(held_out), [*map(len, samples)])
        ),
    )


def _pieces(text: bytes, sizes: Sequence[int]) -> list[bytes]:
    """Pieces of these sizes of the text, evenly spaced."""
    step = len(text) // max(1, len(sizes))
    return [text[i * step : i * step + size] for i, size in enumerate(sizes)]


def _parts(texts: Sequence[bytes], size: int) -> list[list[bytes]]:
    """Disjoint parts of the texts, `size` bytes each; a text may continue in the next part."""
    parts: list[list[bytes]] = []
    part: list[bytes] = []
    room = size
    for text in texts:
        while text and size:
            piece, text = text[:room], text[room:]
            part.append(piece)
            room -= len(piece)
            if not room:
                parts.append(part)
                part, room = [], size
    return parts


# --- The training data most similar to a sample -----------------------------------------------
# For images, clips and recordings the nearest neighbours, for tokens quotes.

CHUNK_VALUES = 3 << 20  # of training images per comparison: 12 MB
IMAGE_DISTANCE = "root mean square of the colours' differences, 0 to 255"

Floats = NDArray[np.floating]


def prepare(trace: Trace, step: int) -> Agreement | None:
    """What takes long before `nearest`: the index of a text, or `Trains.prepare`. What it raises
    `nearest` reports too."""
    recipe = own_recipe(trace.request.model)
    trains = kinds.trains(recipe)
    if trains.index is not None:
        trains.index(recipe)
    return trains.prepare(recipe, trace, step) if trains.prepare is not None else None


def nearest(trace: Trace, step: int, count: int) -> Neighbours:
    """The training data most similar to the sample at `step`.

    If the data cannot be read, `fault` says why. Raises MisuseError for a step that was not
    computed.
    """
    if not 0 <= step <= trace.reached:
        raise MisuseError(f"step {step}: this trace is at step {trace.reached}")
    try:
        neighbours = _compare(own_recipe(trace.request.model), trace, step, count)
    except GenuiError as fault:
        neighbours = Neighbours(trace=0, step=0, fault=f"nothing to compare with: {fault}")
    return replace(neighbours, trace=trace.request.trace, step=step)


def _compare(recipe: Recipe, trace: Trace, step: int, count: int) -> Neighbours:
    """Raises MisuseError for a kind without a comparison, and MisuseError or GenuiError if the data
    cannot be read."""
    trains = kinds.trains(recipe)
    if trains.index is not None:
        return quote_passages(trains.index(recipe), trace, step)
    if trains.nearest is None:
        raise MisuseError(f"a {recipe.family} of {recipe.medium} is not compared with its data")
    return trains.nearest(recipe, trace, step, count)


def closest(
    data: str,
    measured: str,
    distances: Floats,
    count: int,
    example: Callable[[int], tuple[str, NDArray[np.uint8]]],
) -> Neighbours:
    """The `count` examples with the smallest distances [N]; `example(i)` is a caption and an image
    [H, W, 3]."""
    neighbours = []
    for i in np.argsort(distances, kind="stable")[:count].tolist():
        caption, rgb = example(i)
        height, width, _ = rgb.shape
        neighbours.append(
            Neighbour(
                caption=clean_line(caption),
                distance=float(distances[i]),
                width=width,
                height=height,
                rgb=rgb.tobytes(),
            )
        )
    return Neighbours(trace=0, step=0, data=data, measured=measured, images=tuple(neighbours))


def nearest_images(
    recipe: Recipe, trace: Trace, step: int, count: int, side: int = SIDE
) -> Neighbours:
    """The training images nearest to the denoised image at `step`, in the caption's colours.

    Raises MisuseError for a grid, and what `load_images` raises.
    """
    frame = trace.generator.frame(trace.state(step))
    if not isinstance(frame, ImageFrame) or len(frame.denoised) != side * side * 3:
        raise MisuseError(f"one image of {side}×{side} is compared, and not a grid: draw one")
    sample = np.frombuffer(frame.denoised, np.uint8).reshape(side, side, 3)
    images = _images(recipe.dataset, recipe.data, side)
    caption = inputs_at(trace.request, step)[0]

    def example(i: int) -> tuple[str, NDArray[np.uint8]]:
        index = images.train[i]
        rgb = images.draw_in_colours_of(caption, np.array([index]))
        return images.captions[index], as_pixels(rgb[0])

    data = f"{clean_line(images.name)}, {len(images.train):,} images"
    distances = image_distances(images, sample, caption)
    return closest(data, IMAGE_DISTANCE, distances, count, example)


SEEDS = (1, 2, 3)
SIGMA = 2.8
"""Predictions are compared at the first noise level of at most this: of 12 steps, at 2.7."""
ONE_PICTURE = 0.1
"""The spread up to which a caption gives one picture. How many held-out names of `icons` it takes
for one picture, and trained ones for many: `python -m tests.bench one_or_many`."""


def compare_seeds(recipe: Recipe, trace: Trace, step: int) -> Agreement:
    """How far the images differ that `SEEDS` predict for the caption at `step`.

    They are drawn in the default colours, with 12 steps at the usual guidance: of a weaker
    contrast the noise hides more, so that trained and held-out names hardly differ. Raises what
    `load_images` raises.
    """
    generator = trace.generator
    assert isinstance(generator, DiffusionGenerator)
    images = _images(recipe.dataset, recipe.data)
    caption = images.in_default_colours(inputs_at(trace.request, step)[0])
    return Agreement(
        caption=caption,
        seeds=len(SEEDS),
        spread=spread(generator, caption, SEEDS),
        edge=ONE_PICTURE,
    )


def spread(generator: DiffusionGenerator, caption: str, seeds: Sequence[int]) -> float:
    """The standard deviation over the seeds of the images predicted for a caption, of colours from
    -1 to 1; its root mean square over the pixels."""
    settings, captions = ImageSettings(steps=12), [caption] * len(seeds)
    x0 = generator.denoised(captions, list(seeds), settings, until=SIGMA)
    return float(x0.clamp(-1, 1).var(0).mean().sqrt())


def image_distances(
    images: CaptionedImages, sample: NDArray[np.uint8], caption: str
) -> NDArray[np.float64]:
    """The root mean square difference, 0 to 255, of each training image in the caption's colours
    from a sample [H, W, 3]."""
    target = as_floats(sample)
    squares, chunk = np.empty(len(images.train), np.float32), CHUNK_VALUES // target.size
    for at in range(0, len(squares), chunk):
        indices = images.train[at : at + chunk]
        difference = images.draw_in_colours_of(caption, indices)
        difference -= target
        squares[at : at + len(indices)] = np.einsum("bchw,bchw->b", difference, difference)
    return 127.5 * np.sqrt(squares / target.size, dtype=np.float64)


@lru_cache(maxsize=2)
def _images(dataset: str, data: str, side: int = SIDE) -> CaptionedImages:
    return load_images(dataset, data, side=side)


# --- Whose words are these? -------------------------------------------------------------------

AROUND = 60  # bytes of training text shown before and after a passage
LEAST = 20  # bytes of a passage that is quoted
HELD_OUT = 100  # held-out passages that are searched in the same way
HELD_OUT_BYTES = 400  # of each


@dataclass(frozen=True)
class TracedText:
    """A training text that passages are traced to."""

    described: str
    index: Verbatim
    names: tuple[str, ...]  # of the indexed documents; () if they have none
    usual: tuple[int, ...]  # bytes of the longest copies in held-out passages

    def where(self, run: TextRun) -> str:
        """Where a run stands: its document, its line and the heading over its end."""
        index, last = self.index, run.place + run.length - 1
        number, line = index.locate(run.place)
        count = len(index.starts)
        document = f"document {number:,} of {count:,}" if count > 1 else ""
        name = self.names[number - 1] if self.names else document
        begin = max(index.starts[number - 1], last - HELD_OUT_BYTES * 10)
        before = index.data[begin:last].decode("utf-8", "ignore")
        after = index.data[last : last + AROUND].decode("utf-8", "ignore")
        heading = heading_of(before + after, len(before))
        return clean_line(", ".join(filter(None, (name, f"line {line:,}", heading))))

    def share_held_out(self, length: int) -> float | None:
        """The share of held-out passages with a copy of so many bytes; None if none is known."""
        if not self.usual:
            return None
        return sum(each >= length for each in self.usual) / len(self.usual)


def index_texts(
    name: str,
    train: Sequence[str],
    held_out: Sequence[str],
    names: tuple[str, ...] = (),
    note: str = "",
) -> TracedText:
    """Index texts to trace passages to; `note` says what they are a sample of."""
    index = Verbatim([document.encode("utf-8", "replace") for document in train])
    part = "" if index.whole else f"of which the first {len(index.data) / 1e6:.0f} MB were read"
    described = f"{sum(map(len, train)):,} characters"
    held = "\n".join(held_out).encode("utf-8", "replace")
    passages = _pieces(held, [HELD_OUT_BYTES] * min(HELD_OUT, len(held) // HELD_OUT_BYTES))
    return TracedText(
        described=", ".join(filter(None, (name, described, note or part))),
        index=index,
        names=names or ((name,) if len(train) == 1 else ()),
        usual=tuple(index.longest(passage).length for passage in passages),
    )


@lru_cache(maxsize=2)
def index_text(recipe: TextRecipe) -> TracedText:
    """The training text of a recipe. Raises what `load_text` raises."""
    text = load_training_text(recipe, sample=MAX_BYTES)
    note = text.notes[0] if text.is_sample else ""
    return index_texts(text.name, text.train, text.validation, text.names, note)


def quote_passages(text: TracedText, trace: Trace, step: int) -> Neighbours:
    """The passages of a generated text, without its prompt, that stand word for word in a training
    text."""
    generator, state = trace.generator, trace.state(step)
    assert isinstance(generator, TextGenerator)
    assert isinstance(state, TextState)
    written = state.token_ids.since(state.prompt).tolist()
    earlier = [b""] * (state.answer_from if state.gap else 0)  # the tokens of earlier gaps
    pieces = [*earlier, *map(generator.tokenizer.token_bytes, written)]
    ends = np.cumsum([len(piece) for piece in pieces])
    runs = text.index.passages(b"".join(pieces), LEAST)
    return Neighbours(
        trace=0,
        step=0,
        data=text.described,
        measured=f"word for word, {LEAST} bytes or more",
        quotes=tuple(_quote(text, run, ends) for run in runs),
    )


def _quote(text: TracedText, run: TextRun, ends: NDArray[np.int64]) -> Quote:
    """A run as a quote; `ends` are the ends of the tokens in bytes."""
    data, end = text.index.data, run.place + run.length
    return Quote(
        text=_decode(data[run.place : end]),
        first=int(np.searchsorted(ends, run.start, "right")) + 1,
        last=int(np.searchsorted(ends, run.end, "left")) + 1,
        where=text.where(run),
        before=_decode(data[max(0, run.place - AROUND) : run.place].rpartition(_GAP)[2]),
        after=_decode(data[end : end + AROUND].partition(_GAP)[0]),
        usual=text.share_held_out(run.length),
    )


def _decode(raw: bytes) -> str:
    """UTF-8 as text that is safe to show; incomplete characters at either end are dropped."""
    return clean(raw.decode("utf-8", "ignore"))
