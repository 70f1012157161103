"""Icons and emoji: images drawn from the glyphs of two fonts, and kept between runs."""

import contextlib
import hashlib
import io
import os
import re
import shutil
import string
import subprocess
import tempfile
import zipfile
from collections.abc import Iterable
from importlib import resources
from pathlib import Path

import emoji
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont, features
from PIL import __version__ as pillow_version

from genui.base.errors import GenuiError
from genui.base.files import read_regular
from genui.base.paths import cache_dir
from genui.engine.data.captions import split_words
from genui.engine.data.images import SIDE, RawImages, fit_square

# --- Drawn images kept between runs; a broken or read-only cache is ignored -----------------

Drawn = tuple[NDArray[np.uint8], tuple[str, ...]]
"""Images [N, 32, 32, 4] and their N captions."""


def read_cache(key: str) -> Drawn | None:
    """What was drawn under this key, or None."""
    try:
        with np.load(_path(key), allow_pickle=False) as stored:
            rgba, captions = stored["rgba"], tuple(map(str, stored["captions"]))
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None
    if rgba.dtype != np.uint8 or rgba.shape != (len(captions), 32, 32, 4):
        return None
    return rgba, captions


def write_cache(key: str, drawn: Drawn) -> None:
    """Keep what was drawn, if the disk allows; whole or not at all."""
    path = _path(key)
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, aside = tempfile.mkstemp(dir=path.parent, prefix=path.stem, suffix=".tmp")
        try:
            with os.fdopen(handle, "wb") as file:
                np.savez_compressed(file, rgba=drawn[0], captions=np.array(drawn[1]))
            os.replace(aside, path)
        except BaseException:
            os.unlink(aside)
            raise


def _path(key: str) -> Path:
    return cache_dir() / "pictures" / f"{key}.npz"


# --- Which glyphs of Material Design Icons are plain things, and what to call them --------------


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
"""A name with one of these words is a variant, a state or a sign of another icon."""

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
"""A name that begins with one of these is no thing a caption would name, but for `KEPT`."""

KEPT = _icon_words(
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
"""Taken although a rule above would drop them."""

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
"""Always taken, under the name a person would type."""

CATEGORIES = ("food", "fruit", "weather", "emoticon", "zodiac")
"""First words that file an icon rather than name it: "fruit_pear" is called "pear"."""

LONGEST = 3  # words


def choose_icons(names: Iterable[str]) -> dict[str, str]:
    """Caption to glyph name for the plain things among `names`, in the order of the captions."""
    known = set(names)
    chosen = {caption: name for name, caption in RENAMED.items() if name in known}
    plain = [name for name in sorted(known - RENAMED.keys()) if name in KEPT or _is_plain(name)]
    for name in plain:
        category, _, rest = name.partition("_")
        if not (rest and category in CATEGORIES):
            chosen.setdefault(name.replace("_", " "), name)
    for name in plain:  # after the others, so that "fruit_x" never takes the place of "x"
        category, _, rest = name.partition("_")
        if rest and category in CATEGORIES:
            chosen.setdefault(rest.replace("_", " "), name)
    return dict(sorted(chosen.items()))


def _is_plain(name: str) -> bool:
    words = name.split("_")
    readable = len(words) <= LONGEST and all(len(word) > 2 and word.isalpha() for word in words)
    return readable and words[0] not in TOPICS and MODIFIERS.isdisjoint(words)


# --- Plain shapes from Material Design Icons, each under its own name -------------------------

ICONS_MARGIN = 2  # pixels around the longest side
LARGE = 8 * SIDE  # pixels a glyph is drawn at before it is reduced
ICONS_DRAWING = 1  # raise whenever the same glyph would come out as another image


def read_icons() -> RawImages:
    """The icons, drawn or from the cache. Raises GenuiError where the font is missing."""
    glyphs, font = _read_font()
    chosen = {caption: glyphs[name] for caption, name in choose_icons(glyphs).items()}
    return RawImages(*_draw_icons(font, chosen))


def draw_glyph(font: ImageFont.FreeTypeFont, glyph: str) -> NDArray[np.uint8] | None:
    """The glyph's alpha [32, 32], centred and as large as the margin allows; None if blank."""
    mask = Image.new("L", (LARGE * 2, LARGE * 2))
    ImageDraw.Draw(mask).text((LARGE // 2, LARGE // 2), glyph, fill=255, font=font)
    inked = mask.getbbox()
    return None if inked is None else fit_square(mask.crop(inked), ICONS_MARGIN)


def _draw_icons(font: bytes, glyphs: dict[str, str]) -> Drawn:
    """White shapes [N, 32, 32, 4] and their captions; of equal shapes the shortest name stays."""
    listed = "\n".join(f"{caption}={glyph}" for caption, glyph in sorted(glyphs.items()))
    key = hashlib.sha256(font + f"{ICONS_DRAWING} {pillow_version}\n{listed}".encode()).hexdigest()[
        :16
    ]
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


def _read_font() -> tuple[dict[str, str], bytes]:
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


# --- About 1,300 colour emoji from Noto Color Emoji, where that font is installed -------------

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
EMOJI_MARGIN = 1  # pixels around the longest side
MOST_BYTES = 64 << 20  # of a font
EMOJI_DRAWING = 1  # raise whenever the same emoji would come out as another image

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


def read_emoji() -> RawImages:
    """The emoji, drawn or from the cache.

    Raises GenuiError where the font is missing or Pillow cannot draw it.
    """
    return RawImages(*_draw_emoji(find_font(), choose_emoji()))


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


def choose_emoji() -> dict[str, str]:
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
    image = Image.new("RGBA", (2 * ONLY_SIZE, 2 * ONLY_SIZE))
    where = (ONLY_SIZE // 4, ONLY_SIZE // 4)
    ImageDraw.Draw(image).text(where, glyph, font=font, embedded_color=True)
    inked = image.getbbox()
    return None if inked is None else fit_square(image.crop(inked), EMOJI_MARGIN)


def _draw_emoji(path: Path, glyphs: dict[str, str]) -> Drawn:
    """Images [N, 32, 32, 4] and their captions; of equal images the first is kept."""
    font = read_regular(path, MOST_BYTES, "name another in GENUI_EMOJI_FONT")
    listed = "\n".join(f"{caption}={glyph}" for caption, glyph in glyphs.items())
    key = hashlib.sha256(font + f"{EMOJI_DRAWING} {pillow_version}\n{listed}".encode()).hexdigest()[
        :16
    ]
    cached = read_cache(f"emoji-{key}")
    if cached is not None:
        return cached
    face = _open(path, font)
    images: dict[bytes, tuple[str, NDArray[np.uint8]]] = {}
    for caption, glyph in glyphs.items():
        rgba = draw_emoji(face, glyph)
        if rgba is not None:
            images.setdefault(rgba.tobytes(), (caption, rgba))
    if not images:
        raise GenuiError(f"{path}: holds no emoji; name a {FONT_NAME} in GENUI_EMOJI_FONT")
    rgba = np.stack([image for _, image in images.values()])
    drawn = rgba, tuple(caption for caption, _ in images.values())
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
