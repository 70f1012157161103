"""Watermarks of text: the odds and counts of `transformers` for the same marks, exact p-values."""

import re
from fractions import Fraction
from math import comb
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from importing import import_when_used
from msgspec.structs import replace

from genui.base.errors import MisuseError
from genui.base.watermarks import keys_file, make_key, tail
from genui.engine.sample.logits import distribution
from genui.engine.sample.text import TextGenerator
from genui.engine.sample.trace import Trace
from genui.engine.sample.watermark import SCHEMES, count_text, hash_tokens
from genui.protocol import SetSettings, Start, TextFrame, TextSettings

transformers = import_when_used("transformers")

SIZE, KEY = 40, 0x0123456789ABCDEF
GREEN = TextSettings(temperature=1, top_p=1, watermark="green")
TOURNAMENT = TextSettings(temperature=1, top_p=1, watermark="tournament")
LOGITS = st.lists(st.integers(-800, 800), min_size=SIZE, max_size=SIZE).map(
    lambda hundredths: np.array(hundredths) / 100
)
SEEN = st.lists(st.integers(0, SIZE - 1), min_size=4, max_size=60).map(np.array)


@pytest.fixture(autouse=True)
def key(genui_home: object) -> None:
    """A key that is always the same: one of a thousand random texts looks marked by chance."""
    make_key("mine")
    file = keys_file()
    file.write_text(re.sub('"[0-9a-f]+"', '"00c0ffee00c0ffee"', file.read_text()))


def own_key() -> int:
    return int(keys_file().read_text().split('"')[1], 16)


def marks_of(which: TextSettings, seen: np.ndarray) -> np.ndarray:
    """The marks [L, V] of all tokens after `seen`."""
    hashes = hash_tokens(own_key(), seen[None, -which.watermark_context :], np.arange(SIZE))
    return SCHEMES[which.watermark].mark(hashes)


# --- Against transformers: the same logits for the same green list or g-values -------------------


@given(logits=LOGITS, seen=SEEN, delta=st.floats(0, 8), temperature=st.floats(0.3, 4))
@settings(max_examples=20)
def test_green_tokens_gain_what_they_gain_in_transformers(
    logits: np.ndarray, seen: np.ndarray, delta: float, temperature: float
) -> None:
    which = TextSettings(temperature=temperature, top_p=1, watermark="green", watermark_delta=delta)
    process = transformers.WatermarkLogitsProcessor(SIZE, "cpu", bias=delta, context_width=4)
    green = torch.from_numpy(np.flatnonzero(marks_of(which, seen)[0]))
    process._get_greenlist_ids = lambda before: green
    expected = process(torch.from_numpy(seen)[None], torch.from_numpy(logits / temperature)[None])
    ours = distribution(logits, which, seen).probability
    np.testing.assert_allclose(ours, expected.softmax(-1)[0].numpy(), rtol=1e-9)


def synthid(context: int = 4) -> Any:
    return transformers.SynthIDTextWatermarkLogitsProcessor(
        ngram_len=context + 1,
        keys=list(range(30)),
        sampling_table_size=2**10,
        sampling_table_seed=0,
        context_history_size=1024,
        device=torch.device("cpu"),
    )


@given(logits=LOGITS, seen=st.permutations(range(SIZE)).map(np.array))
@settings(max_examples=20)
def test_a_tournament_gives_the_odds_of_transformers(logits: np.ndarray, seen: np.ndarray) -> None:
    g_values = torch.from_numpy(marks_of(TOURNAMENT, seen).T.astype(int))[None]
    expected = synthid().update_scores(torch.from_numpy(logits)[None], g_values).softmax(-1)[0]
    ours = distribution(logits, TOURNAMENT, seen).probability
    np.testing.assert_allclose(ours, expected.numpy(), rtol=1e-7, atol=1e-12)


@given(seen=st.lists(st.integers(0, 2), min_size=6, max_size=80).map(np.array))
@settings(max_examples=20)
def test_a_tournament_skips_the_contexts_that_transformers_skips(seen: np.ndarray) -> None:
    logits = np.linspace(0, 3, SIZE)
    marked = [
        not np.allclose(distribution(logits, TOURNAMENT, seen[:end]).probability,
                        distribution(logits, TOURNAMENT, None).probability)
        for end in range(4, len(seen))
    ]  # fmt: skip
    expected = synthid().compute_context_repetition_mask(torch.from_numpy(seen)[None])
    assert marked == expected[0].tolist()


@given(seen=SEEN)
@settings(max_examples=20)
def test_the_count_of_green_pairs_is_that_of_transformers(seen: np.ndarray) -> None:
    config = transformers.PreTrainedConfig(vocab_size=SIZE, bos_token_id=SIZE)
    if len(seen) < 5:
        return
    marks = transformers.WatermarkingConfig(context_width=4)
    detector = transformers.WatermarkDetector(config, "cpu", marks, ignore_repeated_ngrams=True)
    detector.processor._get_greenlist_ids = lambda before: np.flatnonzero(
        marks_of(GREEN, before.numpy())[0]
    )
    found = detector(torch.from_numpy(seen)[None], return_dict=True)
    count = count_text(seen, own_key(), GREEN)
    assert (count.pairs, count.marks) == (found.num_tokens_scored, found.num_green_tokens)


# --- The p-value ---------------------------------------------------------------------------------


@given(trials=st.integers(1, 300), share=st.sampled_from([0.25, 0.5, 0.01]), data=st.data())
def test_the_probability_is_the_exact_tail(trials: int, share: float, data: Any) -> None:
    hits = data.draw(st.integers(0, trials))
    one = Fraction(share)
    exact = sum(
        comb(trials, k) * one**k * (1 - one) ** (trials - k) for k in range(hits, trials + 1)
    )
    assert tail(hits, trials, share) == pytest.approx(float(exact), rel=1e-9, abs=1e-300)


@pytest.mark.parametrize("which", [GREEN, TOURNAMENT], ids=["green", "tournament"])
def test_texts_without_the_key_have_p_values_as_chance_gives_them(which: TextSettings) -> None:
    random = np.random.default_rng(0)
    texts = random.integers(0, 10, (60, 200))
    keys = random.integers(0, 2**63, 50)
    values = np.array([count_text(text, int(key), which).p for text in texts for key in keys])
    for share in (0.5, 0.1, 0.01):  # 3,000 values; the bound is above 4 standard errors
        assert (values <= share).mean() <= share + 4 * (share / len(values)) ** 0.5


def test_a_repeated_pair_counts_once() -> None:
    text = np.random.default_rng(0).integers(0, SIZE, 30)
    again = np.concatenate([text, text[:4], text[4:]])
    once, twice = (count_text(one, KEY, GREEN) for one in (text, again))
    new = len(np.unique([tuple(again[at : at + 5]) for at in range(len(again) - 4)], axis=0))
    assert once.pairs == 26
    assert twice.pairs == new < 2 * 26


# --- In traces ------------------------------------------------------------------------------------


def start(which: TextSettings, seed: int = 1) -> Start:
    return Start(trace=0, model="", prompt="the", seed=seed, settings=which)


def text_frames(trace: Trace, first: int, steps: int) -> list[TextFrame]:
    frames = list(trace.advance(first, steps))
    return [frame for frame in frames if isinstance(frame, TextFrame)]


def long(which: TextSettings, **changes: Any) -> TextSettings:
    return replace(which, **{"tokens": 150} | changes)


@pytest.mark.parametrize("which", [GREEN, TOURNAMENT], ids=["green", "tournament"])
def test_a_marked_text_is_found_with_its_key_and_replays(
    which: TextSettings, text_generator: TextGenerator
) -> None:
    trace = Trace(text_generator, start(long(which)))
    frames = text_frames(trace, 0, 150)
    tokens = trace.state(150).token_ids.since(0)
    found, other = (count_text(tokens, one, which) for one in (own_key(), KEY))
    assert found.p < 1e-6 < 1e-3 < other.p
    assert frames[-1].chance == found.p, "the probability so far is told with each token"
    assert frames[0].marks == (0, 0), "a context of three tokens of the prompt is too short"
    counted = np.array([frame.marks for frame in frames]).sum(axis=0)
    assert counted.tolist() == [found.marks, found.trials]
    again = Trace(text_generator, start(long(which)))
    assert [frame.token for frame in text_frames(again, 0, 150)] == [one.token for one in frames]


def test_a_fork_with_another_watermark_counts_that_one(text_generator: TextGenerator) -> None:
    trace = Trace(text_generator, start(long(GREEN)))
    list(trace.advance(0, 60))
    warmer = trace.fork(1, 60, SetSettings(long(GREEN, temperature=1.5)))
    other = trace.fork(2, 60, SetSettings(long(TOURNAMENT)))
    assert text_frames(warmer, 60, 1)[0].chance < 1e-3 < text_frames(other, 60, 1)[0].chance


def test_what_cannot_be_marked_is_said(text_generator: TextGenerator) -> None:
    for changes, fault in (
        (
            {"watermark_key": "yours"},
            "no watermark key 'yours' on this machine: copy it, or `genui config key yours`",
        ),
        ({"temperature": 0.0}, "temperature 0 always takes the likeliest token"),
    ):
        with pytest.raises(MisuseError, match=fault):
            Trace(text_generator, start(long(GREEN, **changes)))
    narrow = Trace(text_generator, start(long(GREEN, watermark_context=1)))
    assert "false alarms" in narrow.started.note
