"""How well a name matches typed text, for the palette and the filter of the models."""

import re
from enum import IntEnum
from functools import lru_cache


class Match(IntEnum):
    """From none to the best."""

    NONE = 0
    ABBREVIATION = 1  # the beginnings of words, as `opic` of "open model icons"
    ELSEWHERE = 2  # some words are only in the description of the name
    INSIDE = 3  # in the middle of a word of the name
    BEGINNINGS = 4  # of words of the name
    WORDS = 5  # whole words of the name
    BEGINNING = 6  # of the name
    NAME = 7


def match_name(typed: str, name: str, about: str = "") -> Match:
    """Return how `typed` matches a name or its description. Upper and lower case are the same,
    words are in any order, and nothing typed matches nothing."""
    typed, name = typed.strip().lower(), name.lower()
    if not typed:
        return Match.NONE
    if typed == name:
        return Match.NAME
    if name.startswith(typed):
        return Match.BEGINNING
    words = _word_patterns(typed)
    found = [pattern.search(name) for pattern in words]
    if all(found):
        whole = all(match is not None and match["rest"] == "" for match in found)
        return Match.WORDS if whole else Match.BEGINNINGS
    if typed in name:
        return Match.INSIDE
    known = f"{name} {about.lower()}"
    if all(pattern.search(known) for pattern in words):
        return Match.ELSEWHERE
    return Match.ABBREVIATION if _abbreviates(typed.replace(" ", ""), name) else Match.NONE


def find_typed(typed: str, name: str) -> list[tuple[int, int]]:
    """Return the start and end in `name` of each typed word that is in it, a beginning first."""
    lower = name.lower()
    spans = []
    for word, pattern in zip(typed.lower().split(), _word_patterns(typed.lower()), strict=True):
        match = pattern.search(lower)
        start = match.start() if match is not None else lower.find(word)
        if start >= 0:
            spans.append((start, start + len(word)))
    return spans


@lru_cache(maxsize=64)
def _word_patterns(typed: str) -> tuple[re.Pattern[str], ...]:
    """A pattern for each typed word at the beginning of a word, `rest` being the end of that, as
    `-end` of `back-end`."""
    return tuple(re.compile(rf"(?<!\w){re.escape(word)}(?P<rest>[\w-]*)") for word in typed.split())


def _abbreviates(letters: str, name: str) -> bool:
    """Return whether `letters` are beginnings of words of `name`, in order; words may be left
    out."""
    starts = [match.start() for match in re.finditer(r"\w+", name)]
    ends = {start for start in starts if name[start] == letters[0]}  # of the matches so far
    for letter in letters[1:]:
        after = {end + 1 for end in ends if name[end + 1 : end + 2] == letter}
        ends = after | {at for at in starts if name[at] == letter and at > min(ends, default=at)}
    return bool(ends)
