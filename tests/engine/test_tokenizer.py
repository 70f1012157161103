import pytest
from hypothesis import given
from hypothesis import strategies as st

from genui.base.errors import GenuiError
from genui.engine.data.tokenizer import (
    END,
    BPETokenizer,
    ByteTokenizer,
    CharTokenizer,
    Tokenizer,
    tokenizer_from_dict,
    train_bpe,
)

CORPUS = ("def add(a, b):\n    return a + b\n", "für alle Fälle: naïve café ☕\n") * 20
BPE = train_bpe(CORPUS, 300)


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_bytes_and_bpe_say_any_text(text: str) -> None:
    for tokenizer in (ByteTokenizer(), BPE):
        tokens = tokenizer.encode(text)
        assert tokenizer.decode(tokens) == text
        assert b"".join(map(tokenizer.token_bytes, tokens)) == text.encode()


SPACED = st.text(st.sampled_from("abt1é_'s.-²  \n\t\r\x1c\x85\xa0\u2028\u3000☕😀"))


@given(SPACED | st.text())
def test_a_long_text_is_encoded_to_the_same_tokens(text: str) -> None:
    for tokenizer in (CharTokenizer("".join(sorted("ab é\n☕"))), ByteTokenizer(), BPE):
        plain = text if tokenizer is not BPE else text.encode("utf-8", "replace").decode()
        array = tokenizer.encode_array(plain)
        assert array.tolist() == tokenizer.encode(plain)
        assert array.itemsize == (2 if tokenizer is BPE else 1)


def test_bpe_is_shorter_than_bytes_and_knows_the_end() -> None:
    assert len(BPE.encode(CORPUS[0])) < len(CORPUS[0]) / 2
    assert BPE.end is not None
    assert BPE.end not in BPE.encode(END)  # spelled out it is only text
    assert BPE.decode([BPE.end]) == ""


def test_characters_leave_out_what_they_do_not_know() -> None:
    tokenizer = CharTokenizer("abc")
    assert tokenizer.decode(tokenizer.encode("a☕bca")) == "abca"
    assert tokenizer.unknown("a☕b☕z") == "☕z"


@pytest.mark.parametrize("tokenizer", [CharTokenizer("ab"), ByteTokenizer(), BPE])
def test_a_checkpoint_gives_the_same_tokenizer_back(tokenizer: Tokenizer) -> None:
    again = tokenizer_from_dict(tokenizer.to_dict())
    assert again.size == tokenizer.size
    assert again.encode("ab") == tokenizer.encode("ab")


@pytest.mark.parametrize(
    "fields", [{}, {"kind": "words"}, {"kind": "bpe", "tokenizer": "{"}, {"kind": "chars"}]
)
def test_a_foreign_tokenizer_is_one_line(fields: dict[str, str]) -> None:
    with pytest.raises(GenuiError, match="tokenizer") as caught:
        tokenizer_from_dict(fields)
    assert "\n" not in str(caught.value)


def test_vocabulary_size_is_as_asked() -> None:
    assert isinstance(train_bpe(CORPUS, 280), BPETokenizer)
    assert train_bpe(CORPUS, 280).size == 280
