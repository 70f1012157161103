"""Image files: an image, a filmstrip, a contact sheet or an animation, each with a text inside.

Images are uint8 [H, W, 3]. The text is the recipe: in PNG and APNG a text chunk named
`genui`, in GIF the comment extension.
"""

import io
import textwrap
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from genui.base.errors import GenuiError
from genui.base.files import sanitize
from genui.base.text import clean, clean_line
from genui.formats.kinds import saves_of_name
from genui.formats.recipe import MOVING, TraceRecipe, recipe_text, to_json
from genui.formats.sample import Difference, Sample
from genui.formats.text import body
from genui.protocol import ImageFrame

if TYPE_CHECKING:
    from PIL.Image import Image as PilImage

Pixels = NDArray[np.uint8]

CHUNK = "genui"  # the keyword of the PNG text chunk
GAP_SHADE = 96  # between the images of a filmstrip
HOLD = 1500  # milliseconds that an animation shows its last frame
MAX_PIXELS = 64_000_000  # read of one file, all its frames together
LONGEST_SIDE = 65_535  # pixels; JPEG has no longer one
MAX_FRAMES = 10_000  # of one file
FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP")

_STRIP = 1 << 20  # pixels converted at once


class Film(NamedTuple):
    """The content of an image file."""

    frames: list[Pixels]
    text: str  # the recipe, or ""


def enlarge(image: Pixels, scale: int) -> Pixels:
    """The image with each pixel repeated `scale` × `scale`."""
    return image.repeat(scale, axis=0).repeat(scale, axis=1)


def sheet(images: Sequence[Pixels], columns: int, gap: int = 0, shade: int = 0) -> Pixels:
    """Images in rows of at most `columns`, `gap` pixels apart, on the grey `shade`; smaller ones
    are at the top left of their place."""
    height, width = (max(image.shape[side] for image in images) for side in (0, 1))
    across = max(1, min(columns, len(images)))
    down = -(-len(images) // across)
    shape = (down * (height + gap) - gap, across * (width + gap) - gap, 3)
    canvas = np.full(shape, shade, np.uint8)
    for i, image in enumerate(images):
        y, x = i // across * (height + gap), i % across * (width + gap)
        canvas[y : y + image.shape[0], x : x + image.shape[1]] = image
    return canvas


def four_frames(clip: Pixels) -> Pixels:
    """Four frames of a clip [T, H, W, 3], from the first to the last, two by two."""
    return sheet([clip[at] for at in np.linspace(0, len(clip) - 1, 4).astype(int)], 2)


def pick_evenly(steps: Sequence[int], most: int) -> tuple[int, ...]:
    """At most `most` of `steps`, evenly spaced, including the first and the last."""
    if len(steps) <= most:
        return tuple(steps)
    places = np.linspace(0, len(steps) - 1, most).round().astype(int)
    return tuple(steps[place] for place in places.tolist())


def png(image: Pixels, text: str) -> bytes:
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(image).save(file, "PNG", pnginfo=_chunk(text))
    return file.getvalue()


def apng(frames: Sequence[Pixels], text: str, milliseconds: int = 80, hold: int = HOLD) -> bytes:
    """Frames as an endless animated PNG; the last one is shown for at least `hold` milliseconds."""
    return _animated("PNG", frames, milliseconds, hold, pnginfo=_chunk(text))


def gif(frames: Sequence[Pixels], text: str, milliseconds: int = 80, hold: int = HOLD) -> bytes:
    """Frames as an endless GIF, as `apng`, with 256 colours chosen for each frame."""
    return _animated("GIF", frames, milliseconds, hold, comment=text.encode(), optimize=False)


def _animated(
    kind: str, frames: Sequence[Pixels], milliseconds: int, hold: int, **options: Any
) -> bytes:
    from PIL import Image

    images = [Image.fromarray(frame) for frame in frames]
    if kind == "GIF":
        images = [p.quantize(256, dither=Image.Dither.NONE) for p in images]
    durations = [milliseconds] * (len(frames) - 1) + [max(milliseconds, hold)]
    file = io.BytesIO()
    images[0].save(
        file, kind, save_all=True, append_images=images[1:], duration=durations, loop=0, **options
    )
    return file.getvalue()


def _chunk(text: str) -> Any:
    """The text as a PNG chunk: tEXt if it is Latin-1, else iTXt."""
    from PIL.PngImagePlugin import PngInfo

    info = PngInfo()
    info.add_text(CHUNK, text)
    return info


class TooLargeError(ValueError):
    """An image has too many pixels or frames, or a side that is too long."""


def read(data: bytes) -> Film:
    """All frames of a PNG, APNG or GIF, and the text inside.

    Raises ValueError, a reason without the file's name, if `data` is truncated, another format or
    too large: over MAX_PIXELS in all frames, or over MAX_FRAMES.
    """
    frames, pixels = [], 0
    with image_errors(), open_image(io.BytesIO(data), ("PNG", "GIF")) as image:
        text = _text(image)
        for _ in seek_frames(image):
            pixels += image.width * image.height
            if pixels > MAX_PIXELS:
                raise TooLargeError(f"over {MAX_PIXELS:,} pixels")
            frames.append(decode_frame(image))
    return Film(frames, text)


def read_still(source: Path | IO[bytes]) -> Pixels:
    """The first frame of an image file. Raises as `image_errors`."""
    with image_errors(), open_image(source) as image:
        return decode_frame(image)


@contextmanager
def image_errors() -> Iterator[None]:
    """Turns what Pillow raises in the block for a file into a ValueError, a reason without the
    file's name: TooLargeError stays as it is."""
    from PIL import UnidentifiedImageError

    try:
        yield
    except TooLargeError as error:
        raise TooLargeError(f"{error}; make it smaller") from None
    except UnidentifiedImageError:
        known = f"{', '.join(FORMATS[:-1])} or {FORMATS[-1]}"
        raise ValueError(f"is not an image that genui can read; use a {known}") from None
    except Exception as error:  # a broken file makes Pillow's decoders raise nearly anything
        fault = f"is damaged or truncated ({sanitize(str(error), 100)}); copy it again"
        raise ValueError(getattr(error, "strerror", None) or fault) from None


def open_image(source: Path | IO[bytes], formats: tuple[str, ...] = FORMATS) -> "PilImage":
    """An image; only its header was read; whoever decodes it takes 4 bytes a pixel.

    Raises TooLargeError by the size that the header declares, else as `PIL.Image.open` does.
    """
    from PIL import Image

    with _own_limits():
        image = Image.open(source, formats=formats)
        _check_size(image)
    return image


def seek_frames(image: "PilImage") -> Iterator[int]:
    """Goes from frame to frame of an opened image, and yields the number of each; it stays at the
    last.

    Raises TooLargeError for more than MAX_FRAMES, and for a frame of a GIF that is larger than the
    header says.
    """
    for number in range(MAX_FRAMES + 1):
        try:
            with _own_limits():
                image.seek(number)
                _check_size(image)
        except EOFError:
            return
        if number == MAX_FRAMES:
            raise TooLargeError(f"over {MAX_FRAMES:,} frames")
        yield number


def decode_frame(image: "PilImage") -> Pixels:
    """The current frame of an opened image, uint8 [H, W, 3]."""
    rgb = np.empty((image.height, image.width, 3), np.uint8)
    for top, strip in strips(image):
        rgb[top : top + strip.height] = np.asarray(strip.convert("RGB"))
    return rgb


def strips(image: "PilImage", width: int = 0) -> "Iterator[tuple[int, PilImage]]":
    """The image in strips as wide as it is: (first row, strip).

    Pillow and numpy make copies when they convert, which takes too much memory for a whole image.
    `width` is the width of the strips that the caller makes, if they are wider.
    """
    rows = max(1, _STRIP // max(width, image.width))
    for top in range(0, image.height, rows):
        yield top, image.crop((0, top, image.width, min(top + rows, image.height)))


@contextmanager
def _own_limits() -> Iterator[None]:
    """Pillow's limit is higher than ours: its warning is not shown, its error is ours."""
    from PIL import Image

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            yield
    except Image.DecompressionBombError:
        raise TooLargeError(f"over {MAX_PIXELS:,} pixels") from None


def _check_size(image: "PilImage") -> None:
    if image.width * image.height > MAX_PIXELS:
        raise TooLargeError(f"over {MAX_PIXELS:,} pixels")
    if max(image.size) > LONGEST_SIDE:
        raise TooLargeError(f"over {LONGEST_SIDE:,} pixels on one side")


def _text(image: Any) -> str:
    comment = image.info.get("comment" if image.format == "GIF" else CHUNK, "")
    return comment.decode("utf-8", "replace") if isinstance(comment, bytes) else str(comment)


def difference(one: Iterable[Pixels], other: Iterable[Pixels]) -> tuple[float, int, float] | None:
    """The share of pixels that differ, and the largest and the mean difference of a colour value,
    0 to 255; None if the images have other numbers or sizes."""
    first, second = list(one), list(other)
    if [p.shape for p in first] != [p.shape for p in second]:
        return None
    gaps = [np.abs(a.astype(np.int16) - b) for a, b in zip(first, second, strict=True)]
    differing = sum(int(gap.any(axis=-1).sum()) for gap in gaps)
    pixels = sum(gap[..., 0].size for gap in gaps)
    values = sum(int(gap.sum()) for gap in gaps)
    largest = max(int(gap.max()) for gap in gaps)
    return differing / pixels, largest, values / (3 * pixels)


# --- The frames of a generation as images, by the view of a recipe -----------------------------

COLUMNS = 4  # samples, or the frames of a clip, side by side
FILM_COLUMNS = 10  # steps in a row of a filmstrip
RATE = 12.0  # images a second of an animation
CLIP_RATE = 10.0  # frames a second of a clip
SMALLER = "draw it smaller or take fewer steps"


def shown_images(samples: Sequence[Sample], recipe: TraceRecipe) -> list[Pixels]:
    """The images [H, W, 3] of the recipe's view: one, or the frames of an animation."""
    view = recipe.view
    steps = view.steps or _all_steps(samples)
    if view.kind in ("frame", "clip"):
        steps = steps[-1:]
    clips = [[_clip(sample, step, view.part) for sample in samples] for step in steps]
    area = sum(clip.size // 3 for of_step in clips for clip in of_step) * view.scale**2
    if area > MAX_PIXELS:
        raise GenuiError(f"this would be over {MAX_PIXELS:,} pixels; {SMALLER}")
    if view.kind == "clip":
        moments = [list(moment) for moment in zip(*clips[0], strict=True)]
    else:  # in a filmstrip of clips each step is a row
        across = max(len(clips[0][0]), 1) if view.kind == "film" else COLUMNS
        moments = [[tile_clip(clip, across) for clip in of_step] for of_step in clips]
    images = [enlarge(sheet(moment, COLUMNS), view.scale) for moment in moments]
    if view.kind == "film":
        columns = 1 if len(clips[0][0]) > 1 else FILM_COLUMNS
        return [sheet(images, columns, max(1, view.scale // 2), GAP_SHADE)]
    return images


def last_image(sample: Sample, step: int | None = None) -> Pixels:
    """The image of a sample at a step (the last), [H, W, 3]."""
    return tile_clip(_clip(sample, sample.frames[-1].step if step is None else step, "x"))


def pixels(frame: ImageFrame, part: str) -> Pixels:
    """The `x`, `denoised` or `noise` of a frame, [H, W, 3]; the first image of a clip."""
    return clip_pixels(frame, part)[0]


def clip_pixels(frame: ImageFrame, part: str) -> Pixels:
    """All images of that part of a frame, [T, H, W, 3]; T is 1 unless it is a clip."""
    shape = (frame.images, frame.height, frame.width, 3)
    return np.frombuffer(getattr(frame, part), np.uint8).reshape(shape)


PAINTABLE = 96  # pixels of a side; a larger image is shrunk to paint a mask on it
PAINTED = 32


def shrink(pixels: Pixels) -> Pixels:
    """An image [H, W, 3] whose sides are at most PAINTABLE; a larger one with sides of PAINTED at
    most, which a terminal shows a pixel at a time."""
    from PIL import Image

    height, width, _ = pixels.shape
    if max(height, width) <= PAINTABLE:
        return pixels
    scale = PAINTED / max(height, width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.BOX))


def tile_clip(clip: Pixels, columns: int = COLUMNS) -> Pixels:
    """The images [T, H, W, 3] of a clip as one image, `columns` in a row."""
    return sheet(list(clip), columns, gap=1, shade=GAP_SHADE)


def film_steps(samples: Sequence[Sample], most: int = 10) -> tuple[int, ...]:
    """Steps for a filmstrip: evenly spaced, including both ends."""
    return pick_evenly(_all_steps(samples), most)


def _all_steps(samples: Sequence[Sample]) -> tuple[int, ...]:
    frames, list_steps = samples[0].frames, saves_of_name(samples[0].kind).list_steps
    return tuple(list_steps(frames) if list_steps else (frame.step for frame in frames))


def _clip(sample: Sample, step: int, part: str) -> Pixels:
    draw_step = saves_of_name(sample.kind).draw_step
    if draw_step is not None:
        return draw_step(sample.frames, step)[None]
    for frame in reversed(sample.frames):
        if frame.step == step and isinstance(frame, ImageFrame):
            if len(getattr(frame, part)) != frame.images * frame.height * frame.width * 3:
                continue
            return clip_pixels(frame, part)
    raise GenuiError(f"step {step}: this trace has no such image; choose another step")


# --- The codecs of .png, .apng and .gif -------------------------------------------------------


def encode_png(samples: Sequence[Sample], recipe: TraceRecipe, rate: float | None) -> bytes:
    """The image of the view, or its animation."""
    if recipe.view.kind not in MOVING:
        return png(shown_images(samples, recipe)[0], to_json(recipe))
    return apng(*_moving(samples, recipe, rate))


def encode_gif(samples: Sequence[Sample], recipe: TraceRecipe, rate: float | None) -> bytes:
    """The animation of the view."""
    return gif(*_moving(samples, recipe, rate))


def _moving(
    samples: Sequence[Sample], recipe: TraceRecipe, rate: float | None
) -> tuple[list[Pixels], str, int, int]:
    """The images, the recipe, and the milliseconds for each image and for the last."""
    milliseconds = max(20, round(1000 / (rate or rate_of(recipe))))
    hold = 0 if recipe.view.kind == "clip" else HOLD  # a clip repeats at once
    return shown_images(samples, recipe), to_json(recipe), milliseconds, hold


def rate_of(recipe: TraceRecipe) -> float:
    """The default images a second of an animation."""
    return CLIP_RATE if recipe.view.kind == "clip" else RATE


def decode_image(data: bytes, name: str) -> tuple[list[Pixels], str]:
    """All frames of a file, and its recipe. Raises GenuiError if it cannot be read."""
    try:
        film = read(data)
    except ValueError as error:
        raise GenuiError(f"{name}: {error}") from None
    return film.frames, recipe_text(film.text)


def compare_images(
    saved: Sequence[Pixels], again: Sequence[Pixels], samples: Sequence[Sample]
) -> Difference | None:
    """The share of pixels that differ, and by how much."""
    measured = difference(saved, again)
    if measured is None:
        sizes = [f"{len(frames)} of {frames[0].shape[1]}×{frames[0].shape[0]}"
                 for frames in (saved, again)]  # fmt: skip
        return Difference(f"not the same images: {sizes[0]}, and again {sizes[1]}")
    share, largest, mean = measured
    if not largest:
        return None
    return Difference(
        f"{share:.2%} of the pixels differ, by {largest} of 255 at most and {mean:.3g} on average",
        {"pixels": share, "largest": largest, "mean": mean},
    )


# --- A contact sheet: many images and texts as one image, each with its caption below it -------

CELL = 160  # pixels along each side of an image
PAD = 12
LINE = 16  # pixels of a line of text
CAPTION_LINES = 2
SIZE = 12  # points
GROUND, PAPER = (24, 24, 28), (38, 38, 44)
INK, DIM = (224, 224, 228), (150, 150, 158)
MAX_CARDS = 400


@dataclass(frozen=True)
class Card:
    """An image uint8 [H, W, 3] or a text, and the caption below it."""

    caption: str
    image: Pixels | None = None
    text: str = ""


def contact_sheet(cards: Sequence[Card], columns: int = 0) -> Pixels:
    """The cards in rows, as an image uint8 [H, W, 3]; `columns` 0 makes it about square.

    Images are enlarged by whole numbers, or reduced, to fit a cell. Raises GenuiError for no card
    and for more than MAX_CARDS.
    """
    from PIL import Image, ImageDraw, ImageFont

    if not 0 < len(cards) <= MAX_CARDS:
        raise GenuiError(f"a contact sheet takes 1 to {MAX_CARDS} samples, not {len(cards)}")
    across = columns or max(1, round(len(cards) ** 0.5 + 0.25))
    across = min(across, len(cards))
    down = -(-len(cards) // across)
    wide, high = CELL + PAD, CELL + CAPTION_LINES * LINE + PAD
    canvas = Image.new("RGB", (across * wide + PAD, down * high + PAD), GROUND)
    draw, font = ImageDraw.Draw(canvas), ImageFont.load_default(SIZE)
    for i, card in enumerate(cards):
        x, y = PAD + i % across * wide, PAD + i // across * high
        if card.image is None:
            draw.rectangle((x, y, x + CELL - 1, y + CELL - 1), fill=PAPER)
            _write(draw, font, (x + 6, y + 4), clean(card.text), CELL - 12, CELL // LINE, INK)
        else:
            fitted = _fit_cell(card.image)
            left, top = (CELL - fitted.shape[1]) // 2, (CELL - fitted.shape[0]) // 2
            canvas.paste(Image.fromarray(fitted), (x + left, y + top))
        below = (x, y + CELL + 2)
        _write(draw, font, below, clean_line(card.caption), CELL, CAPTION_LINES, DIM)
    return np.asarray(canvas)


def _fit_cell(image: Pixels) -> Pixels:
    """The image enlarged by a whole number, or reduced, to fit a cell."""
    from PIL import Image

    longest = max(image.shape[:2])
    if longest <= CELL:
        return enlarge(image, CELL // longest)
    height, width = (max(1, side * CELL // longest) for side in image.shape[:2])
    return np.asarray(Image.fromarray(image).resize((width, height), Image.Resampling.LANCZOS))


def _write(
    draw: Any,
    font: Any,
    at: tuple[int, int],
    text: str,
    width: int,
    lines: int,
    colour: tuple[int, int, int],
) -> None:
    """Draws the text, wrapped to `width` pixels and cut to so many lines."""
    x, y = at
    characters = max(4, int(width / max(1.0, font.getlength("n"))))
    wrapped = [
        line for part in text.split("\n") for line in textwrap.wrap(part, characters) or [""]
    ]
    for number, line in enumerate(wrapped[:lines]):
        more = number == lines - 1 and len(wrapped) > lines
        draw.text((x, y + number * LINE), line[:-1] + "…" if more else line, colour, font)


def card_of(sample: Sample, caption: str) -> Card:
    """The last image of a sample, as the model predicts it, or its text."""
    last = sample.frames[-1]
    if isinstance(last, ImageFrame):
        return Card(caption, pixels(last, "denoised" if last.denoised else "x"))
    return Card(caption, text=body([sample]))


def encode_sheet(cards: Sequence[Card], recipes: Iterable[TraceRecipe], columns: int = 0) -> bytes:
    """The contact sheet as a PNG, with the list of the recipes as JSON in its text chunk. Raises
    GenuiError as `contact_sheet`."""
    return png(contact_sheet(cards, columns), f"[{','.join(map(to_json, recipes))}]")


def caption_of(recipe: TraceRecipe) -> str:
    """`red heart · icons, seed 7`."""
    prompt = clean_line(recipe.prompt, 40)
    rest = f"{clean_line(recipe.model, 24)}, seed {recipe.seed}"
    return f"{prompt} · {rest}" if prompt else rest
