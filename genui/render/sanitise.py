"""Text nobody vouches for, made safe to show.

Model output, logs, file names and metric names may hold escape codes, control
characters and bidirectional overrides; a terminal would obey them.
"""

import re
import unicodedata

from rich.cells import cell_len, set_cell_size

ELLIPSIS = "…"
_UNKNOWN = "\N{REPLACEMENT CHARACTER}"

# CSI and OSC/DCS/APC/PM/SOS sequences, in their 7-bit and 8-bit forms, and two-byte escapes.
_ESCAPES = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"
    r"|(?:\x1b[\]PX^_]|[\x9d\x90\x98\x9e\x9f])[^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)?"
    r"|\x1b[ -/]*[0-~]"
)
_PLAIN = re.compile(r"[\t\n -~\u00a0-\u00ac\u00ae-\u02ff]*\Z")
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


def clean_line(text: str, width: int | None = None) -> str:
    """`text` as one line, white space folded to single spaces.

    Where it is wider than `width` terminal cells it ends in an ellipsis.
    """
    line = " ".join(clean(text).split())
    if width is None or cell_len(line) <= width:
        return line
    return set_cell_size(line, max(width - 1, 0)).rstrip() + ELLIPSIS if width > 0 else ""
