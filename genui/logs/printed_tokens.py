"""From the text of a line to a template and its numbers, without the parts of no interest.

`iter 10: loss 2.31` is `iter #: loss #` with 10 and 2.31. The masks are one character each: whole
numbers, others, and numbers of dates and loggers, which are of no interest. It looks at no words.
"""

import math
import re

LONGEST = 16 * 1024
"""Characters of a line that are searched; lines with metrics are shorter."""

INT, REAL, JUNK = "\x11", "\x12", "\x10"  # masks of numbers: whole, other, and of no interest
_MASKS = INT + REAL + JUNK
_N = "[\x11\x12]"

# No quantifier backtracks over more than a few characters, so the time is linear in the length.
VALUE = (
    r"[+-]?+(?:[0-9]{1,3}+(?:,[0-9]{3})++(?!,?[0-9])"
    r"|[0-9]++(?:\.(?:[0-9]++|(?![ \t]|$)))?+(?:[eE][+-]?+[0-9]++)?+"
    r"|\.[0-9]++(?:[eE][+-]?+[0-9]++)?+|(?<!of )(?:nan|inf(?:inity)?+)(?!\w))"
)
_NUMBER = re.compile(rf"(?:(?<=[^ ] ) *+)?+(?<![\w.@])({VALUE})", re.IGNORECASE)
_IDS = re.compile(
    r"(?<![\w.])(?:(?=[a-f-]{0,40}[0-9])(?=[0-9-]{0,40}[a-f])[0-9a-f-]{8,}+(?!\w)"
    r"|[0-9]{1,4}+(?:\.[0-9]{1,6}+){2,}+)"
)
"""Ids and addresses; each of them would make a new template."""
_ESCAPES = re.compile(
    r"\x1b\[[0-?]*+[ -/]*+[@-~]|\x1b\][^\x07\x1b]*+(?:\x07|\x1b\\)?+|[\x00-\x08\x0b-\x1f\x7f]"
)
_GLYPHS = re.compile("[\u2500-\u257f\u2580-\u259f\u25a0\u25b0\u25b1#=>]{2,}+|\u2588")
"""Parts of progress bars, whose lengths would make a new template each."""
_BAR_END = re.compile(r"[0-9][a-z]{0,9}+ \[[0-9:]{2,12}+(?:<[0-9:?]{1,12}+)?+,[^\[\]]{0,200}+\]")

_DATES = re.compile(
    rf"\x11-\x11-\x11(?:T[0-9]{{2}}:\x11:{_N}(?:Z|[+-][\x11:]{{0,8}})?)?+(?![\w\x11-])"
    rf"|\x11/\x11/\x11|(?<![^\[])\x11/\x11(?= \x11:\x11)"
    rf"|(?<![\w:.])(?:\x11 days?,? )?{_N}(?::{_N}){{1,2}}(?:[.,]\x11)?"
    rf"|(?<![\w:.])\x11[ ]?[dhm](?:[ ]{_N}[ ]?[hms](?!\w)){{1,3}}"  # 1h 02m 03s
)
_LEVELS = "INFO|DEBUG|WARNING|WARN|ERROR|NOTICE|TRACE|info|debug|warning"
_HEAD = re.compile(
    r"[ \t]{1,64}+"
    r"|\[[^\[\]\x10]{0,60}+\x10[^\[\]]{0,100}+\]:?"  # [2024-05-01 12:00:00 name]
    r"|\x10(?:[\x10 :,./+-]|[TZ](?![a-z])){0,60}+"
    r"|[IWEFD][0-9]{4}(?= )|\x11(?= [\w./-]{1,80}:\x11\])"  # absl
    r"|\[[\w.-]{1,40}+\](?= \x10)|\[titan\]"
    rf"|\[?(?:{_LEVELS})\b(?:[^\[\]\x10-\x12]{{0,80}}(?:\x11)?)?\]"
    rf"|(?:{_LEVELS})\b[ ]{{0,8}}[:|-]?|(?:root|__main__|main|absl|tensorflow)[ ]?[:|-]"
    r"|\[[A-Za-z_][\w.]{0,60}+(?:[:.][\w\x11]{1,60}+){1,3}\]"  # [logging.py:96:log_dist]
    r"|\[(?:PID|RANK|GPU|HOST|process)[ :=]?\x11\]"
    r"|\([\w.]{1,60}+[: ]\x11\):?"  # (main.py 220):
    r"|[\w./-]{1,80}+:[\w<>]{1,60}+:\x11(?= [-|])"  # loguru
    r"|[\w./-]{0,80}?\.(?:py|cc|cpp|cu|h|rs|go):\x11(?:\]|:|(?= [-|]))"  # absl
    rf"|[\w.]{{1,60}}+ - (?=(?:{_LEVELS})\b)"
    r"|[-|>]{1,3}+(?= )",
    re.IGNORECASE,
)
_LOG_HEAD = re.compile(  # the time and level of a logger
    r"\[?[0-9]{4}[-/][0-9]{2}[-/][0-9]{2}[ T,][0-9]{2}:[0-9]{2}:[0-9]{2}(?:[.,][0-9]{1,9})?Z?\]?"
    r"(?: ?[-|:]? ?\[?(?:INFO|DEBUG|WARNING)\]? {0,8}[-|:]?)?(?: ?[-:](?= ))?[ \t]?",
    re.IGNORECASE,
)
_NAMED = re.compile(
    rf"(?<![\w./@%-])([^\W\d][\w./@%-]{{0,79}}+['\"]?+)[ \t]{{0,16}}+[:=]?+[ \t]{{0,16}}+['\"]?+"
    rf"({VALUE})(?!\w)",
    re.IGNORECASE,
)
_MAX_HEADS = 24

has_numbers = re.compile(r"[0-9]|\bnan\b|\binf", re.IGNORECASE).search
"""Whether a text has a number."""


def clean(text: str) -> str:
    """The text without escape codes and control characters, cut to LONGEST."""
    text = text[:LONGEST]
    return text if text.isprintable() else _ESCAPES.sub("", text)


def split_bar(text: str) -> tuple[str, str]:
    """(a progress bar of tqdm, the text after it); ("", text) if nothing was."""
    match = _BAR_END.search(text[:LONGEST])
    if match is None or not (rest := text[match.end() :]).strip() or rest[0] in " ,":
        return "", text
    return text[: match.end()], rest


def without_head(text: str) -> str:
    """A line without the time and level that a logger writes before it."""
    head = _LOG_HEAD.match(text) if text[:1] in "[0123456789" else None
    return text[head.end() :] if head else text


def without_glyphs(text: str) -> str:
    """A line with a progress bar of any length as one glyph."""
    if not text.isascii() or "==" in text or "##" in text:
        return _GLYPHS.sub("\u2588", text)
    return text


def without_ids(text: str) -> str:
    return _IDS.sub("\x0e", text)


def split_numbers(text: str) -> tuple[str, list[str]]:
    """The template of a text and its numbers, as printed."""
    parts = _NUMBER.split(text.strip())
    numbers = parts[1::2]
    parts[1::2] = [INT if number.isdigit() or "," in number else REAL for number in numbers]
    return "".join(parts), numbers


def number_of(text: str) -> float | None:
    """A number as printed, with thousands separators; None if it is too large for a float."""
    value = float(text.replace(",", "") if "," in text else text)
    return None if math.isinf(value) and text[-1].isdigit() else value


def whole_number(text: str) -> int | None:
    """A position as printed; None if it is no whole number or absurdly large."""
    value = number_of(text)
    return int(value) if value is not None and 0 <= value < 2**53 and value % 1 == 0 else None


def named_numbers(text: str) -> dict[str, float]:
    """Every number in a line that has a name, also steps and settings."""
    result: dict[str, float] = {}
    for match in _NAMED.finditer(clean(text)):
        value = number_of(match[2])
        if value is not None:
            result.setdefault(match[1].strip("\"'"), value)
    return result


def skip_head(template: str) -> tuple[str, int, list[int]]:
    """(the template with the numbers of dates masked as of no interest, where its text begins
    behind the time, level, process and file that a logger writes, the places of its numbers)."""
    text = _DATES.sub(_as_junk, template.strip())
    start = 0
    for _ in range(_MAX_HEADS):
        match = _HEAD.match(text, start)
        if match is None:
            break
        start = match.end()
    return text, start, [place for place, char in enumerate(text) if char in _MASKS]


def _as_junk(match: re.Match[str]) -> str:
    return match[0].replace(INT, JUNK).replace(REAL, JUNK)
