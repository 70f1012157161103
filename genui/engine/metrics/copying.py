"""Whether samples are copies of training data: verbatim passages and nearest neighbours."""

from bisect import bisect_right
from collections.abc import Callable, Sequence
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
from genui.engine.data.text import load_text
from genui.engine.sample.text import TextGenerator, TextState
from genui.engine.sample.trace import Trace
from genui.protocol import ImageFrame, Neighbour, Neighbours, Quote
from genui.protocol.edits import inputs_at
from genui.recipes import Recipe, TextRecipe
from genui.runs.models import find_model, read_header

# --- The longest verbatim run of a text -------------------------------------------------------

GRAM = 8  # bytes per gram
STRIDE = 4  # bytes between the indexed grams
SHORTEST = GRAM + STRIDE - 1
"""Runs of at least so many bytes are always found; shorter ones may be missed."""

MAX_BYTES = 64 * 2**20
"""The longest text that is indexed; the rest is ignored (`Verbatim.whole`)."""

_GAP = b"\0"  # between two texts: no run contains it


class TextRun(NamedTuple):
    """Bytes [start, start + length) of a text, which occur in an index from `place` on."""

    start: int
    length: int
    place: int  # in `Verbatim.data`


class Verbatim:
    """An index that finds the longest run of bytes that a text shares with the indexed texts.

    It has every gram of eight bytes that begins at a multiple of four as one number, sorted. Any
    run of `SHORTEST` bytes contains one of them, so it is found exactly. The index takes 3 bytes
    per byte of text; a suffix array would take 4 or 8. `data` is all texts, each followed by a gap.
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
        aligned = _grams(self.data)[::STRIDE]
        self._order = np.argsort(aligned, kind="stable").astype(np.int32)
        self._sorted = aligned[self._order]

    def longest(self, text: bytes) -> TextRun:
        """The first of the longest runs of `text` that occur in the indexed texts.

        Its length is 0 if there is no run of `SHORTEST` bytes.
        """
        text = text.replace(_GAP, b" ")
        grams = _grams(text)
        low, high = (np.searchsorted(self._sorted, grams, side) for side in ("left", "right"))
        best = TextRun(0, SHORTEST - 1, 0)
        for start in range(len(text)):
            for first in range(start, start + STRIDE):  # an indexed gram of a longer run
                end = start + best.length + 1
                if end > len(text):
                    return best if best.length >= SHORTEST else TextRun(0, 0, 0)
                counts = (high - low)[first : end - GRAM + 1 : GRAM]
                rarest = first + GRAM * int(counts.argmin())
                places = self._order[low[rarest] : high[rarest]].astype(np.int64) * STRIDE
                for place in (places - (rarest - start)).tolist():
                    best = self._extend(text, start, place, best)
        return TextRun(0, 0, 0)

    def _extend(self, text: bytes, start: int, place: int, best: TextRun) -> TextRun:
        """The run from `start` and `place` on, if it is longer than the best one."""
        length = best.length + 1
        piece = text[start : start + length]
        if place < 0 or len(piece) < length or not self.data.startswith(piece, place):
            return best
        # The last byte is a gap, which matches no text.
        while start + length < len(text) and self.data[place + length] == text[start + length]:
            length += 1
        return TextRun(start, length, place)

    def locate(self, place: int) -> tuple[int, int]:
        """The number of the text that a byte of `data` is in, and its line; both count from 1."""
        number = bisect_right(self.starts, place)
        return number, 1 + self.data.count(b"\n", self.starts[number - 1], place)


def _grams(data: bytes) -> NDArray[np.uint64]:
    """The grams at every position as numbers: [len(data) - GRAM + 1]."""
    count = len(data) - GRAM + 1
    if count <= 0:
        return np.empty(0, np.uint64)
    grams = np.empty(count, np.uint64)
    for offset in range(min(GRAM, count)):
        whole = (len(data) - offset) // GRAM
        grams[offset::GRAM] = np.frombuffer(data, "<u8", whole, offset)
    return grams


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
    passage: int = PASSAGE,
) -> Copying:
    """Compare the passages of the samples with the training and the held-out text.

    Raises ValueError if there is no passage, or less training text than held-out text.
    """
    passages = [
        sample[at : at + passage]
        for sample in samples
        for at in range(0, len(sample) - passage // 2, passage)
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
            whole.longest(piece).length for piece in _pieces(b"\n".join(held_out), samples)
        ),
    )


def _pieces(text: bytes, samples: Sequence[bytes]) -> list[bytes]:
    """For each sample a piece of the text of the same length, evenly spaced."""
    step = len(text) // len(samples)
    return [text[i * step : i * step + len(sample)] for i, sample in enumerate(samples)]


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
# For images, clips and recordings the nearest neighbours, for tokens a quote.

CHUNK = 1024  # training images per comparison: 12 MB
IMAGE_DISTANCE = "root mean square of the colours' differences, 0 to 255"

Floats = NDArray[np.floating]


def nearest(trace: Trace, step: int, count: int) -> Neighbours:
    """The training data most similar to the sample at `step`.

    If the data cannot be read, `fault` says why. Raises MisuseError for a step that was not
    computed.
    """
    if not 0 <= step <= trace.reached:
        raise MisuseError(f"step {step}: this trace is at step {trace.reached}")
    try:
        model = find_model(trace.request.model)
        if model.format:
            raise MisuseError("others trained this model, and its files do not hold the data")
        recipe = read_header(model.path).recipe
        neighbours = kinds.nearest(recipe, trace, step, count)
    except GenuiError as fault:
        neighbours = Neighbours(trace=0, step=0, fault=f"nothing to compare with: {fault}")
    return replace(neighbours, trace=trace.request.trace, step=step)


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


def nearest_images(recipe: Recipe, trace: Trace, step: int, count: int) -> Neighbours:
    """The training images nearest to the denoised image at `step`, in the caption's colours.

    Raises MisuseError for a grid, and what `load_images` raises.
    """
    frame = trace.generator.frame(trace.state(step))
    if not isinstance(frame, ImageFrame) or len(frame.denoised) != SIDE * SIDE * 3:
        raise MisuseError(f"one image of {SIDE}×{SIDE} is compared, and not a grid: draw one")
    sample = np.frombuffer(frame.denoised, np.uint8).reshape(SIDE, SIDE, 3)
    images = _images(recipe.dataset, recipe.data)
    caption = inputs_at(trace.request, step)[0]

    def example(i: int) -> tuple[str, NDArray[np.uint8]]:
        index = images.train[i]
        rgb = images.draw_in_colours_of(caption, np.array([index]))
        return images.captions[index], as_pixels(rgb[0])

    data = f"{clean_line(images.name)}, {len(images.train):,} images"
    distances = image_distances(images, sample, caption)
    return closest(data, IMAGE_DISTANCE, distances, count, example)


def image_distances(
    images: CaptionedImages, sample: NDArray[np.uint8], caption: str
) -> NDArray[np.float64]:
    """The root mean square difference, 0 to 255, of each training image in the caption's colours
    from a sample [32, 32, 3]."""
    target = as_floats(sample)
    squares = np.empty(len(images.train), np.float32)
    for at in range(0, len(squares), CHUNK):
        indices = images.train[at : at + CHUNK]
        difference = images.draw_in_colours_of(caption, indices)
        difference -= target
        squares[at : at + len(indices)] = np.einsum("bchw,bchw->b", difference, difference)
    return 127.5 * np.sqrt(squares / target.size, dtype=np.float64)


@lru_cache(maxsize=2)
def _images(dataset: str, data: str) -> CaptionedImages:
    return load_images(dataset, data)


AROUND = 60  # bytes of training text shown before and after the run


@lru_cache(maxsize=2)
def training_text(dataset: str, data: str) -> tuple[str, Verbatim]:
    """A description of the training text, and its index. Raises what `load_text` raises."""
    text = load_text(dataset, data, sample=MAX_BYTES)
    index = Verbatim([document.encode("utf-8", "replace") for document in text.train])
    count = sum(map(len, text.train))
    part = "" if index.whole else f", of which the first {len(index.data) >> 20} MB were read"
    part = f", {text.notes[0]}" if text.is_sample else part
    return f"{text.name}, {count:,} characters{part}", index


def nearest_text(recipe: TextRecipe, trace: Trace, step: int, count: int) -> Neighbours:
    """A quote of the longest run of generated text (not of the prompt) in the training text.

    `count` is ignored. Raises MisuseError or GenuiError if the data cannot be read.
    """
    generator, state = trace.generator, trace.state(step)
    assert isinstance(generator, TextGenerator)
    assert isinstance(state, TextState)
    data, index = training_text(recipe.dataset, recipe.data)
    pieces = [
        generator.tokenizer.token_bytes(t) for t in state.token_ids.since(state.prompt).tolist()
    ]
    run = index.longest(b"".join(pieces))
    measured = f"word for word; runs under {SHORTEST} bytes are not looked for"
    if not run.length:
        return Neighbours(trace=0, step=0, data=data, measured=measured)
    ends = np.cumsum([len(piece) for piece in pieces])
    first = int(np.searchsorted(ends, run.start, "right"))
    last = int(np.searchsorted(ends, run.start + run.length, "left"))
    end = run.place + run.length
    document, line = index.locate(run.place)
    documents = len(index.starts)
    where = f" of document {document:,} of {documents:,}" if documents > 1 else ""
    quote = Quote(
        text=_decode(index.data[run.place : end]),
        first=first + 1,
        last=last + 1,
        where=f"line {line:,}{where}",
        before=_decode(index.data[max(0, run.place - AROUND) : run.place].rpartition(_GAP)[2]),
        after=_decode(index.data[end : end + AROUND].partition(_GAP)[0]),
    )
    return Neighbours(trace=0, step=0, data=data, measured=measured, quote=quote)


def _decode(raw: bytes) -> str:
    """UTF-8 as text that is safe to show; incomplete characters at either end are dropped."""
    return clean(raw.decode("utf-8", "ignore"))
