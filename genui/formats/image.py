"""Pictures as files: one, a filmstrip, a sheet, a moving one; each with a text inside.

Pictures are uint8 [H, W, 3]. The text is the recipe: in PNG and APNG a text chunk named
`genui`, in GIF the comment extension.
"""

import io
import mmap
import textwrap
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from genui.base.text import clean, clean_line

Pixels = NDArray[np.uint8]

CHUNK = "genui"  # the keyword of the PNG text chunk
GAP_SHADE = 96  # between the pictures of a filmstrip
HOLD = 1500  # milliseconds that a moving picture rests on its last frame
MOST_PIXELS = 64_000_000  # read of one file, all its frames together


MOST_FRAMES = 10_000  # of one file


class Film(NamedTuple):
    """What a picture file holds: its frames, the text inside or "", and milliseconds a frame."""

    frames: list[Pixels]
    text: str
    durations: list[int]


def enlarged(picture: Pixels, scale: int) -> Pixels:
    """Each pixel as `scale` × `scale`."""
    return picture.repeat(scale, axis=0).repeat(scale, axis=1)


def sheet(pictures: Sequence[Pixels], columns: int, gap: int = 0, shade: int = 0) -> Pixels:
    """Equal pictures in rows of at most `columns`, `gap` pixels apart; what is left is `shade`."""
    height, width, _ = pictures[0].shape
    across = max(1, min(columns, len(pictures)))
    down = -(-len(pictures) // across)
    shape = (down * (height + gap) - gap, across * (width + gap) - gap, 3)
    canvas = np.full(shape, shade, np.uint8)
    for i, picture in enumerate(pictures):
        y, x = i // across * (height + gap), i % across * (width + gap)
        canvas[y : y + height, x : x + width] = picture
    return canvas


def four(clip: Pixels) -> Pixels:
    """Four frames of a clip [T, H, W, 3], from the first to the last, two by two."""
    shown = np.linspace(0, len(clip) - 1, 4).astype(int)
    return sheet([clip[at] for at in shown], 2)


def strip(pictures: Sequence[Pixels], columns: int = 10, gap: int = 1) -> Pixels:
    """A filmstrip: pictures in rows of at most `columns`, a line `gap` pixels wide between."""
    return sheet(pictures, columns, gap, GAP_SHADE)


def spread(steps: Sequence[int], most: int) -> tuple[int, ...]:
    """At most `most` of `steps`, evenly spaced, the first and the last among them."""
    if len(steps) <= most:
        return tuple(steps)
    places = np.linspace(0, len(steps) - 1, most).round().astype(int)
    return tuple(steps[place] for place in places.tolist())


def png(picture: Pixels, text: str) -> bytes:
    """One picture as PNG."""
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(picture).save(file, "PNG", pnginfo=_chunk(text))
    return file.getvalue()


def apng(frames: Sequence[Pixels], text: str, milliseconds: int = 80, hold: int = HOLD) -> bytes:
    """Frames as an animated PNG that repeats; the last one is held for `hold` milliseconds."""
    return _animated("PNG", frames, milliseconds, hold, pnginfo=_chunk(text))


def gif(frames: Sequence[Pixels], text: str, milliseconds: int = 80, hold: int = HOLD) -> bytes:
    """Frames as a GIF that repeats, 256 colours chosen for each; the last one is held."""
    return _animated("GIF", frames, milliseconds, hold, comment=text.encode(), optimize=False)


def _animated(
    kind: str, frames: Sequence[Pixels], milliseconds: int, hold: int, **options: Any
) -> bytes:
    from PIL import Image

    pictures = [Image.fromarray(frame) for frame in frames]
    if kind == "GIF":
        pictures = [p.quantize(256, dither=Image.Dither.NONE) for p in pictures]
    durations = [milliseconds] * (len(frames) - 1) + [max(milliseconds, hold)]
    file = io.BytesIO()
    pictures[0].save(
        file,
        kind,
        save_all=True,
        append_images=pictures[1:],
        duration=durations,
        loop=0,
        **options,
    )
    return file.getvalue()


def _chunk(text: str) -> Any:
    """The text as a PNG chunk: tEXt where Latin-1 can say it, else iTXt."""
    from PIL.PngImagePlugin import PngInfo

    info = PngInfo()
    info.add_text(CHUNK, text)
    return info


def read(data: bytes, most_pixels: int = MOST_PIXELS) -> Film:
    """All frames of a PNG, APNG or GIF, and the text inside.

    Raises ValueError, with the reason for a person, where `data` is truncated, no such
    picture, or has more pixels than `most_pixels` or frames than MOST_FRAMES: they are counted
    before any is decoded.
    """
    from PIL import Image, UnidentifiedImageError

    check_gif(data)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            image = Image.open(io.BytesIO(data), formats=["PNG", "GIF"])
            count = getattr(image, "n_frames", 1)
            if image.width * image.height * count > most_pixels:
                raise Image.DecompressionBombError
            if count > MOST_FRAMES:
                raise OverflowError
            text = _text(image)
            frames, durations = [], []
            for number in range(count):
                image.seek(number)
                frames.append(np.asarray(image.convert("RGB")))
                durations.append(int(image.info.get("duration", 0)))
    except Image.DecompressionBombError:
        raise ValueError(f"over {most_pixels:,} pixels") from None
    except OverflowError:
        raise ValueError(f"over {MOST_FRAMES:,} frames") from None
    except UnidentifiedImageError:
        raise ValueError("not a readable picture") from None
    except Exception as error:  # a broken file makes Pillow's decoders raise nearly anything
        raise ValueError(f"damaged or truncated ({error})") from None
    return Film(frames, text, durations)


def check_gif(data: bytes | mmap.mmap) -> None:
    """Raises ValueError where `data` is a GIF of more than MOST_FRAMES frames.

    Pillow decodes its way from each frame to the next, so they are counted here, block by block
    (GIF89a, 1990).
    """
    if data[:4] != b"GIF8" or len(data) < 13:
        return
    at, frames = 13 + _table(data[10]), 0
    while at + 9 < len(data) and data[at : at + 1] != b";":
        if data[at : at + 1] == b"!":
            at = _after_blocks(data, at + 2)
        elif data[at : at + 1] == b",":
            frames += 1
            if frames > MOST_FRAMES:
                raise ValueError(f"over {MOST_FRAMES:,} frames")
            at = _after_blocks(data, at + 11 + _table(data[at + 9]))
        else:
            at += 1  # as Pillow passes over it


def _table(flags: int) -> int:
    """The bytes of the colour table that a screen's or a frame's flags announce."""
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


def _after_blocks(data: bytes | mmap.mmap, at: int) -> int:
    """Where the sub-blocks that begin there end."""
    while at < len(data) and data[at]:
        at += 1 + data[at]
    return at + 1


def _text(image: Any) -> str:
    found = image.info.get("comment" if image.format == "GIF" else CHUNK, "")
    return found.decode("utf-8", "replace") if isinstance(found, bytes) else str(found)


def difference(one: Iterable[Pixels], other: Iterable[Pixels]) -> tuple[float, int, float] | None:
    """How far apart equal numbers of equal-sized pictures are; None where they are not equal.

    The share of pixels that differ, and the largest and the mean difference of a colour
    value, 0 to 255.
    """
    ours, theirs = list(one), list(other)
    if [p.shape for p in ours] != [p.shape for p in theirs]:
        return None
    gaps = [np.abs(a.astype(np.int16) - b) for a, b in zip(ours, theirs, strict=True)]
    differing = sum(int(gap.any(axis=-1).sum()) for gap in gaps)
    pixels = sum(gap[..., 0].size for gap in gaps)
    values = sum(int(gap.sum()) for gap in gaps)
    largest = max(int(gap.max()) for gap in gaps)
    return differing / pixels, largest, values / (3 * pixels)


# --- A contact sheet: many pictures and texts as one picture, each with its caption below it --

ContactPixels = NDArray[np.uint8]

CELL = 160  # pixels that a picture may take along a side
PAD = 12
LINE = 16  # pixels of a line of text
CAPTION_LINES = 2
SIZE = 12  # points
GROUND, PAPER = (24, 24, 28), (38, 38, 44)
INK, DIM = (224, 224, 228), (150, 150, 158)
MOST_CARDS = 400


@dataclass(frozen=True)
class Card:
    """A picture uint8 [H, W, 3], or a text where there is none, and what stands below it."""

    caption: str
    picture: ContactPixels | None = None
    text: str = ""


def contact_sheet(cards: Sequence[Card], columns: int = 0) -> ContactPixels:
    """All of them in rows, as a picture uint8 [H, W, 3]; `columns` 0 makes it about square.

    Pictures are enlarged by whole numbers, or reduced, to the same room each. Raises
    ValueError for no card and for more than MOST_CARDS.
    """
    from PIL import Image, ImageDraw, ImageFont

    if not 0 < len(cards) <= MOST_CARDS:
        raise ValueError(f"{len(cards)} pictures: a sheet takes 1 to {MOST_CARDS}")
    across = columns or max(1, round(len(cards) ** 0.5 + 0.25))
    across = min(across, len(cards))
    down = -(-len(cards) // across)
    wide, high = CELL + PAD, CELL + CAPTION_LINES * LINE + PAD
    canvas = Image.new("RGB", (across * wide + PAD, down * high + PAD), GROUND)
    draw, font = ImageDraw.Draw(canvas), ImageFont.load_default(SIZE)
    for i, card in enumerate(cards):
        x, y = PAD + i % across * wide, PAD + i // across * high
        if card.picture is None:
            draw.rectangle((x, y, x + CELL - 1, y + CELL - 1), fill=PAPER)
            _write(draw, font, (x + 6, y + 4), clean(card.text), CELL - 12, CELL // LINE, INK)
        else:
            fitted = _fitted(card.picture)
            left, top = (CELL - fitted.shape[1]) // 2, (CELL - fitted.shape[0]) // 2
            canvas.paste(Image.fromarray(fitted), (x + left, y + top))
        below = (x, y + CELL + 2)
        _write(draw, font, below, clean_line(card.caption), CELL, CAPTION_LINES, DIM)
    return np.asarray(canvas)


def _fitted(picture: ContactPixels) -> ContactPixels:
    """As large as the room takes: by a whole number, or smaller."""
    from PIL import Image

    longest = max(picture.shape[:2])
    if longest <= CELL:
        return enlarged(picture, CELL // longest)
    height, width = (max(1, side * CELL // longest) for side in picture.shape[:2])
    return np.asarray(Image.fromarray(picture).resize((width, height), Image.Resampling.LANCZOS))


def _write(
    draw: Any,
    font: Any,
    at: tuple[int, int],
    text: str,
    width: int,
    lines: int,
    colour: tuple[int, int, int],
) -> None:
    """The text, wrapped to `width` pixels and cut to so many lines."""
    x, y = at
    each = max(1.0, font.getlength("n"))
    characters = max(4, int(width / each))
    wrapped = [
        line or ""
        for paragraph in text.split("\n")
        for line in (textwrap.wrap(paragraph, characters) or [""])
    ]
    for number, line in enumerate(wrapped[:lines]):
        more = number == lines - 1 and len(wrapped) > lines
        draw.text((x, y + number * LINE), line[:-1] + "…" if more else line, colour, font)
