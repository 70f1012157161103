"""The longest run that stands in other texts, against looking for it everywhere."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from genui.engine.metrics import copying as verbatim
from genui.engine.metrics.copying import SHORTEST, Verbatim, copying

FEW = st.binary(max_size=150).map(lambda raw: bytes(97 + byte % 3 for byte in raw))


def longest_by_looking(texts: list[bytes], text: bytes) -> int:
    best = 0
    for start in range(len(text)):
        while start + best < len(text) and any(text[start : start + best + 1] in t for t in texts):
            best += 1
    return best


@given(st.lists(FEW, min_size=1, max_size=3), FEW, st.integers(0, 140), st.integers(0, 80))
def test_it_is_the_longest_there_is(
    texts: list[bytes], text: bytes, start: int, length: int
) -> None:
    text = text[:40] + texts[0][start : start + length] + text[40:]
    index = Verbatim(texts)
    run = index.longest(text)
    expected = longest_by_looking(texts, text)
    assert run.length == (expected if expected >= SHORTEST else 0)
    stands = index.data[run.place : run.place + run.length]
    assert stands == text[run.start : run.start + run.length]


def test_no_run_goes_from_one_text_into_the_next() -> None:
    index = Verbatim([b"what light is this", b"that breaks upon the window"])
    assert index.longest(b"light is this that breaks upon").length == len(b"that breaks upon")


def test_it_says_in_which_text_and_line_a_run_stands() -> None:
    index = Verbatim([b"one\ntwo\n", b"three\nfour and twenty blackbirds\n"])
    run = index.longest(b"twenty-four? four and twenty black swans")
    assert index.locate(run.place) == (2, 2)


def test_a_text_that_repeats_itself_is_no_trap() -> None:
    index = Verbatim([b" " * 50_000 + b"def f():"])
    run = index.longest(b" " * 3000)
    assert run.length == 3000


def test_what_is_too_large_is_indexed_in_part_and_says_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(verbatim, "MAX_BYTES", 30)
    index = Verbatim([b"the first of two short texts", b"and the second of both"])
    assert not index.whole
    assert index.longest(b"the first of two short").length == 22
    assert not index.longest(b"the second of both").length
    assert Verbatim([b"short"]).whole


def test_a_zero_byte_is_no_end() -> None:
    assert Verbatim([b"before\0after it all"]).longest(b"before\0after it all").length == 19


def words(seed: int, count: int) -> bytes:
    return " ".join(map(str, np.random.default_rng(seed).integers(0, 10**6, count))).encode()


def test_copied_passages_are_all_nearer_to_the_training_text() -> None:
    train, held = words(0, 400), words(1, 100)
    size = len(held)
    found = copying([train[:size]], [train[:size]], [held])
    assert found.share == 1
    assert found.longest >= size
    assert found.longest_real < 60
    assert "1.00 of" in str(found)


def test_what_is_no_copy_is_as_near_to_either() -> None:
    found = copying([words(n, 60) for n in range(2, 12)], [words(0, 400)], [words(1, 100)])
    assert 0.3 < found.share < 0.7


def test_too_little_text_to_compare_is_said() -> None:
    with pytest.raises(ValueError, match="0 parts of training text"):
        copying([words(2, 60)], [b"short"], [words(1, 100)])


@given(st.lists(FEW, min_size=1, max_size=3), FEW)
def test_passages_are_copies_apart_and_none_can_be_made_longer(
    texts: list[bytes], text: bytes
) -> None:
    index, taken = Verbatim(texts), set[int]()
    found = index.passages(text, 12)
    assert [run.length for run in found] == sorted((run.length for run in found), reverse=True)
    for run in found:
        assert any(text[run.start : run.end] in each for each in texts)
        assert taken.isdisjoint(range(run.start, run.end))
        taken |= set(range(run.start, run.end))
    assert max((run.length for run in found), default=0) == (
        best if (best := longest_by_looking(texts, text)) >= 12 else 0
    )


@pytest.mark.parametrize("length", range(1, 40))
def test_the_end_of_a_text_that_repeats_itself_is_found(length: int) -> None:
    index = Verbatim([b"b" + b"a" * length, b"", b"c"])
    run = index.longest(b"a" * (length + 5))
    assert run.length == (length if length >= SHORTEST else 0)
