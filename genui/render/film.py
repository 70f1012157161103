"""Pictures as files: one, a filmstrip, a sheet, a moving one; each with a text inside.

Pictures are uint8 [H, W, 3]. The text is the recipe: in PNG and APNG a text chunk named
`genui`, in GIF the comment extension.
"""

import io
import mmap
import warnings
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

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
