"""The name before a number, with the words around it.

`train loss` is train_loss, `loss (val)` loss_val, `| grad norm:` grad_norm. It handles the text
before one number, and not the rest of the line.
"""

import re
from typing import NamedTuple

from genui.logs.printed_words import KNOWN, traits

_PREFIXES = (
    frozenset(("train", "training", "val", "valid", "validation", "eval", "test", "dev"))
    | {"avg", "average", "mean", "min", "max", "best", "total", "running", "smoothed"}
    | {"grad", "gradient", "learning", "generator", "discriminator", "peak"}
)
_KNOWN_END = re.compile(f"(?:{KNOWN.pattern})$", re.IGNORECASE)
_WRAPPER = re.compile(
    r"(?:(?:np|numpy|torch|jnp)\.)?(?:tensor|array|Array|float[0-9]*|int[0-9]*)\($|['\"]$"
)
_OF = re.compile(r"[ \t]?\(([A-Za-z%][\w /%]{0,15})\)$")
_NAME = re.compile(r"[^\W\d][\w./@%'-]{0,79}")
_LAST_WORD = re.compile(r"(?<![\w./@%'-])[^\W\d][\w./@%'-]{0,79}$")
_BOUND = re.compile(r"[,;|│┃\t{}()\[\]<>•·*?\u2588\x10-\x12\"]|  |[-–:=.!] ")
_PROSE = frozenset(("from", "than"))


class Left(NamedTuple):
    """The text before a number."""

    name: str
    words: list[str]
    sep: str  # ":" or "=", " " or ""
    spaced: bool  # there is space after the separator
    opener: str  # "[", "(" or "#"
    bounded: bool  # the name begins a part of the line


def read_name(text: str) -> Left:
    """The name before a number, with the words around it: `train loss` is train_loss, `loss (val)`
    loss_val, `| grad norm:` grad_norm."""
    text = _WRAPPER.sub("", text)
    spaced = text[-1:] in (" ", "\t")
    text = text.rstrip(" \t")
    opener = ""
    if text[-1:] in ("[", "(", "#"):
        opener, text = text[-1], text[:-1].rstrip(" \t")
    sep = " " if spaced else ""
    if text[-1:] in (":", "="):
        sep, text = text[-1], text[:-1].rstrip(" \t")
    elif opener and not sep:
        sep = ""
    of = ""
    if (sep in (":", "=") or text[-1:] == ")") and (match := _OF.search(text)):
        of, text = match[1], text[: match.start()]
    text = text.rstrip("'\"")
    word = _LAST_WORD.search(text[-81:])
    if word is None:
        return Left("", [], sep, spaced, opener, False)
    start = len(text) - len(word[0])
    words = [word[0]]
    bound = 0
    for match in _BOUND.finditer(text):
        bound = match.end()
    region = [part for part in text[bound:].split(" ") if part]
    explicit = sep in (":", "=")
    if explicit and "with" in region[:-1]:  # finished with value: 0.5
        region = region[region.index("with") + 1 :]
    elif not (
        explicit or traits(word[0]).step or _PROSE.isdisjoint(region[:-1])
    ):  # start training from score 0.5
        return Left("", [], sep, spaced, opener, False)
    whole = explicit or _KNOWN_END.search(text[bound:].rstrip(" ")) is not None
    if 1 < len(region) <= 5 and whole and all(_NAME.fullmatch(part) for part in region):
        words = region
        bounded = True
    else:
        while len(words) < 4:
            before = text[: len(text) - sum(map(len, words)) - len(words) + 1]
            if before[-1:] != " " or not (more := _LAST_WORD.search(before[:-1][-20:])):
                break
            if more[0].lower() not in _PREFIXES:
                break
            words.insert(0, more[0])
        start = len(text) - sum(map(len, words)) - len(words) + 1
        bounded = (
            not text[:start]
            or text[start - 1] in ",;|([\t"
            or bool(re.search(r"  $|[-:\],|;)\x10-\x12] $", text[:start]))
        )
    return Left(_join(words, of), words, sep, spaced, opener, bounded)


def read_field(gap: str, left: Left) -> Left:
    """The name of a number between tabs, of several words: time lapse 0.5."""
    words = gap.rpartition("\t")[2].split() if "\t" in gap else []
    if 1 < len(words) <= 4 and all(map(_NAME.fullmatch, words)):
        return left._replace(name=_join(words, ""), words=words, bounded=True)
    return left


def _join(words: list[str], of: str) -> str:
    if len(words) > 1 and words[0].lower() == "validation":
        name = "val/" + "_".join(words[1:])
    elif words[0].endswith("'s") and len(words) > 1:  # LightGBM: training's l2
        name = f"{words[0][:-2]}/" + "_".join(words[1:])
    else:
        name = "_".join(words)
    return f"{name}_{of.strip().replace(' ', '_')}" if of else name
