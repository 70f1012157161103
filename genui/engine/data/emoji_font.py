"""About 1,300 colour emoji from Noto Color Emoji, where that font is installed."""

import hashlib
import io
import os
import re
import shutil
import subprocess
from pathlib import Path

import emoji
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont, features
from PIL import __version__ as pillow_version

from genui.engine.data.captions import split_words
from genui.engine.data.fitting import fit_square
from genui.engine.data.picture_cache import Drawn, read_cache, write_cache
from genui.engine.data.pictures import Pictures, fingerprint, hold_out_names
from genui.errors import GenuiError
from genui.runs.disk import read_regular

LICENCE = "OFL-1.1 (Noto Color Emoji, by Google)"
FONT_NAME = "NotoColorEmoji.ttf"
FOLDERS = (
    "/usr/share/fonts/truetype/noto",
    "/usr/share/fonts/noto",
    "/usr/share/fonts/google-noto-emoji",
    "/usr/share/fonts/google-noto-color-emoji-fonts",
    "/usr/local/share/fonts",
    "~/.local/share/fonts",
    "~/.fonts",
)
ONLY_SIZE = 109  # the one size of the bitmaps inside the font
MARGIN = 1  # pixels around the longest side
MOST_BYTES = 64 << 20  # of a font
DRAWING = 1  # raise whenever the same emoji would come out as another picture

UNWANTED_WORDS = frozenset(
    {
        *("flag", "button", "keycap", "clock", "oclock", "thirty"),
        *("family", "couple", "kiss", "holding", "hands", "people"),
        *("skin", "tone", "hair", "beard", "facing"),
    }
)
"""A name with one of these words is a sign, a group or a variant rather than a thing."""

GENDERED = frozenset({"man", "woman", "men", "women"})
GENDERED_KEPT = frozenset({"man", "woman", "man dancing", "woman dancing"})

FAMILIAR = frozenset(
    {
        "octopus",
        "red apple",
        "cat face",
        "dog face",
        "pizza",
        "rocket",
        "sunflower",
        "crying face",
        "soccer ball",
        "red heart",
        "smiling face",
        "thumbs up",
        "birthday cake",
    }
)
"""Names always trained: the recipe's own samples and what people try first."""


def load_emoji() -> Pictures:
    """The emoji, drawn or from the cache.

    Raises GenuiError where the font is missing or Pillow cannot draw it.
    """
    path = find_font()
    rgba, captions = _drawn(path, choose())
    trained, held_out = hold_out_names(captions, keep=FAMILIAR)
    return Pictures(
        name="emoji",
        licence=LICENCE,
        fingerprint=fingerprint(rgba, captions),
        rgba=rgba,
        captions=captions,
        scheme="ground",
        train=trained,
        held_out=held_out,
    )


def find_font() -> Path:
    """The font file: GENUI_EMOJI_FONT, the usual folders, or what fontconfig knows.

    Raises GenuiError saying how to install it.
    """
    chosen = os.environ.get("GENUI_EMOJI_FONT")
    if chosen:
        path = Path(os.path.expanduser(chosen))
        if not os.path.isfile(path):
            raise GenuiError(f"GENUI_EMOJI_FONT={chosen}: no such file; name a {FONT_NAME}")
        return path
    for folder in FOLDERS:
        path = Path(os.path.expanduser(folder)) / FONT_NAME
        if path.is_file():
            return path
    known = _from_fontconfig()
    if known is not None:
        return known
    raise GenuiError(
        f"no {FONT_NAME} found: install it (Debian, Ubuntu: apt install fonts-noto-color-emoji) "
        "or name the file in GENUI_EMOJI_FONT"
    )


def choose() -> dict[str, str]:
    """Caption to emoji, in the order of the captions."""
    chosen: dict[str, str] = {}
    for glyph, entry in emoji.EMOJI_DATA.items():
        if entry["status"] != emoji.STATUS["fully_qualified"]:
            continue
        caption = " ".join(split_words(re.sub("[’']", "", entry["en"].replace("_", " "))))
        words = caption.split()
        if any(0x1F1E6 <= ord(c) <= 0x1F1FF or c == "\U0001f3f4" for c in glyph):
            continue  # flags: of countries, spelt in regional indicators, and on the black flag
        gendered = not GENDERED.isdisjoint(words) and caption not in GENDERED_KEPT
        if not gendered and UNWANTED_WORDS.isdisjoint(words):
            chosen.setdefault(caption, glyph)
    return dict(sorted(chosen.items()))


def draw_emoji(font: ImageFont.FreeTypeFont, glyph: str) -> NDArray[np.uint8] | None:
    """The emoji [32, 32, 4], centred and as large as the margin allows.

    None where the font has no single glyph for it.
    """
    if font.getlength(glyph) > 1.5 * ONLY_SIZE:  # drawn as its parts, side by side
        return None
    picture = Image.new("RGBA", (2 * ONLY_SIZE, 2 * ONLY_SIZE))
    where = (ONLY_SIZE // 4, ONLY_SIZE // 4)
    ImageDraw.Draw(picture).text(where, glyph, font=font, embedded_color=True)
    inked = picture.getbbox()
    return None if inked is None else fit_square(picture.crop(inked), MARGIN)


def _drawn(path: Path, glyphs: dict[str, str]) -> Drawn:
    """Pictures [N, 32, 32, 4] and their captions; of equal pictures the first is kept."""
    font = read_regular(path, MOST_BYTES, "name another in GENUI_EMOJI_FONT")
    listed = "\n".join(f"{caption}={glyph}" for caption, glyph in glyphs.items())
    key = hashlib.sha256(font + f"{DRAWING} {pillow_version}\n{listed}".encode()).hexdigest()[:16]
    cached = read_cache(f"emoji-{key}")
    if cached is not None:
        return cached
    face = _open(path, font)
    pictures: dict[bytes, tuple[str, NDArray[np.uint8]]] = {}
    for caption, glyph in glyphs.items():
        rgba = draw_emoji(face, glyph)
        if rgba is not None:
            pictures.setdefault(rgba.tobytes(), (caption, rgba))
    if not pictures:
        raise GenuiError(f"{path}: holds no emoji; name a {FONT_NAME} in GENUI_EMOJI_FONT")
    rgba = np.stack([picture for _, picture in pictures.values()])
    drawn = rgba, tuple(caption for caption, _ in pictures.values())
    write_cache(f"emoji-{key}", drawn)
    return drawn


def _open(path: Path, font: bytes) -> ImageFont.FreeTypeFont:
    if not features.check("raqm"):
        raise GenuiError(
            "Pillow has no RAQM, which emoji need: install Pillow's own wheel "
            "(pip install --force-reinstall pillow)"
        )
    try:
        return ImageFont.truetype(io.BytesIO(font), ONLY_SIZE, layout_engine=ImageFont.Layout.RAQM)
    except OSError:
        raise GenuiError(
            f"{path}: cannot be opened as a colour bitmap font; name a {FONT_NAME} "
            "in GENUI_EMOJI_FONT"
        ) from None


def _from_fontconfig() -> Path | None:
    matcher = shutil.which("fc-match")
    if matcher is None:
        return None
    try:
        answer = subprocess.run(
            [matcher, "--format=%{file}", "Noto Color Emoji"],
            capture_output=True,
            text=True,
            timeout=5,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    path = Path(answer.stdout.strip())  # the nearest font, which may be another
    return path if path.name == FONT_NAME and path.is_file() else None
