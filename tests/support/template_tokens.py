"""The tokens of a filled chat template."""

from genui.engine.data.tokenizer import Tokenizer
from genui.engine.sample.chat import encode_pieces
from genui.protocol import Piece


def encode_template(tokenizer: Tokenizer, text: str) -> list[int]:
    """The token ids of a text in which special tokens are spelled out."""
    return list(encode_pieces(tokenizer, [Piece("template", text)]))
