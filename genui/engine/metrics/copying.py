"""Whether a sample is copied: its longest verbatim run, and its nearest neighbours.

`Verbatim` finds the longest run of a text that stands byte for byte in a body of texts. Every
run of eight bytes that begins at a multiple of four is kept as one number, sorted: any run of
`SHORTEST` bytes, wherever it lies, holds one of them, and is found exactly. That costs 3 bytes
a byte of text, where a suffix array would cost 4 or 8.
"""

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
from genui.engine.data.clips import CLIP_FRAMES, draw_poses, load_clips
from genui.engine.data.images import SIDE, CaptionedImages, as_floats, as_pixels, load_images
from genui.engine.data.speech import MEL_FRAMES, MELS, Speech, load_speech, log_mel, pad_take
from genui.engine.data.text import load_text
from genui.engine.sample.diffusion_state import DiffusionState
from genui.engine.sample.media import parse_scene
from genui.engine.sample.text import TextGenerator, TextState
from genui.engine.sample.trace import Trace
from genui.formats.image import four_frames
from genui.protocol import ImageFrame, Neighbour, Neighbours, Quote
from genui.protocol.edits import inputs_at
from genui.recipes import Recipe, TextRecipe
from genui.recipes.diffusion import VideoRecipe, VoiceRecipe
from genui.render.image import apply_colour_map
from genui.runs.models import find_model, read_header

GRAM = 8  # bytes that are one number
STRIDE = 4  # bytes between the grams that are kept
SHORTEST = GRAM + STRIDE - 1
"""Bytes: a run of so many is always found, a shorter one may be missed."""

MOST_BYTES = 64 * 2**20
"""Of texts that are indexed; what is beyond is not looked through, and the index says so."""

_GAP = b"\0"  # between two texts: no run goes over it


class TextRun(NamedTuple):
    """Bytes [start, start + length) of what was asked about, and where the same bytes stand."""

    start: int
    length: int
    place: int  # the first of those bytes in `Verbatim.data`


class Verbatim:
    """An index of texts. `data` is all of them, one after the other, each closed by a gap."""

    def __init__(self, texts: Sequence[bytes]) -> None:
        kept: list[bytes] = []
        self.starts: list[int] = []  # of each text in `data`
        size = 0
        for text in texts:
            if size >= MOST_BYTES:
                break
            self.starts.append(size)
            kept += [text[: MOST_BYTES - size].replace(_GAP, b" "), _GAP]
            size += len(kept[-2]) + 1
        self.whole = size >= sum(map(len, texts)) + len(texts)  # nothing was left out
        self.data = b"".join(kept)
        self._bytes = np.frombuffer(self.data, np.uint8)
        self._aligned = _grams(self.data)[::STRIDE]
        self._order = np.argsort(self._aligned, kind="stable").astype(np.int32)
        self._sorted = self._aligned[self._order]

    def longest(self, text: bytes) -> TextRun:
        """The longest run of `text` that stands in the texts; of equals the first.

        Its length is 0 where there is none of `SHORTEST` bytes.
        """
        text = text.replace(_GAP, b" ")
        best = TextRun(0, 0, 0)
        grams = _grams(text)
        if not len(grams):
            return best
        low = np.searchsorted(self._sorted, grams, "left")
        high = np.searchsorted(self._sorted, grams, "right")
        known: dict[bytes, NDArray[np.int64]] = {}  # text that repeats itself is looked for once
        for start in np.flatnonzero(high > low).tolist():
            # A run that beats the best and has its first kept gram here goes on at least so far:
            # it is looked for from the rarest of its grams.
            least = max(best.length + 1 - (STRIDE - 1), GRAM)
            if start + least > len(text):
                break
            piece = text[start : start + least]
            if (places := known.get(piece)) is None:
                chain = np.arange(start, start + least - GRAM + 1, GRAM)
                rarest = int(chain[(high[chain] - low[chain]).argmin()])
                places = self._order[low[rarest] : high[rarest]].astype(np.int64) * STRIDE
                places = self._matching(grams, chain, places - (rarest - start), start)
                known[piece] = places
            if len(places):
                length = least // GRAM * GRAM
                run = self._extend(text, grams, start, length, places)
                if run.length > best.length:
                    best, known = run, {}
        return best if best.length >= SHORTEST else TextRun(0, 0, 0)

    def where(self, place: int) -> tuple[int, int]:
        """Which text a byte of `data` is in and at which line of it, both counted from 1."""
        number = bisect_right(self.starts, place)
        return number, 1 + self.data.count(b"\n", self.starts[number - 1], place)

    def _matching(
        self,
        grams: NDArray[np.uint64],
        chain: NDArray[np.int64],
        places: NDArray[np.int64],
        start: int,
    ) -> NDArray[np.int64]:
        """Those of `places` where every gram of the chain that begins at `start` stands."""
        places = places[places >= 0]
        for at in chain[::-1].tolist():  # the far end first: there most of them part
            on = (places + (at - start)) // STRIDE
            places, on = places[on < len(self._aligned)], on[on < len(self._aligned)]
            places = places[self._aligned[on] == grams[at]]
        return places

    def _extend(
        self,
        text: bytes,
        grams: NDArray[np.uint64],
        start: int,
        length: int,
        places: NDArray[np.int64],
    ) -> TextRun:
        """The longest run with the `length` bytes from `start` on, which stand at `places`."""
        before = self._before(text, start, places)
        best = TextRun(0, 0, 0)

        def note() -> None:
            """Keep the place from which the run, as long as it is now, goes back furthest."""
            nonlocal best
            far = int(before.argmax())
            back = int(before[far])
            if length + back > best.length:
                best = TextRun(start - back, length + back, int(places[far]) - back)

        def keep(alike: NDArray[np.bool_]) -> bool:
            nonlocal places, before
            if not alike.all():
                note()
            places, before = places[alike], before[alike]
            return len(places) > 0

        while start + length + GRAM <= len(text):
            on = (places + length) // STRIDE
            alike = on < len(self._aligned)
            alike[alike] = self._aligned[on[alike]] == grams[start + length]
            if not alike.any() or not keep(alike):
                break
            length += GRAM
        while start + length < len(text):
            # A gap, which no text holds, is the last of all bytes.
            on = np.minimum(places + length, len(self._bytes) - 1)
            if not keep(self._bytes[on] == text[start + length]):
                return best
            length += 1
        note()
        return best

    def _before(self, text: bytes, start: int, places: NDArray[np.int64]) -> NDArray[np.int64]:
        """How many bytes before `start` stand before each place too, as far as it matters.

        With `STRIDE` of them the run was found from an earlier gram.
        """
        alike = np.ones(len(places), bool)
        before = np.zeros(len(places), np.int64)
        for back in range(1, min(start, STRIDE - 1) + 1):
            on = np.maximum(places - back, 0)
            alike &= (places >= back) & (self._bytes[on] == text[start - back])
            before += alike
        return before


def _grams(data: bytes) -> NDArray[np.uint64]:
    """The eight bytes from every position on, as one number each: [len(data) - 7]."""
    count = len(data) - GRAM + 1
    if count <= 0:
        return np.empty(0, np.uint64)
    grams = np.empty(count, np.uint64)
    for offset in range(min(GRAM, count)):
        whole = (len(data) - offset) // GRAM
        grams[offset::GRAM] = np.frombuffer(data, "<u8", whole, offset)
    return grams


# --- How much of what a model of sequences writes is copied, beside what chance would have ----
# A passage is nearer to the training text where its longest verbatim run there is longer than in as
# much text that was held out. Of a model that copies nothing that is so for half of the passages:
# common turns of phrase stand in both. (The three-sample test of Meehan et al. 2020 with verbatim
# runs for its distance.)

PASSAGE = 120  # bytes
MOST_PARTS = 4  # of the training text, each as long as what is held out


@dataclass(frozen=True)
class Copying:
    """What passages came to: all of it is about runs of bytes."""

    passages: int
    share: float  # nearer to the training text; 0.5 where nothing is copied, ties count half
    longest: int  # the longest run of all that stands in the whole training text
    longest_real: int  # the same of as much held-out text, whose runs no copying explains

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
    """Samples, cut into passages, against both texts.

    Raises ValueError where there is no passage, or less to train on than held out.
    """
    passages = [
        sample[at : at + passage]
        for sample in samples
        for at in range(0, len(sample) - passage // 2, passage)
    ]
    size = sum(map(len, held_out))
    parts = list(_parts(train, size))[:MOST_PARTS]
    if not passages or not parts:
        raise ValueError(f"{len(passages)} passages and {len(parts)} parts of training text")
    held = Verbatim(held_out)
    to_held = [held.longest(each).length for each in passages]
    wins = 0.0
    for part in map(Verbatim, parts):
        for each, other in zip(passages, to_held, strict=True):
            here = part.longest(each).length
            wins += 1.0 if here > other else 0.5 if here == other else 0.0
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
    """For each sample a piece of the text as long as it is, from all over the text."""
    step = len(text) // len(samples)
    return [text[i * step : i * step + len(sample)] for i, sample in enumerate(samples)]


def _parts(texts: Sequence[bytes], size: int) -> list[list[bytes]]:
    """Disjoint parts of the texts, each of `size` bytes; texts are cut where a part is full."""
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


# --- Nearest neighbours: what of the training data is most like a sample ----------------------
# Images, clips and takes differ in how far two of them are apart; texts and music are quoted.

CHUNK = 1024  # training images compared at once: 12 MB
IMAGE_DISTANCE = "root mean square of the colours' differences, 0 to 255"
CLIP_DISTANCE = "root mean square of the colours' differences over all 16 frames, 0 to 255"
SPEECH_DISTANCE = "root mean square of the log-mel differences, −1 to 1"
MOST_CLIPS = 200  # compared
TAKES_AT_ONCE = 200

Floats = NDArray[np.floating]
Poses = NDArray[np.float32]


def nearest(trace: Trace, step: int, count: int) -> Neighbours:
    """What the training data has that is most like the sample at `step`.

    Where the data is not on this machine, or cannot be read, `fault` says so. Raises
    MisuseError for a step that has not been reached.
    """
    if not 0 <= step <= trace.reached:
        raise MisuseError(f"step {step}: this trace stands at step {trace.reached}")
    try:
        recipe = read_header(find_model(trace.request.model).path).recipe
        neighbours = kinds.nearest(recipe, trace, step, count)
    except GenuiError as fault:
        neighbours = Neighbours(trace=0, step=0, fault=f"nothing to compare with: {fault}")
    return replace(neighbours, trace=trace.request.trace, step=step)


def _closest(
    data: str,
    measured: str,
    distances: Floats,
    count: int,
    example: Callable[[int], tuple[str, NDArray[np.uint8]]],
) -> Neighbours:
    """The `count` examples of the smallest distances [N], as captions and images [H, W, 3]."""
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
    """The training images nearest to the clean one that the model predicts at `step`.

    They are drawn in the colours of the caption in force. Raises MisuseError for a grid, and
    what `load_images` raises.
    """
    frame = trace.generator.frame(trace.state(step))
    if not isinstance(frame, ImageFrame) or len(frame.denoised) != SIDE * SIDE * 3:
        raise MisuseError(f"one image of {SIDE}×{SIDE} is compared, and not a grid: draw one")
    sample = np.frombuffer(frame.denoised, np.uint8).reshape(SIDE, SIDE, 3)
    images = _images(recipe.dataset, recipe.data)
    caption = inputs_at(trace.request, step)[0]

    def example(i: int) -> tuple[str, NDArray[np.uint8]]:
        index = images.train[i]
        drawn = images.draw_in_colours_of(caption, np.array([index]))
        return images.captions[index], as_pixels(drawn[0])

    data = f"{clean_line(images.name)}, {len(images.train):,} images"
    distances = image_distances(images, sample, caption)
    return _closest(data, IMAGE_DISTANCE, distances, count, example)


def image_distances(
    images: CaptionedImages, sample: NDArray[np.uint8], caption: str
) -> NDArray[np.float64]:
    """From each training image, in the caption's colours, to a sample [32, 32, 3]: root mean
    squares, 0 to 255."""
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


def nearest_clips(recipe: VideoRecipe, trace: Trace, step: int, count: int) -> Neighbours:
    """The trained clips of the caption's icon and motion nearest to the clip at `step`.

    They are drawn anew from the numbers that the training drew, in the caption's colours.
    Raises MisuseError for a grid, and for a caption that names no icon.
    """
    frame = trace.generator.frame(trace.state(step))
    if not isinstance(frame, ImageFrame) or frame.images != CLIP_FRAMES or trace.request.grid:
        raise MisuseError("one clip is compared, and not a grid: draw one")
    caption = inputs_at(trace.request, step)[0]
    scene = parse_scene(caption)
    if scene is None:
        raise MisuseError(f"“{clean_line(caption, 40)}” names no icon that was trained")
    clips = load_clips()
    poses = _trained_poses(recipe.seed, recipe.steps, recipe.batch, scene.figure, scene.motion)
    data = f"{clips.name}, {len(poses)} trained clips of {scene.figure} {scene.motion}"
    if not len(poses):
        return Neighbours(trace=0, step=0, data=data, measured=CLIP_DISTANCE)
    shape = (CLIP_FRAMES, frame.height, frame.width, 3)
    sample = np.frombuffer(frame.denoised, np.uint8).reshape(shape).astype(np.float32)
    trained = as_pixels(clips.draw([scene] * len(poses), poses))
    distances = np.sqrt(((trained - sample) ** 2).mean(axis=(1, 2, 3, 4)))
    return _closest(
        data, CLIP_DISTANCE, distances, count, lambda i: (scene.caption, four_frames(trained[i]))
    )


@lru_cache(maxsize=8)
def _trained_poses(seed: int, steps: int, batch: int, figure: str, motion: str) -> Poses:
    """[N, 16, 4]: the poses of every trained clip of that icon and motion, up to `MOST_CLIPS`.

    What is random in a step is drawn from the seed and its number, so any step can be drawn again.
    """
    clips = load_clips()
    matches: list[Poses] = []
    for step in range(steps):
        rng = np.random.default_rng((seed, step))
        scenes = clips.scenes(batch, rng)
        if not any((one.figure, one.motion) == (figure, motion) for one in scenes):
            continue
        for one in scenes:  # in the order of `Clips.batch`, from the same generator
            poses = draw_poses(one.motion, rng)
            if (one.figure, one.motion) == (figure, motion):
                matches.append(poses)
        if len(matches) >= MOST_CLIPS:
            break
    return np.stack(matches) if matches else np.empty((0, CLIP_FRAMES, 4), np.float32)


def nearest_takes(recipe: VoiceRecipe, trace: Trace, step: int, count: int) -> Neighbours:
    """The recorded takes nearest to the first word that the model predicts at `step`.

    Raises MisuseError for a trace of several requests at once, MisuseError or GenuiError where
    the recordings cannot be read.
    """
    state = trace.state(step)
    assert isinstance(state, DiffusionState)
    if trace.request.grid:
        raise MisuseError("one sound is compared, and not a grid: speak one")
    speech = _speech(recipe.dataset, recipe.data)
    word = state.denoised[0, 0].float().cpu().numpy()  # [MELS, FRAMES]
    takes = _spectrograms(recipe.dataset, recipe.data)

    def example(i: int) -> tuple[str, NDArray[np.uint8]]:
        caption = speech.takes[speech.train[i]].caption
        return caption, apply_colour_map(takes[i][::-1].astype(np.float32))

    data = f"{clean_line(speech.name)}, {len(speech.train):,} takes"
    distances = np.sqrt(((takes - word) ** 2).mean(axis=(1, 2)))
    return _closest(data, SPEECH_DISTANCE, distances, count, example)


@lru_cache(maxsize=1)
def _spectrograms(dataset: str, data: str) -> NDArray[np.float16]:
    """Of the training takes, [N, MELS, FRAMES]; only as they begin, which is a fraction of what
    training looks at."""
    speech = _speech(dataset, data)
    mels = np.empty((len(speech.train), MELS, MEL_FRAMES), np.float16)
    for at in range(0, len(mels), TAKES_AT_ONCE):
        takes = [speech.takes[i] for i in speech.train[at : at + TAKES_AT_ONCE]]
        mels[at : at + len(takes)] = log_mel(np.stack([pad_take(t.samples) for t in takes]))
    return mels


@lru_cache(maxsize=1)
def _speech(dataset: str, data: str) -> Speech:
    return load_speech(dataset, data)


AROUND = 60  # bytes shown before and after the run, where it stands in the training text


@lru_cache(maxsize=2)
def training_text(dataset: str, data: str) -> tuple[str, Verbatim]:
    """What was trained on, in a few words, and its index; errors as `load_text` has them."""
    text = load_text(dataset, data)
    index = Verbatim([document.encode("utf-8", "replace") for document in text.train])
    count = sum(map(len, text.train))
    part = "" if index.whole else f", of which the first {len(index.data) >> 20} MB were read"
    return f"{text.name}, {count:,} characters{part}", index


def nearest_text(recipe: TextRecipe, trace: Trace, step: int, count: int) -> Neighbours:
    """The longest run of what was written (not of the prompt) that the training text has.

    `count` is of images. Raises MisuseError or GenuiError where the data cannot be read.
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
    text, line = index.where(run.place)
    many = len(index.starts) > 1
    quote = Quote(
        text=_shown(index.data[run.place : end]),
        first=first + 1,
        last=last + 1,
        where=f"line {line:,}" + (f" of document {text:,} of {len(index.starts):,}" * many),
        before=_shown(index.data[max(0, run.place - AROUND) : run.place].rpartition(b"\0")[2]),
        after=_shown(index.data[end : end + AROUND].partition(b"\0")[0]),
    )
    return Neighbours(trace=0, step=0, data=data, measured=measured, quote=quote)


def _shown(raw: bytes) -> str:
    """Bytes of UTF-8, cut anywhere, as text that is safe to show."""
    return clean(raw.decode("utf-8", "ignore"))
