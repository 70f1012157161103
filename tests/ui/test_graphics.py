"""Images in pixels: which protocol, the terminal's replies, and what is seen on its screen."""

import random
import re

import pytest

from genui.ui.cells import Cells
from genui.ui.graphics import (
    DEVICE,
    Images,
    Placement,
    Protocol,
    Replies,
    choose_protocol,
    read_sixel,
    settle,
    settle_in_tmux,
)

# --- which protocol ---------------------------------------------------------------------------

KITTY_REPLY = "\x1b_Gi=31;OK\x1b\\\x1b[?62;c"
ASKED = "the terminal is asked"


@pytest.mark.parametrize(
    ("env", "protocol"),
    [
        ({"TERM": "xterm-kitty"}, "kitty"),
        ({"TERM": "xterm-ghostty"}, "kitty"),
        ({"TERM": "xterm-256color", "TERM_PROGRAM": "ghostty"}, "kitty"),
        ({"TERM": "xterm-256color", "KITTY_WINDOW_ID": "1"}, "kitty"),
        ({"TERM": "xterm-256color", "KONSOLE_VERSION": "250402"}, "kitty"),
        ({"TERM": "xterm-256color", "TERM_PROGRAM": "iTerm.app"}, "iterm2"),
        ({"TERM": "xterm-256color", "LC_TERMINAL": "iTerm2"}, "iterm2"),
        ({"TERM": "xterm-256color", "TERM_PROGRAM": "WezTerm"}, "iterm2"),
        ({"TERM": "xterm-256color", "TERM_PROGRAM": "mintty"}, "iterm2"),
        ({"TERM": "xterm-256color"}, None),
        ({"TERM": "foot"}, None),
    ],
)
def test_the_environment_names_the_protocol(env: dict[str, str], protocol: str | None) -> None:
    choice = choose_protocol(env, "auto", "truecolor")
    assert choice.protocol == protocol
    # Only the terminals that are known by a name of their own are not asked.
    assert bool(choice.query) == (protocol != "iterm2")
    assert ("\x1b_G" in choice.query) == (protocol == "kitty")


@pytest.mark.parametrize(
    "env",
    [
        {"TERM": "linux"},
        {"TERM": "dumb"},
        {},
        {"TERM": "xterm-256color", "TERM_PROGRAM": "Apple_Terminal"},
        {"TERM": "screen.xterm-256color", "STY": "1.pts"},
    ],
)
def test_terminals_without_images_are_not_asked(env: dict[str, str]) -> None:
    assert choose_protocol(env, "auto", "truecolor")[::2] == (None, "")


@pytest.mark.parametrize("colours", ["16", "ascii"])
def test_few_colours_get_no_pixels(colours: str) -> None:
    assert choose_protocol({"TERM": "xterm-kitty"}, "auto", colours)[::2] == (None, "")


def test_the_setting_wins() -> None:
    kitty = {"TERM": "xterm-kitty"}
    assert choose_protocol(kitty, "blocks", "truecolor")[::2] == (None, "")
    assert choose_protocol(kitty, "sixel", "truecolor").protocol == "sixel"
    assert choose_protocol({"TERM": "dumb"}, "kitty", "ascii").protocol == "kitty"


@pytest.mark.parametrize(
    ("term", "replies", "protocol"),
    [
        ("xterm-kitty", KITTY_REPLY, "kitty"),
        ("xterm-kitty", "\x1b_Gi=31;ENOTSUPPORTED:no\x1b\\\x1b[?62;4c", "sixel"),
        ("xterm-kitty", "\x1b[?62;c", None),
        ("xterm-256color", "\x1b[?62;4;22c", "sixel"),
        ("xterm-256color", "\x1b[?1;2;4c", "sixel"),
        ("xterm-256color", "\x1b[?4;22c", None),  # a VT132, without graphics
        ("xterm-256color", "\x1b[?62;14;44c", None),
        ("xterm-256color", KITTY_REPLY, None),  # not asked for
    ],
)
def test_the_terminals_answer_settles_it(term: str, replies: str, protocol: str | None) -> None:
    choice = choose_protocol({"TERM": term}, "auto", "truecolor")
    assert settle(choice, replies).protocol == protocol


@pytest.mark.parametrize(
    ("facts", "protocol"),
    [
        ("xterm-kitty kitty(0.41.1)\non\ntitle", "kitty"),
        ("xterm-ghostty ghostty 1.2\nall\ntitle", "kitty"),
        ("xterm-kitty kitty(0.41.1)\noff\ntitle", None),
        ("xterm XTerm(398)\noff\n256,RGB,sixel,title", "sixel"),
        ("xterm XTerm(398)\non\n256,title", None),
        ("\n\n", None),
        ("", None),
    ],
)
def test_in_tmux_the_terminal_around_it_counts(facts: str, protocol: str | None) -> None:
    assert choose_protocol({"TMUX": "x", "TERM": "xterm-kitty"}, "auto", "256").ask_tmux
    assert settle_in_tmux(facts).protocol == protocol


def test_sixel_facts_are_read_from_the_replies() -> None:
    assert read_sixel("\x1b[?1;0;16S\x1b[6;18;9t\x1b[?62;4c") == (16, (9, 18))
    assert read_sixel("\x1b[?1;0;1024S\x1b[6;0;0t\x1b[?62;4c") == (256, None)
    assert read_sixel("\x1b[?62;4c") == (256, None)


# --- replies ----------------------------------------------------------------------------------

COLOURS = "\x1b]11;rgb:ffff/ffff/ffff\x1b\\\x1bP1$r0;48:2::1:2:3m\x1b\\\x1b[>41;390;0c"
ALL_REPLIES = (
    COLOURS + "\x1b_Gi=31;OK\x1b\\\x1b[?1;0;256S\x1b[6;18;9t\x1b[?62;1;2;4;6;9;15;16;22;28c"
)


def test_no_piece_of_a_reply_is_taken_for_keys() -> None:
    typed = "a" + ALL_REPLIES + "b\x1b[A"
    for first in range(len(typed) + 1):
        for second in (first + 1, first + 7):
            replies, keys, answers = Replies(), "", []
            replies.expect(now=0.0)
            pieces = (typed[:first], "", typed[first:second], "", typed[second:])
            for number, piece in enumerate(pieces):
                key, answer = replies.take(piece, now=0.01 * number)
                keys += key
                answers += [answer] if answer else []
            assert keys + replies.take("", now=9.0)[0] == "ab\x1b[A"
            assert answers == [ALL_REPLIES]


def test_what_only_begins_like_a_reply_keeps_no_key_for_long() -> None:
    replies, keys = Replies(), ""
    replies.expect(now=0.0)
    for n, typed in enumerate(("\x1b_G", *"abcdefgh")):
        keys += replies.take(typed, now=0.5 * n)[0]
    assert keys.endswith("fgh")


def test_a_late_reply_is_no_key_either() -> None:
    replies = Replies()
    replies.expect(now=0.0)
    assert replies.take("\x1b[?62;c", now=0.0) == ("", "\x1b[?62;c")
    assert replies.take("x\x1b[?62;", now=60.0) == ("x", "")
    assert replies.take("4cy", now=60.5) == ("y", "")


@pytest.mark.parametrize("key", ["\x1b", "\x1b[", "\x1b_", "\x1b]", "\x1bP"])
def test_a_key_that_may_begin_a_reply_waits_only_for_a_moment(key: str) -> None:
    replies = Replies()
    replies.expect(now=0.0)
    assert replies.take(key, now=1.0) == ("", "")
    assert replies.take("", now=1.2) == (key, "")
    assert replies.take(DEVICE.replace("[", "[?62"), now=1.3)[1]
    assert replies.take(key, now=2.0) == (key, "")  # nothing is expected any more


def test_in_a_terminal_that_never_answers_keys_do_not_wait_for_ever() -> None:
    replies = Replies()
    replies.expect(now=0.0)
    assert replies.take("\x1b", now=60.0) == ("\x1b", "")


def test_keys_are_not_changed() -> None:
    keys = "q\x1b\x1b[6~\x1b[6;5~\x1b[A\x1b[<0;3;4M\x1bOP\x1b[?2026;2$y\x1b[48;40;120;720;960té"
    replies = Replies()
    assert replies.take(keys, now=0.0) == (keys, "")
    replies.expect(now=0.0)
    assert replies.take(keys, now=0.0) == (keys, "")


# --- what is seen -----------------------------------------------------------------------------

COLUMNS, LINES = 30, 12
Seen = str | tuple[str, int, int]  # a letter, or the column and line of an image

_OUTPUT = re.compile(
    r"\x1b\[(?P<y>\d+);(?P<x>\d+)H"
    r"|\x1b\[(?P<right>\d+)C"
    r"|\x1b\[(?P<codes>[\d;]*)m"
    r"|\x1b_G(?P<keys>[^;]*);(?P<kitty>[^\x1b]*)\x1b\\"
    r"|\x1b\]1337;File=(?P<options>[^:]*):(?P<iterm2>[^\x07]*)\x07"
    r'|\x1bPq"1;1;(?P<width>\d+);(?P<height>\d+)(?P<sixel>[^\x1b]*)\x1b\\'
    r"|(?P<char>[^\x1b])"
)


class Screen:
    """A terminal that shows text and images, as far as this is used."""

    def __init__(self) -> None:
        self.cells: list[list[Seen]] = [[" "] * COLUMNS for _ in range(LINES)]
        self.plain = [[True] * COLUMNS for _ in range(LINES)]  # without a background
        self.kitty: dict[str, tuple[int, int, int, int, int, str]] = {}
        self.uploads = 0
        self._keys, self._data = {}, ""

    def feed(self, text: str) -> None:
        x = y = end = 0
        plain = True
        for match in _OUTPUT.finditer(text):
            assert match.start() == end, repr(text[end : end + 30])
            end = match.end()
            found = {name: value for name, value in match.groupdict().items() if value is not None}
            if "y" in found:
                x, y = int(found["x"]) - 1, int(found["y"]) - 1
            elif "right" in found:
                x += int(found["right"])
            elif "codes" in found:
                plain = found["codes"] in ("", "0")
            elif "keys" in found:
                self._obey(found["keys"], found["kitty"], x, y)
            elif "options" in found:
                options = dict(part.split("=") for part in found["options"].split(";"))
                size = int(options["width"]), int(options["height"])
                self._draw(x, y, *size, found["iterm2"])
            elif "width" in found:
                self._draw(x, y, int(found["width"]), int(found["height"]), found["sixel"])
            else:
                self.cells[y][x], self.plain[y][x] = found["char"], plain
                x += 1
        assert end == len(text)

    def _draw(self, x: int, y: int, cols: int, rows: int, data: str) -> None:
        self.uploads += 1
        assert y + rows < LINES  # else the screen would scroll
        for row in range(rows):
            for col in range(cols):
                self.cells[y + row][x + col] = (data, col, row)
                self.plain[y + row][x + col] = False

    def _obey(self, keys: str, data: str, x: int, y: int) -> None:
        parsed = dict(part.split("=") for part in keys.split(","))
        assert parsed["q"] == "2"  # an answer would be taken for keys
        if "a" in parsed:
            self._keys, self._data = parsed, ""
        self._data += data
        assert len(data) <= 4096
        if parsed.get("m") == "1":
            return
        keys_of_all = self._keys
        if keys_of_all["a"] == "d":
            del self.kitty[keys_of_all["i"]]
            return
        self.uploads += 1
        c, r, z = (int(keys_of_all[name]) for name in "crz")
        assert z < -(1 << 30)  # below cells with a background
        self.kitty[keys_of_all["i"]] = x, y, c, r, z, self._data

    def look(self, x: int, y: int) -> Seen:
        """What is seen in a cell."""
        below = [
            (z, (data, x - left, y - top))
            for left, top, cols, rows, z, data in self.kitty.values()
            if left <= x < left + cols and top <= y < top + rows and self.plain[y][x]
        ]
        return max(below)[1] if below and self.cells[y][x] == " " else self.cells[y][x]


class Stage:
    """Places images and letters as the app does, and checks what is seen."""

    def __init__(self, protocol: Protocol) -> None:
        self.images, self.screen = Images(), Screen()
        self.images.protocol = protocol
        self.cells = Cells(COLUMNS, LINES, self.images)
        self.placed: dict[Placement, tuple[int, int]] = {}
        self.letters: dict[tuple[int, int], str] = {}  # above all images

    def place(self, x: int, y: int, cols: int, rows: int, layer: int = 0) -> Placement:
        placement = self.images.place(cols, rows, layer)
        assert placement is not None
        self.placed[placement] = x, y
        self.update(placement)
        return placement

    def update(self, placement: Placement) -> None:
        name = f"n{placement.number}v{placement.version + 1}"
        data = {
            "kitty": name * 3000,  # in several pieces
            "iterm2": f"\x1b]1337;File=width={placement.cols};height={placement.rows}:{name}\x07",
            "sixel": f'\x1bPq"1;1;{placement.cols};{placement.rows}{name}\x1b\\',
        }
        assert self.images.protocol
        placement.update(data[self.images.protocol])

    def expected(self, x: int, y: int) -> Seen:
        if (x, y) in self.letters:
            return self.letters[x, y]
        for placement in sorted(self.placed, key=lambda one: -one.layer):
            left, top = self.placed[placement]
            if left <= x < left + placement.cols and top <= y < top + placement.rows:
                name = f"n{placement.number}v{placement.version}"
                times = 3000 if self.images.protocol == "kitty" else 1
                return name * times, x - left, y - top
        return "."

    def repaint(self, lines: range = range(LINES)) -> None:
        """Send lines as Textual would."""
        text = ""
        for y in lines:
            text += f"\x1b[{y + 1};1H"
            for x in range(COLUMNS):
                seen = self.expected(x, y)
                if isinstance(seen, str):
                    text += f"\x1b[44m{seen}\x1b[0m"
                else:
                    top = sorted(self.placed, key=lambda one: -one.layer)
                    text += (
                        f"\x1b[45m{next(filter(None, (self._mark(p, x, y) for p in top)))}\x1b[0m"
                    )
        self.screen.feed(self.cells.update(text + "\x1b[1;1H"))

    def _mark(self, placement: Placement, x: int, y: int) -> str:
        left, top = self.placed[placement]
        inside = left <= x < left + placement.cols and top <= y < top + placement.rows
        return placement.markers[y - top][x - left] if inside else ""

    def check(self) -> None:
        for y in range(LINES):
            for x in range(COLUMNS):
                assert self.screen.look(x, y) == self.expected(x, y), (x, y)


PROTOCOLS: list[Protocol] = ["kitty", "iterm2", "sixel"]


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("seed", range(6))
def test_whatever_happens_the_right_image_is_seen_and_covered(
    protocol: Protocol, seed: int
) -> None:
    stage, dice = Stage(protocol), random.Random(seed)
    for _ in range(40):
        act = dice.choice(["place", "update", "move", "remove", "cover", "uncover", "forget"])
        some = dice.choice([*stage.placed, None])
        cols, rows = dice.randint(1, 12), dice.randint(1, 6)
        x, y = dice.randint(0, COLUMNS - 12), dice.randint(0, LINES - 7)
        if act == "place" and len(stage.placed) < 4:
            layer = max((one.layer for one in stage.placed), default=-1) + 1
            stage.place(x, y, cols, rows, layer)
        elif act == "update" and some is not None:
            stage.update(some)
        elif act == "move" and some is not None:
            stage.placed[some] = x, min(y, LINES - 1 - some.rows)
        elif act == "remove" and some is not None:
            stage.images.remove(some)
            del stage.placed[some]
        elif act == "cover":
            stage.letters |= {(x + col, y): "o" for col in range(cols)}
        elif act == "uncover":
            stage.letters.clear()
        elif act == "forget":
            stage.cells.forget()
        stage.repaint()
        stage.check()
    stage.screen.feed(stage.images.leave())
    assert not stage.screen.kitty


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_an_image_is_sent_once_for_each_change(protocol: Protocol) -> None:
    stage = Stage(protocol)
    image = stage.place(2, 2, 10, 5)
    stage.repaint()
    assert stage.screen.uploads == 1
    stage.repaint()
    assert stage.cells.paint() == ""
    stage.letters = {(4, 1): "o", (4, 3): "o"}  # beside it, and above it
    stage.repaint(range(5))
    assert stage.screen.uploads == 1
    stage.update(image)
    stage.screen.feed(stage.cells.paint())
    assert stage.screen.uploads == 2
    stage.check()


def test_in_kitty_an_image_that_is_uncovered_is_not_sent_again() -> None:
    stage = Stage("kitty")
    stage.place(2, 2, 10, 5)
    stage.letters = {(4, 3): "o"}
    stage.repaint()
    stage.letters.clear()
    stage.repaint()
    stage.check()
    assert stage.screen.uploads == 1


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_an_image_that_is_not_wholly_on_the_screen_is_left_out(protocol: Protocol) -> None:
    stage = Stage(protocol)
    image = stage.place(2, 2, 10, 6)
    stage.placed[image] = 25, 2
    stage.repaint()
    stage.placed[image] = 2, LINES - 5
    stage.repaint()
    assert stage.screen.uploads == 0


def test_markers_of_removed_images_are_used_again() -> None:
    images = Images()
    images.protocol = "kitty"
    for _ in range(100):
        kept, placement = images.place(3, 2), images.place(200, 100)
        assert placement is not None
        images.remove(placement)
        assert kept is not None
        assert images.find(kept.markers[1][2]) == (kept, 2, 1)
        images.remove(kept)
    assert images.place(400, 400) is None  # more cells than there are markers


def test_a_user_who_types_a_marker_sees_it() -> None:
    stage = Stage("kitty")
    text = "\x1b[1;1H\x1b[44m\U00100005\x1b[0m\x1b[1;1H"
    assert "\U00100005" in stage.cells.update(text)


def test_in_tmux_cells_of_text_hold_the_place_of_an_image() -> None:
    images = Images()
    images.protocol, images.in_tmux = "kitty", True
    cells = Cells(COLUMNS, LINES, images)
    image = images.place(3, 2)
    assert image is not None
    image.update("data")
    repaint = "".join(f"\x1b[{y + 4};6H\x1b[0m{line}" for y, line in enumerate(image.markers))
    sent = cells.update(repaint + "\x1b[1;1H")
    uploads = re.findall(r"\x1bPtmux;\x1b\x1b_G([^;]*);data\x1b\x1b\\\x1b\\", sent)
    assert len(uploads) == 1
    keys = dict(part.split("=") for part in uploads[0].split(","))
    assert (keys["U"], keys["c"], keys["r"], keys["q"]) == ("1", "3", "2", "2")
    number = int(keys["i"])
    colour = f"38;2;{number >> 16};{number >> 8 & 255};{number & 255}m"
    row, next_row, column = "\u0305", "\u030d", "\u0305\u030d\u030e"
    for line, mark in ((4, row), (5, next_row)):
        cells_of_line = "".join(f"\U0010eeee{mark}{place}" for place in column)
        assert f"\x1b[{line};6H" in sent
        assert cells_of_line in sent
    assert colour in sent
    image.update("other")
    assert f"i={number}" in cells.paint()  # under the same number: the cells stay
    images.remove(image)
    removed = cells.update("\x1b[4;6H\x1b[44mabc\x1b[0m\x1b[5;6H\x1b[44mabc\x1b[0m\x1b[1;1H")
    assert f"\x1bPtmux;\x1b\x1b_Ga=d,d=I,i={number},q=2;\x1b\x1b\\\x1b\\" in removed
