"""A contact sheet: many pictures and texts as one picture, each with its caption below it."""

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from genui.render.film import enlarged
from genui.render.sanitise import clean, clean_line

Pixels = NDArray[np.uint8]

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
    picture: Pixels | None = None
    text: str = ""


def contact_sheet(cards: Sequence[Card], columns: int = 0) -> Pixels:
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


def _fitted(picture: Pixels) -> Pixels:
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
