"""Untrusted text made safe for a terminal, and values parsed from text.

Model output, logs, file names and metric names may hold escape codes, control characters and
bidirectional overrides, which a terminal would execute.
"""

import re
import unicodedata
from collections.abc import Container, Iterable, Sequence
from functools import lru_cache
from typing import Any

import msgspec

ELLIPSIS = "…"
_UNKNOWN = "\N{REPLACEMENT CHARACTER}"

# CSI and OSC/DCS/APC/PM/SOS sequences, in their 7-bit and 8-bit forms, and two-byte escapes.
_ESCAPES = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"
    r"|(?:\x1b[\]PX^_]|[\x9d\x90\x98\x9e\x9f])[^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)?"
    r"|\x1b[ -/]*[0-~]"
)
_PLAIN = re.compile(r"[\t\n -~\u00a0-\u00ac\u00ae-\u02ff]*\Z")
_UNUSUAL = re.compile(r"[^\n -~]")
# Characters that join or reshape their neighbours: terminals disagree about their width.
_JOINERS = frozenset("\ufe0e\ufe0f")
# Control, format (bidi overrides, zero-width joiners), surrogate; line and paragraph separators.
_DROPPED = frozenset(("Cc", "Cf", "Zl", "Zp"))


def clean(text: str) -> str:
    """`text` without escape sequences, control and invisible characters; newline and tab stay.

    A lone surrogate becomes U+FFFD, so the result always encodes as UTF-8.
    """
    if _PLAIN.match(text):
        return text
    text = _ESCAPES.sub("", text.replace("\r\n", "\n"))
    return "".join(map(_clean_character, text))


def _clean_character(character: str) -> str:
    if character in "\n\t":
        return character
    category = unicodedata.category(character)
    if category == "Cs":
        return _UNKNOWN
    return "" if category in _DROPPED or character in _JOINERS else character


@lru_cache(maxsize=1 << 16)
def split_words(caption: str) -> tuple[str, ...]:
    """Split `"Red-heart, on BLACK"` into `("red", "heart", "on", "black")`, in any script.

    A word is a run of letters, digits and combining marks.
    """
    text = unicodedata.normalize("NFKC", caption).lower()
    spaced = "".join(c if c.isalnum() or unicodedata.category(c)[0] == "M" else " " for c in text)
    return tuple(word for word in spaced.split() if any(c.isalnum() for c in word))


def escape_json(text: str) -> str:
    """JSON that means the same and is safe on a terminal.

    Every character that `clean` would drop becomes its JSON escape, U+009B `\\u009b`; a character
    beyond U+FFFF becomes a pair of escapes. In valid JSON such characters are inside strings only.
    """
    return text if _PLAIN.match(text) else _UNUSUAL.sub(_escape_character, text)


def _escape_character(match: re.Match[str]) -> str:
    character = match[0]
    if _clean_character(character) == character:
        return character
    units = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at : at + 2].hex()}" for at in range(0, len(units), 2))


def clean_line(text: str, width: int | None = None) -> str:
    """`text` as one line, white space folded to single spaces.

    If it is wider than `width` terminal cells it ends in an ellipsis.
    """
    line = " ".join(clean(text).split())
    if width is None:
        return line
    from rich.cells import cell_len, set_cell_size  # `import genui` in a script needs no Rich

    if cell_len(line) <= width:
        return line
    return set_cell_size(line, max(width - 1, 0)).rstrip() + ELLIPSIS if width > 0 else ""


def shorten_middle(text: str, width: int) -> str:
    """`text` as one line of at most `width` terminal cells; a longer one as `plays-20…5-a`."""
    from rich.cells import cell_len, set_cell_size

    line = clean_line(text)
    if cell_len(line) <= width:
        return line
    if width < 1:
        return ""
    at = len(line)
    while cell_len(line[at - 1 :]) <= (width - 1) // 2:
        at -= 1
    begin = width - 1 - cell_len(line[at:])
    return set_cell_size(line, begin).rstrip() + ELLIPSIS + line[at:].lstrip()


# --- Values from text -------------------------------------------------------------------------


def from_text(text: str | list[str], kind: Any) -> Any:
    """The value of type `kind`; `.5` is a number too. Raises msgspec.ValidationError."""
    if isinstance(text, str) and text.strip().startswith("."):
        text = f"0{text.strip()}"
    return msgspec.convert(text, kind, strict=False)


def align_columns(rows: Sequence[Sequence[str]]) -> list[str]:
    """The rows as lines, with each column as wide as its widest cell."""
    columns = max(map(len, rows), default=0)
    widths = [max(len(row[at]) for row in rows if at < len(row)) for at in range(columns)]
    return ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]


def align(
    rows: Iterable[Sequence[str]], right: Container[int] = (), optional: Container[int] = ()
) -> list[tuple[str, ...]]:
    """The rows, sanitised, with every cell padded to the width of its column.

    The first row has the heads. The columns numbered in `right` are right-aligned, those in
    `optional` left out if all their cells are empty.
    """
    from rich.cells import cell_len

    lines = [[clean_line(cell) for cell in row] for row in rows]
    columns: list[list[str]] = []
    for at, column in enumerate(zip(*lines, strict=True)):
        if at in optional and not any(column[1:]):
            continue
        width = max(map(cell_len, column))
        gaps = [" " * (width - cell_len(cell)) for cell in column]
        pairs = zip(gaps, column, strict=True)
        columns.append([gap + cell if at in right else cell + gap for gap, cell in pairs])
    return list(zip(*columns, strict=True))
