"""Grammar-constrained decoding of Python with the interpreter's parser.

As in PICARD (Scholak et al. 2021) and SynCode (Ugare et al. 2024), a token is rejected if no
continuation of the text could parse. Only the syntax is checked: names need not be defined.
"""

import codecs
from collections.abc import Callable
from functools import cache

from genui.base.python_syntax import check_syntax, may_continue
from genui.engine.data.tokenizer import Tokenizer

LETTER = "é"


def token_filter(
    before: bytes, tokenizer: Tokenizer, *, whole: bool = True
) -> Callable[[int], bool]:
    """A function that says whether a token may follow the text `before`.

    Every token may follow a text that is already invalid. The end token may follow a text that
    parses; with `whole` false, any text, since more text comes after it.
    """
    text = _decode(before)
    is_valid = cache(lambda: may_continue(text))  # needed only if a token is rejected

    def allowed(token: int) -> bool:
        if token == tokenizer.end:
            parses = not whole or check_syntax(text).state in ("parses", "unchecked")
            return parses or not is_valid()
        return may_continue(_decode(before + tokenizer.token_bytes(token))) or not is_valid()

    return allowed


def _decode(data: bytes) -> str:
    """The text; an incomplete character at the end becomes a letter, as part of a name."""
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    text = decoder.decode(data)
    return text + LETTER if decoder.getstate()[0] else text
