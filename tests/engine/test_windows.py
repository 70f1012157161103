"""Passages of texts, and the windows that they are read in."""

from dataclasses import replace

import numpy as np
import pytest
from networks import random_network

from genui.engine.device import Machine
from genui.engine.sample.inside import Intervention
from genui.engine.sample.reader import TextReader
from genui.engine.sample.stored_logits import RecentLogits, StoredLogits
from genui.engine.sample.token_list import TokenList
from genui.engine.sample.windows import Chunks, Passage, Reading, Windows, find_passage
from genui.protocol import Ablate

VOCABULARY = 28
MACHINE = Machine("cpu", "fp32", 1)


def passage(tokens: str, prefill: int = 2, chunks: Chunks = ()) -> Passage:
    return Passage(np.array(list(tokens.encode()), np.int32), prefill, chunks=chunks)


def test_a_passage_is_read_in_portions() -> None:
    text = passage("abcdefgh", prefill=2, chunks=((3, 6),))
    ends, start = [], 0
    while start < len(text):
        ends.append(start := text.end_of_portion(start))
    assert ends == [2, 3, 6, 7, 8]
    assert [text.whole(length) for length in range(9)] == [0, 0, 2, 3, 3, 3, 6, 7, 8]
    assert text.until(5).chunks == ()
    assert text.until(6).chunks == ((3, 6),)


@pytest.mark.parametrize(
    ("other", "shared"),
    [
        (passage("abcdef"), 6),
        (passage("abcdefgh"), 6),
        (passage("abcxef"), 3),
        (passage("axcdef"), 0),  # not even the prompt
        (passage("abcdef", prefill=3), 0),
        (passage("abcdef", chunks=((3, 5),)), 3),
    ],
)
def test_passages_share_what_was_read_in_the_same_portions(other: Passage, shared: int) -> None:
    assert passage("abcdef").count_shared(other) == shared


def test_an_intervention_changes_what_is_read_from_its_position_on() -> None:
    edit = Ablate(layer=1, head=None)
    later = replace(passage("abcdef"), interventions=(Intervention(edit, 4),))
    assert passage("abcdef").count_shared(later) == 4
    assert later.count_shared(later) == 6
    assert not later.interventions_until(4)
    assert later.interventions_until(5)


def test_a_branch_gets_a_copy_and_the_window_that_it_came_from_stays() -> None:
    windows = Windows(random_network("transformer", VOCABULARY))
    first = passage("abcdef")
    window, known = windows.find(first)
    assert known == 0
    window.passage = first
    branch, known = windows.find(passage("abcxef"))
    assert branch is not window
    assert known == 3
    assert branch.passage.token_ids.tolist() == first.token_ids.tolist()[:3]
    assert windows.find(first) == (window, 5)


def test_texts_in_any_order_have_the_bits_that_they_have_alone() -> None:
    network = random_network("transformer", VOCABULARY).eval()
    tokens, reader = [(7 * at) % VOCABULARY for at in range(40)], TextReader(network, MACHINE)
    for length, chunks in ((30, ()), (12, ()), (20, ((8, 15),)), (31, ((8, 15),)), (9, ())):
        reading = Reading(TokenList(tokens[:length]), prompt=6, chunks=chunks)
        alone = TextReader(network, MACHINE).logits(reading)
        assert (reader.logits(reading) == alone).all()


def test_a_text_longer_than_the_context_is_read_from_its_newest_half_on() -> None:
    network = random_network("transformer", VOCABULARY)
    tokens = TokenList([1] * (network.context + 5))
    found = find_passage(Reading(tokens, prompt=3, chunks=((4, 6),)), network)
    assert len(found) == len(tokens) - network.context // 2
    assert found.prefill == network.context // 2 + 1
    assert found.chunks == ()  # it is read with the first portion


def test_logits_are_dropped_and_computed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("genui.engine.sample.stored_logits.LOGITS", 100)
    counts, recent = [0, 0], RecentLogits()

    def compute(which: int) -> np.ndarray:
        counts[which] += 1
        return np.full(20, which, np.float32)  # 80 bytes

    first, second = (StoredLogits(lambda which=which: compute(which), recent) for which in (0, 1))
    assert not first.is_computed
    assert first.get() is first.get()
    second.get()
    assert not first.is_computed
    assert (first.get() == 0).all()
    assert counts == [2, 1]
