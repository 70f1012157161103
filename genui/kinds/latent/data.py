"""Icons with their modifiers, and emoji in three styles, at 128×128; new images of their parts.

Nothing in a package of emoji is trusted.
"""

import hashlib
import io
import os
import re
import tarfile
import zlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFont

from genui.base import paths
from genui.base.errors import GenuiError, MisuseError, install
from genui.base.files import read_regular, show
from genui.engine.data import icons
from genui.engine.data.captions import STOP_WORDS, Vocabulary, open_folder, split_words
from genui.engine.data.download import MAX_BYTES, check_reachable, fetch, is_downloaded, shared
from genui.engine.data.image_datasets import IMAGE_DATASETS, ImageDataset, load_images
from genui.engine.data.images import (
    BEFORE_COLOUR,
    CaptionedImages,
    RawImages,
    hold_out_names,
    shuffle_key,
)
from genui.engine.data.preparation import QUIET, Preparation, Report
from genui.kinds.latent.recipe import SIDE, AutoencoderRecipe

# --- Icons: an object and its modifiers -------------------------------------------------------

MODIFIERS: Mapping[str, str] = {
    "outline": "outline",
    "off": "off",
    "plus": "with plus",
    "minus": "with minus",
    "remove": "with cross",
    "check": "with check",
    "alert": "with alert",
    "edit": "with pencil",
    "pencil": "with pencil",
    "circle": "in a circle",
    "box": "in a box",
    "multiple": "multiple",
}
"""Last words of an icon's name to words of its caption, in the order of the caption."""

HELD_PAIRS = 150  # of object and modifier, about
RICH = 3  # modifiers, each alone, of an object with pairs that are held out
LEAST_TRAINED = 2  # modifiers of such an object that are trained

Modified = dict[str, tuple[str, frozenset[str]]]
"""Name of a glyph to the caption of its object and its modifiers, as words of the caption."""


def read_icons() -> RawImages:
    """Draw the icons, or read them from the cache; those with held-out pairs come last.

    Raises GenuiError if the font is missing.
    """
    glyphs, font = icons.read_font()
    modified = choose_modified(glyphs)
    pairs = hold_out_modifiers(modified.values())
    trained, held = {}, {}
    for name, (thing, modifiers) in modified.items():
        is_held = any((thing, each) in pairs for each in modifiers)
        (held if is_held else trained).setdefault(icon_caption(thing, modifiers), name)
    held = {caption: name for caption, name in held.items() if caption not in trained}
    chosen = {caption: glyphs[name] for caption, name in {**trained, **held}.items()}
    key = icons.cache_key(f"icons-{SIDE}", font, icons.ICONS_DRAWING, chosen.items())
    rgba, captions = icons.draw_once(key, SIDE, lambda: _draw_icons(font, chosen))
    return RawImages(rgba, captions, sum(caption in held for caption in captions))


def choose_modified(names: Iterable[str]) -> Modified:
    """The icons of things that can be named, plain and with modifiers."""
    available = set(names)
    plain = {name: caption for caption, name in icons.choose_icons(available).items()}
    chosen: Modified = {name: (caption, frozenset()) for name, caption in sorted(plain.items())}
    for name in sorted(available - plain.keys()):
        words = name.split("_")
        count = next((i for i, word in enumerate(words[::-1]) if word not in MODIFIERS), 0)
        base, last = "_".join(words[: len(words) - count]), words[len(words) - count :]
        modifiers = frozenset(MODIFIERS[word] for word in last)
        thing = plain.get(base) or (_name_thing(base) if base in available else "")
        if modifiers and thing and len(modifiers) == len(last) and _is_clear(modifiers):
            chosen[name] = thing, modifiers
    return chosen


def icon_caption(thing: str, modifiers: Iterable[str]) -> str:
    """A name as `[outline] [off] [with plus] [in a circle] [multiple]` after its object."""
    return " ".join([thing, *sorted(modifiers, key=list(MODIFIERS.values()).index)])


def hold_out_modifiers(
    modified: Iterable[tuple[str, frozenset[str]]],
) -> frozenset[tuple[str, str]]:
    """The pairs of object and modifier that no trained image has: about HELD_PAIRS, chosen by
    their names alone, of objects with RICH modifiers or more; a plain outline is always trained."""
    single: defaultdict[str, set[str]] = defaultdict(set)
    for thing, modifiers in modified:
        if len(modifiers) == 1:
            single[thing] |= modifiers
    pairs = [
        (thing, each)
        for thing, modifiers in single.items()
        if len(modifiers) >= RICH
        for each in modifiers - {"outline"}
    ]
    left = Counter({thing: len(modifiers) - LEAST_TRAINED for thing, modifiers in single.items()})
    held = []
    for thing, modifier in sorted(pairs, key=lambda pair: shuffle_key(" ".join(pair))):
        if left[thing] > 0 and len(held) < HELD_PAIRS:
            held.append((thing, modifier))
            left[thing] -= 1
    return frozenset(held)


def _name_thing(name: str) -> str:
    """The caption of an object that is no plain icon, such as "database arrow down"; "" if it is a
    sign of user interfaces, a brand, or hard to name."""
    words = name.split("_")
    readable = len(words) <= icons.LONGEST and all(word.isalpha() for word in words)
    named = name in icons.ALWAYS_INCLUDED or words[0] not in icons.TOPICS
    return " ".join(words) if readable and named and "variant" not in words else ""


def _is_clear(modifiers: frozenset[str]) -> bool:
    """Whether there is at most one badge, and at most one frame."""
    return all(sum(word.startswith(first) for word in modifiers) < 2 for first in ("with", "in "))


def _draw_icons(font: bytes, glyphs: Mapping[str, str]) -> icons.Drawn:
    """White shapes [N, 128, 128, 4] and their captions, in the order of `glyphs`."""
    face = ImageFont.truetype(io.BytesIO(font), 2 * SIDE)
    shapes = {name: icons.draw_glyph(face, glyph, SIDE) for name, glyph in glyphs.items()}
    inked = {caption: rgba for caption, rgba in shapes.items() if rgba is not None}
    return np.stack(list(inked.values())), tuple(inked)


# --- Emoji: each name in three styles ---------------------------------------------------------


SHA256 = {
    "noto-1.2.9.tgz": "3e918d88fc945c0bb3d468dbace6f88caef67f01c9f0e7bcae0915a042e8f1ad",
    "fluent-emoji-flat-1.2.6.tgz": (
        "7d064769dee690815f823bc5bcc511d957198caf9f5edd8dd9c1aa48a6aeb175"
    ),
    "twemoji-1.2.5.tgz": "19046dff7d8707ce96212ec86468b36ac5f8e60409629dd13f809265c6d0ebb7",
}
"""The packages of npm with the drawings of each style, by Iconify."""

BYTES = {
    "noto-1.2.9.tgz": 3_102_958,
    "fluent-emoji-flat-1.2.6.tgz": 1_172_438,
    "twemoji-1.2.5.tgz": 1_555_888,
}
"""The sizes of these files."""

STYLES = tuple(file.partition("-")[0] for file in SHA256)
"""The word for each style in captions: noto, fluent, twemoji."""
LICENCE = (
    "Apache-2.0 (Noto Emoji, by Google), MIT (Fluent Emoji flat, by Microsoft), CC-BY-4.0 "
    "(Twemoji, by Twitter and other contributors)"
)

ALIKE = "Symbols"  # the category whose styles are hardly different
MINI = ("Smileys & Emotion", "Animals & Nature", "Food & Drink")  # categories of the small dataset
SKIN_TONE = re.compile("1f3f[b-f]")
MAX_MEMBER = 64 * 2**20  # bytes of a file in a package
MAX_BODY = 2**20  # characters of a drawing
EMOJI_DRAWING = 1  # part of the cache key: increment it if an emoji is rendered differently

_SVG = (
    '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
    'viewBox="0 0 {width:g} {height:g}" width="{side}" height="{side}">{body}</svg>'
)


class _Icon(msgspec.Struct):
    body: str
    width: float | None = None
    height: float | None = None


class _Alias(msgspec.Struct):
    parent: str


class _Icons(msgspec.Struct):
    icons: dict[str, _Icon]
    aliases: dict[str, _Alias] = {}
    width: float = 16
    height: float = 16


class _Metadata(msgspec.Struct):
    categories: dict[str, list[str]] = {}


class _Package(NamedTuple):
    names: dict[str, str]  # by code points, such as "1f419"
    metadata: _Metadata
    icons: _Icons


def read_emoji(data: str = "") -> RawImages:
    """Draw the emoji of three packages, name by name, or read them from the cache.

    `data` is a folder with the packages; without it they are GENUI_DATA/emoji-128, or what
    `download_emoji` fetched. Raises MisuseError or GenuiError if they cannot be used.
    """
    return _emoji_of(_read_packages(data))


def read_mini_emoji(data: str = "") -> RawImages:
    """The emoji of `read_emoji` in the categories of MINI. The names that are held out of all
    emoji are held out of these too: they come last."""
    packages = _read_packages(data)
    whole = _emoji_of(packages)
    categories = _open(*next(iter(packages.items()))).metadata.categories
    chosen = {_caption(name) for each in MINI for name in categories.get(each, ())}
    kept, held_out = (
        [i for i in part if whole.captions[i] in chosen]
        for part in hold_out_names(whole.captions, icons.ALWAYS_TRAINED)
    )
    order = [*kept, *held_out]
    return whole._replace(
        rgba=whole.rgba[order],
        captions=tuple(whole.captions[i] for i in order),
        styles=tuple(whole.styles[i] for i in order),
        test=len(held_out),
        fingerprint="",
    )


def _emoji_of(packages: Mapping[str, bytes]) -> RawImages:
    digest = hashlib.sha256(b"".join(hashlib.sha256(body).digest() for body in packages.values()))
    key = f"emoji-{SIDE}-{EMOJI_DRAWING}-{digest.hexdigest()[:16]}"
    rgba, captions = icons.draw_once(
        key,
        SIDE,
        lambda: _draw_emoji([_parse(*each) for each in packages.items()]),
    )
    return RawImages(
        rgba,
        captions,
        fingerprint=digest.hexdigest()[:16],
        styles=STYLES * (len(captions) // len(STYLES)),
        licence=LICENCE,
    )


def download_emoji(report: Report) -> None:
    """Download the packages, unless a folder has them. Raises GenuiError if one cannot be had."""
    if shared(EMOJI) is None:
        for file, sha256 in SHA256.items():
            fetch(file, _url(file), sha256, report=report)


def check_emoji() -> int:
    """How many bytes must be downloaded. Raises GenuiError without the package that draws, or
    without a network for the download."""
    _import_resvg()
    if shared(EMOJI) is not None:
        return 0
    missing = [file for file in SHA256 if not is_downloaded(file)]
    if missing:
        check_reachable(missing[0], _url(missing[0]))
    return sum(BYTES[file] for file in missing)


def random_emoji() -> RawImages:
    """Random images of the same shapes, to measure the speed of a training."""
    styles = STYLES * 100
    rgba = np.random.default_rng(0).integers(0, 256, (len(styles), SIDE, SIDE, 4), np.uint8)
    captions = tuple(f"name {i // len(STYLES)}" for i in range(len(styles)))
    return RawImages(rgba, captions, styles=styles)


def holds_packages(data: str) -> bool:
    """Whether the user's path is a folder with the packages."""
    folder = Path(os.path.expanduser(data))
    return os.path.isdir(folder) and any(_find(folder, file) for file in SHA256)


def _folder(data: str) -> Path:
    if data:
        return open_folder(data, "give the folder with the packages of emoji")
    return shared(EMOJI) or paths.downloads_dir()


def _package(file: str) -> str:
    """The name of the package that is in a file."""
    return file.rpartition("-")[0]


def _url(file: str) -> str:
    return f"https://registry.npmjs.org/@iconify-json/{_package(file)}/-/{file}"


def _find(folder: Path, file: str) -> Path | None:
    """The package of any version, as the registry or `npm pack` names it."""
    wanted = re.compile(rf"(iconify-json-)?{_package(file)}-[\d.]+\.tgz")
    return next((path for path in sorted(folder.iterdir()) if wanted.fullmatch(path.name)), None)


def _read_packages(data: str) -> dict[str, bytes]:
    """Each file of SHA256 to its content. Raises MisuseError or GenuiError."""
    folder = _folder(data)
    return {file: _read_package(folder, file) for file in SHA256}


def _read_package(folder: Path, file: str) -> bytes:
    path = _find(folder, file)
    if path is None:
        raise MisuseError(
            f"{show(folder)}: {file} is missing; cd there and npm pack "
            f"@iconify-json/{_package(file)}"
        )
    return read_regular(path, MAX_BYTES, "pack it again", MisuseError)


def _parse(file: str, body: bytes) -> dict[str, tuple[str, str]]:
    """Code points such as "1f419" to the name and the SVG of an emoji, without skin tones and
    symbols. Raises what `_open` raises."""
    package = _open(file, body)
    symbols = set(package.metadata.categories.get(ALIKE, ()))
    drawn = {code: (name, _svg(package.icons, name)) for code, name in package.names.items()}
    return {
        code: (name, svg)
        for code, (name, svg) in drawn.items()
        if svg and name not in symbols and not SKIN_TONE.search(code)
    }


def _open(file: str, body: bytes) -> _Package:
    """Raises MisuseError, which names the package, for one that is damaged."""
    try:
        with tarfile.open(fileobj=io.BytesIO(body), mode="r:gz") as tar:
            return _Package(
                msgspec.json.decode(_member(tar, "chars"), type=dict[str, str]),
                msgspec.json.decode(_member(tar, "metadata"), type=_Metadata),
                msgspec.json.decode(_member(tar, "icons"), type=_Icons),
            )
    except (OSError, EOFError, KeyError, ValueError, tarfile.TarError, zlib.error) as error:
        raise MisuseError(
            f"{file}: is no package of Iconify, or damaged ({error}); fetch it again"
        ) from None


def _member(tar: tarfile.TarFile, name: str) -> bytes:
    file = tar.extractfile(f"package/{name}.json")
    content = file.read(MAX_MEMBER + 1) if file is not None else b""
    if not content or len(content) > MAX_MEMBER:
        raise ValueError(f"{name}.json is empty or larger than {MAX_MEMBER >> 20} MB")
    return content


def _svg(stored: _Icons, name: str) -> str:
    """A drawing as SVG, or "" for one that is not there, is too long or names another file."""
    alias = stored.aliases.get(name)
    icon = stored.icons.get(alias.parent if alias else name)
    if icon is None or len(icon.body) > MAX_BODY or "<image" in icon.body:
        return ""
    width, height = icon.width or stored.width, icon.height or stored.height
    return _SVG.format(width=width, height=height, side=SIDE, body=icon.body)


def _draw_emoji(styles: Sequence[Mapping[str, tuple[str, str]]]) -> icons.Drawn:
    """Images [N, 128, 128, 4] of what all styles have, and their captions: name by name, each in
    every style."""
    codes = sorted(set.intersection(*(set(style) for style in styles)))
    if not codes:
        raise MisuseError("the packages of emoji have no emoji in common; fetch them again")
    named = {_caption(styles[0][code][0]): code for code in codes}
    rgba = np.stack([_render(style[code][1]) for code in named.values() for style in styles])
    return rgba, tuple(name for name in named for _ in styles)


def _caption(name: str) -> str:
    return " ".join(split_words(name.replace("-", " ")))


def _render(svg: str) -> NDArray[np.uint8]:
    """[128, 128, 4], alpha not premultiplied."""
    png = _import_resvg().svg_to_bytes(svg_string=svg, width=SIDE, height=SIDE)
    with Image.open(io.BytesIO(bytes(png))) as image:
        return np.asarray(image.convert("RGBA").resize((SIDE, SIDE)))


def _import_resvg():
    try:
        import resvg_py  # late: an extra
    except ImportError:
        raise GenuiError(f"{EMOJI} needs resvg-py: {install('emoji')}") from None
    return resvg_py


# --- The table --------------------------------------------------------------------------------

EMOJI, ICONS = "emoji-128", "icons-128"

_EMOJI = ImageDataset(
    name=EMOJI,
    summary="emoji by name in three styles: noto, fluent, twemoji, 128×128",
    licence=LICENCE,
    side=SIDE,
    load=read_emoji,
    check=check_emoji,
    download=download_emoji,
    stand_in=random_emoji,
    reads=holds_packages,
    scheme="ground",
    hold_out="names",
    always_trained=icons.ALWAYS_TRAINED,
    limitations="It was trained on three images of each name, one in each style. Names "
    "that it was not trained on give relatives of what they name.",
)

DATASETS: Mapping[str, ImageDataset] = {
    row.name: row
    for row in (
        ImageDataset(
            name=ICONS,
            summary="icons and their variants by name, in any two of ten colours, 128×128",
            licence="Apache-2.0 (Material Design Icons 7, by Pictogrammers)",
            side=SIDE,
            load=read_icons,
            scheme="figure-ground",
            hold_out="test set",
            limitations="It was trained on one image for each icon and variant: a trained name "
            "gives that shape again. New are combinations with colours, of an object with a "
            f"variant that {HELD_PAIRS} pairs were held out of, and of two objects.",
        ),
        _EMOJI,
        replace(
            _EMOJI,
            name="mini-emoji-128",
            summary="456 of these emoji: smileys, animals, plants and food",
            load=read_mini_emoji,
            hold_out="test set",
        ),
    )
}


def load_sets(
    recipe: AutoencoderRecipe, preparation: Preparation = QUIET
) -> tuple[CaptionedImages, ...]:
    """The datasets of a recipe; `data` is that of the first. Raises what `load_images` raises."""
    return tuple(load_set(recipe, name, preparation) for name in recipe.datasets)


def load_set(
    recipe: AutoencoderRecipe, name: str, preparation: Preparation = QUIET
) -> CaptionedImages:
    """Load one of the datasets of a recipe."""
    data = recipe.data if name == recipe.dataset else ""
    return load_images(name, data, preparation=preparation, side=SIDE)


def has_to_come(name: str) -> bool:
    """Whether a dataset is not always here."""
    row = IMAGE_DATASETS.get(name)
    return row is not None and row.check is not None


def check_sets(recipe: AutoencoderRecipe, preparation: Preparation = QUIET) -> str:
    """Load the images of a recipe and describe them in one line."""
    return "; ".join(images.line for images in load_sets(recipe, preparation))


# --- New images made of the parts -------------------------------------------------------------

COMPOSED = 0.2  # share of the images that are made of several, or are small
AS_DRAWN = 0.75  # share of the others that are neither shifted nor scaled
SMALLEST = 0.7  # of the side: one that is
SMALL = (0.3, 0.45)  # of the side: one that its caption calls small
PART_WORDS = 3  # of a name in a composition

FIXED = frozenset(
    (
        *("left", "right", "east", "west", "north", "south", "arrow", "hand", "index", "finger"),
        *("thumbs", "flag", "clock", "oclock", "thirty", "letter", "digit", "calendar", "abc"),
        *("music", "note", "books", "running", "walking", "facing"),
    )
)
"""Words of names that are seldom the same in a mirror."""


def vary(
    images: CaptionedImages, indices: NDArray[np.int64], rng: np.random.Generator
) -> CaptionedImages:
    """As many new images as there are `indices`: some shifted and scaled, half of them mirrored
    where that is harmless, and some composed of several: "two hearts", "small star", "star above
    moon"."""
    drawn = [_vary(images, int(index), rng) for index in indices]
    return replace(
        images,
        rgba=np.stack([rgba for _, rgba in drawn]),
        captions=tuple(caption for caption, _ in drawn),
        styles=tuple(images.styles[index] for index in indices) if images.styles else (),
        train=np.arange(len(drawn)),
        held_out=np.empty(0, np.int64),
    )


def build_vocabulary(images: CaptionedImages) -> Vocabulary:
    """The words of the captions of `vary`, too."""
    plurals = [pluralise(caption) for caption in images.captions if _is_part(caption)]
    words = [*BEFORE_COLOUR, "above", "beside", *images.styles]
    return Vocabulary.build([*images.captions, *plurals, *words])


def pluralise(name: str) -> str:
    """ "red apple" to "red apples"."""
    if name.endswith("s"):
        return name
    if re.search("[^aeiou]y$", name):
        return f"{name[:-1]}ies"
    return f"{name}es" if re.search("(x|ch|sh)$", name) else f"{name}s"


Placed = tuple[int, float, float, float]
"""Index of an image, and the place of its centre and its side, in sides of the whole."""


def _vary(
    images: CaptionedImages, index: int, rng: np.random.Generator
) -> tuple[str, NDArray[np.uint8]]:
    name = images.captions[index]
    if rng.random() < COMPOSED and _is_part(name):
        name, placed = _compose(images, index, rng)
    elif rng.random() < AS_DRAWN:
        placed = [(index, 0.5, 0.5, 1.0)]
    else:
        size = rng.uniform(SMALLEST, 1)
        placed = [(index, *rng.uniform(size / 2, 1 - size / 2, 2), size)]
    whole = Image.new("RGBa", (SIDE, SIDE))
    for each, x, y, size in placed:
        _paste(whole, images.rgba[each], x, y, size, mirror=_may_mirror(images, each, rng))
    return name, np.asarray(whole.convert("RGBA"))


def _compose(
    images: CaptionedImages, index: int, rng: np.random.Generator
) -> tuple[str, list[Placed]]:
    """A caption of several parts, or of a small one, and where the parts are."""
    name = images.captions[index]
    match rng.integers(4):
        case 0:
            size = rng.uniform(*SMALL)
            x, y = rng.uniform(size / 2, 1 - size / 2, 2)
            return f"small {name}", [(index, x, y, size)]
        case 1:
            count, word = (2, "two") if rng.random() < 0.6 else (3, "three")
            size, y = rng.uniform(0.8, 1) / count, rng.uniform(0.35, 0.65)
            row: list[Placed] = [(index, (i + 0.5) / count, y, size) for i in range(count)]
            return f"{word} {pluralise(name)}", row
    other = _partner(images, index, rng)
    first, second = rng.uniform(0.38, 0.5, 2)
    across = rng.uniform(0.35, 0.65, 2)
    if rng.random() < 0.5:
        placed: list[Placed] = [(index, across[0], 0.26, first), (other, across[1], 0.74, second)]
        return f"{name} above {images.captions[other]}", placed
    placed = [(index, 0.26, across[0], first), (other, 0.74, across[1], second)]
    return f"{name} beside {images.captions[other]}", placed


def _partner(images: CaptionedImages, index: int, rng: np.random.Generator) -> int:
    """Another trained image that can be a part, of the same style."""
    while True:
        other = int(rng.choice(images.train))
        alike = not images.styles or images.styles[other] == images.styles[index]
        if alike and (other == index or _is_part(images.captions[other])):
            return other


def _is_part(name: str) -> bool:
    """Whether compositions may have it: a short name without "with" and "in"."""
    words = split_words(name)
    return len(words) <= PART_WORDS and STOP_WORDS.isdisjoint(words)


def _may_mirror(images: CaptionedImages, index: int, rng: np.random.Generator) -> bool:
    """Half of the emoji that have no direction. The badge of an icon has its side."""
    if images.scheme == "figure-ground" or rng.random() < 0.5:
        return False
    return FIXED.isdisjoint(split_words(images.captions[index]))


def _paste(
    whole: Image.Image, rgba: NDArray[np.uint8], x: float, y: float, size: float, mirror: bool
) -> None:
    """Put an image [128, 128, 4] on another, premultiplied one."""
    side = max(1, round(size * SIDE))
    part = Image.fromarray(rgba).convert("RGBa").resize((side, side), Image.Resampling.LANCZOS)
    if mirror:
        part = part.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    corner = round(x * SIDE - side / 2), round(y * SIDE - side / 2)
    layer = Image.new("RGBa", whole.size)
    layer.paste(part, corner)
    below = np.asarray(whole).astype(np.uint16)
    above = np.asarray(layer)
    mixed = above + (below * (255 - above[..., 3:]) + 127) // 255
    whole.paste(Image.frombytes("RGBa", whole.size, mixed.astype(np.uint8).tobytes()))
