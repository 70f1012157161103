"""Icons and emoji: images rendered from the glyphs of two fonts, and cached on disk."""

import contextlib
import hashlib
import io
import os
import re
import string
import zipfile
from collections.abc import Callable, Iterable
from importlib import resources
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont, features
from PIL import __version__ as pillow_version

from genui.base.config import load_config
from genui.base.errors import GenuiError
from genui.base.files import atomic_path, read_regular
from genui.base.paths import cache_dir
from genui.engine.data.captions import split_words
from genui.engine.data.image_files import SIDE, fit_square
from genui.engine.data.images import RawImages

# --- A cache of rendered images; if it is broken or read-only it is ignored -------------------

Drawn = tuple[NDArray[np.uint8], tuple[str, ...]]
"""Images [N, side, side, 4] and their N captions."""


def draw_once(key: str, side: int, draw: Callable[[], Drawn]) -> Drawn:
    """The cached images of this key, or those that `draw` draws now."""
    path = cache_dir() / "pictures" / f"{key}.npz"
    with contextlib.suppress(OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        with np.load(path, allow_pickle=False) as stored:
            rgba, captions = stored["rgba"], tuple(map(str, stored["captions"]))
        if rgba.dtype == np.uint8 and rgba.shape == (len(captions), side, side, 4):
            return rgba, captions
    rgba, captions = draw()
    with contextlib.suppress(OSError, GenuiError):
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_path(path, durable=False) as aside, aside.open("wb") as file:
            np.savez_compressed(file, rgba=rgba, captions=np.array(captions))
    return rgba, captions


def keep_first(drawn: Iterable[tuple[str, NDArray[np.uint8] | None]]) -> Drawn:
    """The images [32, 32, 4] that are drawn, sorted by caption; the first of identical ones."""
    images: dict[bytes, tuple[str, NDArray[np.uint8]]] = {}
    for caption, rgba in drawn:
        if rgba is not None:
            images.setdefault(rgba.tobytes(), (caption, rgba))
    kept = sorted(images.values(), key=lambda image: image[0])
    return np.stack([rgba for _, rgba in kept]), tuple(caption for caption, _ in kept)


# --- Which glyphs of Material Design Icons are used, and their captions -----------------------


def _icon_words(text: str) -> frozenset[str]:
    return frozenset(text.split())


MODIFIERS = _icon_words(
    """
    abs account advanced alert all alpha analytics and arrow articulated assistant auto
    automation badge begin bluetooth bottom box brake bulleted cancel capacity center charging
    check chevron circle clock close closed cog column confirmation connected coolant covered
    cursor dashboard defrost dimmed disabled down download duplicate edit empty equal export eye
    fast file fill filter first flow folder forever format from google gps half hangup helper
    hidden high horizontal hspa hydraulic image import incoming information inside intermediate
    large last left less lines link lock low many marker medium merge message metering microsoft
    minus missed month more multiple network newsletter next nfc number numeric off on one only
    opacity open or outgoing outline outside pause paused percent play plus pos previous
    processing proximity pulse quarter question received refresh refund relation remove restore
    return reverse rhombus right rotate row rows scan scart search select settings shimmer small
    software split star stop strength svideo swap sweep switch sync temperature text thick three
    to top traction transfer two unbalanced uncovered unfill unknown unselected up upload
    variant vertical video view wave week wireless zero
    """
)
"""A name with one of these words is a variant or state of another icon, or a sign."""

TOPICS = _icon_words(
    # brands and products
    """
    android angular angularjs ansible apache apple arch artstation atlassian aws babel bash
    bitbucket bitcoin black bootstrap bulma centos clippy codepen cordova cryengine deathly
    debian deviantart digital disqus dlna docker dolby dropbox drupal electron ember emby eslint
    ethereum evernote facebook fedora firebase firefox firewire freebsd gatsby gentoo git github
    gitlab gmail gnome gog goodreads graphql hololens hubspot hulu humble incognito instagram
    iobroker ipod jabber jira jquery jsfiddle kickstarter klingon kodi kubernetes laravel
    lastpass linkedin linux litecoin lumx manjaro mapbox mastodon minecraft nativescript netflix
    nintendo nix nodejs npm nuxt odnoklassniki onepassword openid opera origin pandora patreon
    pinterest plex pokemon powershell qqchat quora raspberry react reddit redhat rollupjs
    salesforce sass sina skype slack snapchat sony soundcloud spotify stackpath steam symfony
    tailwind teamviewer terraform trello twitch twitter ubisoft ubuntu umbraco unity unreal
    vimeo vlc vuejs vuetify waze webpack wechat whatsapp wikipedia wordpress xamarin yahoo
    youtube zend zigbee
    """
    # signs of user interfaces and of trades
    """
    ab abjad abugida advertisements alphabet api application approximately arrange artboard
    aspect atm audio augmented autorenew av axis backburger backup bio block blur border box
    button cached calendar call camera case cast cellphone checkbox clipboard closed code
    collage compare consolidate contacts contain content counter crop currency current data
    debug decimal delta details developer devices dip directions diversify dns dock domain dot
    dots drag draw drawing elevation et ethernet ev expansion exponent find focus font form
    forward forwardburger frequently fullscreen function gate gender gesture greater group hail
    halal hdmi hdr hexadecimal hvac identifier ideogram image induction integrated invert ip
    keyboard lan language latitude launch led less license lightbulb list loading location login
    logout longitude looks loupe margin material math matrix micro middleware midi mini mixed
    molecule monitor motion move multicast multimedia nas near not null numeric oci ocr oil
    opacity order overscan page pan panorama patio perspective ph phone pi point poll pound
    priority professional progress protocol publish qi quality radiobox radius raw ray read
    redirect redo regex registered reiterate relative reload rename repeat replay reproduction
    resistor resize responsive restart restore rounded rss sale screen sd seat segment selection
    semantic serial server set signal simple size skew skip slash slope smart solid sort source
    speedometer spellcheck square ssh stack standard state step sticker subtitles surround svg
    symbol tab table tangram tape television temperature text theme timelapse timeline timetable
    tooltip toslink track trackpad transcribe transit transition trending tune undo ungroup
    unicode update usb vanish variable vector vibrate view virtual voicemail volume vpn
    wallpaper wan watermark webhook webrtc weight white widgets wiper wrap xml xmpp yeast zip
    """
)
"""A name that begins with one of these is not something that a caption would name."""

ALWAYS_TRAINED = frozenset(
    (
        *("octopus", "red apple", "cat face", "dog face", "pizza", "rocket", "sunflower"),
        *("crying face", "soccer ball", "red heart", "smiling face", "thumbs up", "birthday cake"),
    )
)
"""Emoji that are never held out: sample captions of recipes, and what people try first."""

ALWAYS_INCLUDED = _icon_words(
    """
    account account_cowboy_hat account_group account_hard_hat account_heart account_tie
    air_filter alert arrow_down arrow_left arrow_right arrow_up bag_carry_on battery_charging
    bell_badge bluetooth book_open boom_gate_up bow_arrow bus_stop calendar calendar_heart
    calendar_month camera camera_iris cellphone check chess_queen circle clipboard
    clipboard_list clock code_tags coffee_to_go cog cog_clockwise cursor_default death_star
    delete door_closed door_open earth_box email_open exclamation_thick eye fast_forward file
    file_cabinet file_music filter flash_red_eye folder folder_heart folder_home folder_key
    folder_music garage_open gate gender_female gender_male gift_open hand_pointing_down
    hand_pointing_left hand_pointing_right hand_pointing_up hand_wave head_cog head_question
    heart_half heat_wave infinity keyboard led_on light_switch lightbulb lightbulb_night
    lightbulb_on lightbulb_spot lighthouse_on link lock lock_open magnet_on magnify mailbox_open
    mailbox_up map_marker marker message minus molecule monitor motion_sensor network oil_lamp
    patio_heater pause percent phone phone_classic phone_ring plus police_badge pound resistor
    robot_vacuum run_fast sawtooth_wave scale_unbalanced seat server sine_wave skull_scan
    slope_downhill slope_uphill speedometer square square_root square_wave stairs_down stairs_up
    star star_crescent star_david star_face star_four_points sticker stop table_chair
    table_picnic table_tennis tape_measure television television_classic toggle_switch triangle
    triangle_wave truck_fast video video_vintage volume_high volume_mute water_polo weight
    weight_lifter wheelchair window_closed window_open
    """
)
"""Names that are included although one of the rules above excludes them."""

RENAMED = {
    "airballoon": "air balloon",
    "axe_battle": "battle axe",
    "bag_personal": "backpack",
    "bag_suitcase": "suitcase",
    "bottle_wine": "wine bottle",
    "bread_slice": "bread",
    "candycane": "candy cane",
    "content_cut": "scissors",
    "currency_eur": "euro",
    "currency_usd": "dollar",
    "dice_5": "dice",
    "dog_side": "dog standing",
    "emoticon": "smiley",
    "face_man": "man",
    "face_woman": "woman",
    "flower_tulip": "tulip",
    "food_fork_drink": "meal",
    "glass_cocktail": "cocktail",
    "glass_mug": "mug",
    "glass_wine": "wine glass",
    "guitar_acoustic": "guitar",
    "hat_fedora": "hat",
    "heart_broken": "broken heart",
    "leaf_maple": "maple leaf",
    "moon_waning_crescent": "moon",
    "music_clef_bass": "bass clef",
    "music_clef_treble": "treble clef",
    "shoe_sneaker": "shoe",
    "silverware_fork": "fork",
    "silverware_spoon": "spoon",
    "star_shooting": "shooting star",
    "table_furniture": "table",
    "tshirt_crew": "shirt",
    "weather_sunny": "sun",
    **{f"alpha_{letter}": f"letter {letter}" for letter in string.ascii_lowercase},
    **{f"numeric_{digit}": f"digit {digit}" for digit in string.digits},
}
"""Names that are always included, with the caption that a person would type."""

CATEGORIES = ("food", "fruit", "weather", "emoticon", "zodiac")
"""First words that are a category and not part of a caption: "fruit_pear" is called "pear"."""

LONGEST = 3  # words


def choose_icons(names: Iterable[str]) -> dict[str, str]:
    """Caption to glyph name for those of `names` that are used, sorted by caption."""
    available = set(names)
    chosen = {caption: name for name, caption in RENAMED.items() if name in available}
    categorised = []
    for name in sorted(available - RENAMED.keys()):
        if name not in ALWAYS_INCLUDED and not _is_plain(name):
            continue
        category, _, rest = name.partition("_")
        if rest and category in CATEGORIES:
            categorised.append((rest, name))
        else:
            chosen.setdefault(name.replace("_", " "), name)
    for rest, name in categorised:  # last, so that "fruit_x" never replaces "x"
        chosen.setdefault(rest.replace("_", " "), name)
    return dict(sorted(chosen.items()))


def _is_plain(name: str) -> bool:
    words = name.split("_")
    readable = len(words) <= LONGEST and all(len(word) > 2 and word.isalpha() for word in words)
    return readable and words[0] not in TOPICS and MODIFIERS.isdisjoint(words)


# --- White shapes from Material Design Icons --------------------------------------------------

ICONS_MARGIN = 2  # pixels around the longest side
LARGE = 8 * SIDE  # font size in pixels, before the glyph is scaled down
ICONS_DRAWING = 1  # part of the cache key: increment it if a glyph is rendered differently


def read_icons() -> RawImages:
    """Render the icons, or read them from the cache. Raises GenuiError if the font is missing."""
    glyphs, font = read_font()
    chosen = {caption: glyphs[name] for caption, name in choose_icons(glyphs).items()}
    key = cache_key("icons", font, ICONS_DRAWING, sorted(chosen.items()))
    return RawImages(*draw_once(key, SIDE, lambda: _draw_icons(font, chosen)))


def draw_glyph(
    font: ImageFont.FreeTypeFont, glyph: str, side: int = SIDE
) -> NDArray[np.uint8] | None:
    """The glyph as a white shape [side, side, 4], centred and as large as the margin allows; None
    if it is blank."""
    mask = Image.new("L", (LARGE * 2, LARGE * 2))
    ImageDraw.Draw(mask).text((LARGE // 2, LARGE // 2), glyph, fill=255, font=font)
    inked = mask.getbbox()
    if inked is None:
        return None
    rgba = np.full((side, side, 4), 255, np.uint8)
    rgba[..., 3] = fit_square(mask.crop(inked), ICONS_MARGIN * side // SIDE, side=side)
    return rgba


def _draw_icons(font: bytes, glyphs: dict[str, str]) -> Drawn:
    """White shapes [N, 32, 32, 4] and their captions. One of identical shapes is kept: the one with
    the fewest words in its caption."""
    face = ImageFont.truetype(io.BytesIO(font), LARGE)
    ordered = sorted(glyphs, key=lambda caption: (caption.count(" "), caption))
    return keep_first((caption, draw_glyph(face, glyphs[caption])) for caption in ordered)


def cache_key(name: str, font: bytes, version: int, glyphs: Iterable[tuple[str, str]]) -> str:
    """A key that changes with whatever the rendered images depend on."""
    listed = "\n".join(f"{caption}={glyph}" for caption, glyph in glyphs)
    digest = hashlib.sha256(font + f"{version} {pillow_version}\n{listed}".encode())
    return f"{name}-{digest.hexdigest()[:16]}"


def read_font() -> tuple[dict[str, str], bytes]:
    """The glyphs by name, and the bytes of the font file."""
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


# --- About 1,300 colour emoji from Noto Color Emoji, if that font is installed ----------------

FONT_NAME = "NotoColorEmoji.ttf"
FOLDERS = (
    "/usr/share/fonts",
    "/usr/local/share/fonts",
    "/run/current-system/sw/share/X11/fonts",
    "~/.local/share/fonts",
    "~/.fonts",
)
BITMAP_SIZE = 109  # the only size of the font's bitmaps
EMOJI_MARGIN = 1  # pixels around the longest side
MAX_BYTES = 64 << 20  # of a font
EMOJI_DRAWING = 1  # part of the cache key: increment it if an emoji is rendered differently

UNWANTED_WORDS = frozenset(
    {
        *("flag", "button", "keycap", "clock", "oclock", "thirty"),
        *("family", "couple", "kiss", "holding", "hands", "people"),
        *("skin", "tone", "hair", "beard", "facing"),
    }
)
"""A name with one of these words is a sign, a group or a variant of another emoji."""

GENDERED_WORDS = frozenset({"man", "woman", "men", "women"})
GENDERED_NAMES = frozenset({"man", "woman", "man dancing", "woman dancing"})
"""The only names with a gendered word that are used; the others are variants."""


def read_emoji() -> RawImages:
    """Render the emoji, or read them from the cache.

    Raises GenuiError if the font is missing or Pillow cannot use it.
    """
    path, glyphs = find_font(), choose_emoji()
    font = read_regular(path, MAX_BYTES, "name another in GENUI_EMOJI_FONT")
    key = cache_key("emoji", font, EMOJI_DRAWING, glyphs.items())
    return RawImages(*draw_once(key, SIDE, lambda: _draw_emoji(path, font, glyphs)))


def check_emoji() -> int:
    """Raise GenuiError if the font is missing; nothing is downloaded."""
    find_font()
    return 0


def find_font() -> Path:
    """Find the font file: from the setting `emoji_font`, or in or below the usual folders.

    Raises GenuiError, which says how to install it.
    """
    if named := load_config().emoji_font:
        path = Path(os.path.expanduser(named))
        if not os.path.isfile(path):
            raise GenuiError(f"emoji_font {named}: no such file; name a {FONT_NAME}")
        return path
    for folder in FOLDERS:
        for path in Path(os.path.expanduser(folder)).rglob(FONT_NAME):
            return path
    raise GenuiError(
        f"no {FONT_NAME} found: install it (Debian, Ubuntu: apt install fonts-noto-color-emoji) "
        "or name the file: genui config set emoji_font FILE"
    )


def choose_emoji() -> dict[str, str]:
    """Caption to emoji for those that are used, sorted by caption."""
    import emoji  # late: it takes 30 ms, and the table of datasets imports this file

    chosen: dict[str, str] = {}
    for glyph, entry in emoji.EMOJI_DATA.items():
        if entry["status"] != emoji.STATUS["fully_qualified"]:
            continue
        caption = " ".join(split_words(re.sub("[’']", "", entry["en"].replace("_", " "))))
        words = caption.split()
        if any(0x1F1E6 <= ord(c) <= 0x1F1FF or c == "\U0001f3f4" for c in glyph):
            continue  # flags: regional indicators, or sequences that begin with the black flag
        is_variant = not GENDERED_WORDS.isdisjoint(words) and caption not in GENDERED_NAMES
        if not is_variant and UNWANTED_WORDS.isdisjoint(words):
            chosen.setdefault(caption, glyph)
    return dict(sorted(chosen.items()))


def draw_emoji(font: ImageFont.FreeTypeFont, glyph: str) -> NDArray[np.uint8] | None:
    """The emoji [32, 32, 4], centred and as large as the margin allows.

    None if the font has no single glyph for it.
    """
    if font.getlength(glyph) > 1.5 * BITMAP_SIZE:  # it would be its parts, side by side
        return None
    image = Image.new("RGBA", (2 * BITMAP_SIZE, 2 * BITMAP_SIZE))
    corner = (BITMAP_SIZE // 4, BITMAP_SIZE // 4)
    ImageDraw.Draw(image).text(corner, glyph, font=font, embedded_color=True)
    inked = image.getbbox()
    return None if inked is None else fit_square(image.crop(inked), EMOJI_MARGIN)


def _draw_emoji(path: Path, font: bytes, glyphs: dict[str, str]) -> Drawn:
    """Images [N, 32, 32, 4] and their captions. The first of identical images is kept."""
    face = _open(path, font)
    drawn = [(caption, draw_emoji(face, glyph)) for caption, glyph in glyphs.items()]
    if all(rgba is None for _, rgba in drawn):
        raise GenuiError(f"{path}: holds no emoji; name a {FONT_NAME} in GENUI_EMOJI_FONT")
    return keep_first(drawn)


def _open(path: Path, font: bytes) -> ImageFont.FreeTypeFont:
    if not features.check("raqm"):
        raise GenuiError(
            "Pillow has no RAQM, which emoji need: install Pillow's own wheel "
            "(pip install --force-reinstall pillow)"
        )
    try:
        raqm = ImageFont.Layout.RAQM
        return ImageFont.truetype(io.BytesIO(font), BITMAP_SIZE, layout_engine=raqm)
    except OSError:
        raise GenuiError(
            f"{path}: cannot be opened as a colour bitmap font; name a {FONT_NAME} "
            "in GENUI_EMOJI_FONT"
        ) from None
