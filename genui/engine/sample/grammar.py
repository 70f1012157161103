"""Grammar-constrained decoding of Python with the interpreter's parser.

As in PICARD (Scholak et al. 2021) and SynCode (Ugare et al. 2024), a token is rejected if no
continuation of the text could parse. Only the syntax is checked: names need not be defined.
"""

import codecs
from collections.abc import Callable, Iterator
from functools import cache, lru_cache

from genui.base.python_syntax import check_syntax, may_continue
from genui.engine.data.tokenizer import Tokenizer

LETTER = "é"


FILLERS = ("", "x", "pass")
"""Plain texts for a gap: nothing, an expression, a statement."""


def fill_plainly(prefix: str) -> Iterator[str]:
    """The prefix with each of FILLERS, also with its open brackets closed."""
    for filler in FILLERS:
        yield (text := prefix + filler)
        while bracket := next((one for one in ")]}" if may_continue(text + one)), ""):
            text += bracket
        yield text


def parses(text: str) -> bool:
    """Whether a whole text is Python, or too long to check."""
    return check_syntax(text).state in ("parses", "unchecked")


def fits_before(suffix: str, prefix: str) -> Callable[[str], bool]:
    """A function that says whether a text may end before `suffix`: both must be the beginning of
    Python together. `prefix` is the text without what was written.

    If not even a plain text between them is, a text may end anywhere: the fault is then in the
    suffix, or a gap that only the model can fill.
    """
    return lambda text: may_continue(text + suffix) or not _fits_plainly(prefix, suffix)


@lru_cache(maxsize=64)
def _fits_plainly(prefix: str, suffix: str) -> bool:
    return any(may_continue(filled + suffix) for filled in fill_plainly(prefix))


def token_filter(
    before: bytes,
    tokenizer: Tokenizer,
    ends: frozenset[int],
    may_end: Callable[[str], bool] = parses,
) -> Callable[[int], bool]:
    """A function that says whether a token may follow the text `before`.

    Every token may follow a text that is already invalid. One of `ends` may follow a text that
    `may_end`.
    """
    text = _decode(before)
    is_valid = cache(lambda: may_continue(text))  # needed only if a token is rejected

    def allowed(token: int) -> bool:
        if token in ends:
            return may_end(text) or not is_valid()
        return may_continue(_decode(before + tokenizer.token_bytes(token))) or not is_valid()

    return allowed


def _decode(data: bytes) -> str:
    """The text; an incomplete character at the end becomes a letter, as part of a name."""
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    text = decoder.decode(data)
    return text + LETTER if decoder.getstate()[0] else text
