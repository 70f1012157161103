"""Which tokens may follow in Python: grammar-constrained decoding, by the interpreter's parser.

As PICARD (Scholak et al. 2021) and SynCode (Ugare et al. 2024) do: a token after which no
continuation could parse is refused. Nothing else is known of the language: names need not exist.
"""

import codecs
from collections.abc import Callable
from functools import cache

from genui.base.python_syntax import check_syntax, may_continue
from genui.engine.data.tokenizer import Tokenizer

LETTER = "é"


def following(before: bytes, tokenizer: Tokenizer, *, whole: bool = True) -> Callable[[int], bool]:
    """Whether the text may go on with a token; always, where it is no Python already.

    The end token may follow what parses; where the text is not all there is (`whole`), anything.
    """
    text = _decoded(before)
    sound = cache(lambda: may_continue(text))  # asked only where a token is refused, and then once

    def fits(token: int) -> bool:
        if token == tokenizer.end:
            return not whole or check_syntax(text).state in ("parses", "unchecked") or not sound()
        return may_continue(_decoded(before + tokenizer.token_bytes(token))) or not sound()

    return fits


def _decoded(data: bytes) -> str:
    """As text; a character that is not whole yet as some letter, which may be in a name."""
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    text = decoder.decode(data)
    return text + LETTER if decoder.getstate()[0] else text
