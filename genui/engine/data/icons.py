"""Plain shapes from Material Design Icons, each under its own name."""

import hashlib
import io
from importlib import resources

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from PIL import __version__ as pillow_version

from genui.engine.data.fitting import fit_square
from genui.engine.data.icon_names import choose
from genui.engine.data.picture_cache import Drawn, read_cache, write_cache
from genui.engine.data.pictures import (
    SIDE,
    Pictures,
    fingerprint,
    hold_out_names,
    hold_out_pairs,
)
from genui.errors import GenuiError

LICENCE = "Apache-2.0 (Material Design Icons 7, by Pictogrammers)"
MARGIN = 2  # pixels around the longest side
LARGE = 8 * SIDE  # pixels a glyph is drawn at before it is reduced
DRAWING = 1  # raise whenever the same glyph would come out as another picture


def load_icons() -> Pictures:
    """The icons, drawn or from the cache. Raises GenuiError where the font is missing."""
    glyphs, font = _installed()
    rgba, captions = _drawn(font, {c: glyphs[name] for c, name in choose(glyphs).items()})
    trained, held_out = hold_out_names(captions)
    return Pictures(
        name="icons",
        licence=LICENCE,
        fingerprint=fingerprint(rgba, captions),
        rgba=rgba,
        captions=captions,
        scheme="figure-ground",
        train=trained,
        held_out=held_out,
        held_pairs=hold_out_pairs(),
    )


def draw_glyph(font: ImageFont.FreeTypeFont, glyph: str) -> NDArray[np.uint8] | None:
    """The glyph's alpha [32, 32], centred and as large as the margin allows; None if blank."""
    mask = Image.new("L", (LARGE * 2, LARGE * 2))
    ImageDraw.Draw(mask).text((LARGE // 2, LARGE // 2), glyph, fill=255, font=font)
    inked = mask.getbbox()
    return None if inked is None else fit_square(mask.crop(inked), MARGIN)


def _drawn(font: bytes, glyphs: dict[str, str]) -> Drawn:
    """White shapes [N, 32, 32, 4] and their captions; of equal shapes the shortest name stays."""
    listed = "\n".join(f"{caption}={glyph}" for caption, glyph in sorted(glyphs.items()))
    key = hashlib.sha256(font + f"{DRAWING} {pillow_version}\n{listed}".encode()).hexdigest()[:16]
    cached = read_cache(f"icons-{key}")
    if cached is not None:
        return cached
    face = ImageFont.truetype(io.BytesIO(font), LARGE)
    shapes: dict[bytes, tuple[str, NDArray[np.uint8]]] = {}
    for caption in sorted(glyphs, key=lambda caption: (caption.count(" "), caption)):
        alpha = draw_glyph(face, glyphs[caption])
        if alpha is not None:
            shapes.setdefault(alpha.tobytes(), (caption, alpha))
    rgba = np.full((len(shapes), SIDE, SIDE, 4), 255, np.uint8)
    kept = sorted(shapes.values(), key=lambda shape: shape[0])
    rgba[..., 3] = [alpha for _, alpha in kept]
    drawn = rgba, tuple(caption for caption, _ in kept)
    write_cache(f"icons-{key}", drawn)
    return drawn


def _installed() -> tuple[dict[str, str], bytes]:
    """Every glyph by name, and the font file."""
    try:
        from fonticon_mdi7 import MDI7
    except ImportError:
        raise GenuiError(
            "the icons need the package fonticon-materialdesignicons7: "
            "pip install fonticon-materialdesignicons7"
        ) from None
    glyphs = {
        name: value.rpartition(".")[2]  # "mdi7.X": the character follows the font's key
        for name, value in vars(MDI7).items()
        if not name.startswith("_")
    }
    font = resources.files("fonticon_mdi7") / "fonts" / "materialdesignicons-webfont.ttf"
    return glyphs, font.read_bytes()
