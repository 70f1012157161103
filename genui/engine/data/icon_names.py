"""Which of the 7,296 glyphs of Material Design Icons are plain things, and what to call them."""

import string
from collections.abc import Iterable


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


MODIFIERS = _words(
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

TOPICS = _words(
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

KEPT = _words(
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


def choose(names: Iterable[str]) -> dict[str, str]:
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
