"""Decoding by NumPy beside the networks themselves, and which of the two computes a trace."""

from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from decoder_checks import check_forks, check_logits, check_rows
from msgspec.structs import replace
from networks import LAYERED, random_network

from genui.engine.data.tokenizer import CharTokenizer
from genui.engine.device import Machine
from genui.engine.models import fast_decoding
from genui.engine.models.fast_decoding import build_decoder
from genui.engine.sample.lens import read_layers
from genui.engine.sample.text import TextGenerator
from genui.engine.sample.tokens import read_ahead
from genui.engine.sample.trace import Trace
from genui.protocol import Ablate, SetSeed, Start, TextSettings
from genui.protocol.kinds import KINDS

VOCABULARY = 28
MACHINE = Machine("cpu", "fp32", 1)
ALPHABET = "\n abcdefghijklmnopqrstuvwxyz"

MODELS: dict[str, Any] = {
    family: partial(random_network, family, VOCABULARY) for family in (*LAYERED, "ngrams")
}
if ("transformer", "music") in KINDS:
    from music_makers import small_model

    MODELS["music"] = small_model


@pytest.fixture(params=LAYERED)
def network(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(params=MODELS)
def model(request: pytest.FixtureRequest) -> Any:
    return MODELS[request.param]().eval().requires_grad_(False)


def test_logits_are_those_of_the_network(model: Any) -> None:
    check_logits(model, VOCABULARY)


def test_going_back_and_forking_give_the_same_bits(model: Any) -> None:
    check_forks(model, VOCABULARY)


def test_rows_of_any_lengths_have_the_bits_of_one_alone(model: Any) -> None:
    check_rows(model, VOCABULARY)


def test_a_large_weight_is_multiplied_in_parts_to_the_same_bits() -> None:
    random = np.random.default_rng(0)
    rows = random.standard_normal((3, 96), np.float32)
    weight = random.standard_normal((96, 9000), np.float32)
    assert weight.shape[1] > 2 * fast_decoding.COLUMNS
    for laid_out in (weight, np.asfortranarray(weight)):
        together = fast_decoding.product(rows, laid_out)
        for row, result in zip(rows, together, strict=True):
            np.testing.assert_array_equal(fast_decoding.product(row, laid_out), result)


def test_there_is_none_for_other_precisions_networks_and_blas(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    network = random_network("transformer", VOCABULARY)
    assert build_decoder(network.to(torch.bfloat16)) is None
    assert build_decoder(torch.nn.Linear(2, 2)) is None
    monkeypatch.setattr(fast_decoding, "_blas_threads", lambda: None)
    assert build_decoder(random_network("transformer", VOCABULARY)) is None


# --- traces -------------------------------------------------------------------------------------


def trace_of(generator: TextGenerator, tokens: int = 60) -> Trace:
    settings = TextSettings(tokens=tokens)
    return Trace(generator, Start(trace=1, model="", prompt="to be", seed=2, settings=settings))


def logits_at(trace: Trace, steps: range) -> np.ndarray:
    return np.stack([trace.state(step).logits for step in steps])


def test_looking_inside_leaves_the_bits_as_they_were(text_generator: TextGenerator) -> None:
    looked_at, untouched = trace_of(text_generator), trace_of(text_generator)
    list(looked_at.advance(0, 12))
    for step in (12, 5):
        read_layers(looked_at, step)
    frames = list(looked_at.advance(12, 8))
    assert list(untouched.advance(0, 20))[12:] == frames
    np.testing.assert_array_equal(logits_at(looked_at, range(20)), logits_at(untouched, range(20)))


def test_samples_of_one_prompt_read_it_once(
    text_generator: TextGenerator, monkeypatch: pytest.MonkeyPatch
) -> None:
    prefill, lengths = text_generator.model.prefill, []

    def counted(token_ids: torch.Tensor, state: Any) -> torch.Tensor:
        lengths.append(token_ids.shape[1])
        return prefill(token_ids, state)

    monkeypatch.setattr(text_generator.model, "prefill", counted)
    request = trace_of(text_generator, 12).request
    texts = []
    for seed in (2, 5, 2):
        trace = Trace(text_generator, replace(request, seed=seed))
        texts.append("".join(frame.text for frame in trace.advance(0, 12)))
    assert lengths == [len("to be")]
    assert texts[0] == texts[2] != texts[1]


@pytest.mark.parametrize("rounds", [False, True])
def test_texts_that_advance_together_have_the_bits_of_each_alone(
    text_generator: TextGenerator, monkeypatch: pytest.MonkeyPatch, rounds: bool
) -> None:
    """The context is full on the way. With `rounds` rows together round otherwise, so they are not
    read together."""
    decoder, counts = text_generator._reader.decoder, []
    assert decoder is not None

    def read_rows(token_ids: Any, states: Any) -> Any:
        counts.append(len(states))
        return type(decoder).read_rows(decoder, token_ids, states) + rounds

    monkeypatch.setattr(decoder, "read_rows", read_rows)
    request = trace_of(text_generator).request
    starts = [replace(request, seed=seed, prompt="to be"[: 2 + seed % 3]) for seed in range(10)]
    model, tokenizer = text_generator.model, text_generator.tokenizer
    other = TextGenerator(model, tokenizer, MACHINE)
    other.decode_fast()
    expected = [list(Trace(other, start).advance(0, 40)) for start in starts]
    traces = [Trace(text_generator, start) for start in starts]
    frames = [trace.advance(0, 40) for trace in traces]
    for step in range(40):
        read_ahead((trace, step) for trace in traces)
        assert [next(each) for each in frames] == [each[step] for each in expected]
    assert not counts[1:] if rounds else max(counts) == len(starts)


@pytest.mark.parametrize("network", ["transformer"], indirect=True)
def test_an_edit_of_a_layer_gives_the_same_bits_whatever_was_read_before(
    text_generator: TextGenerator,
) -> None:
    """The context is full at step 27 and again at 43: what is read anew there is the same."""
    trace = trace_of(text_generator)
    list(trace.advance(0, 30))
    branch = trace.fork(2, 10, Ablate(layer=1))
    frames = list(branch.advance(10, 50))
    model = random_network("transformer", len(ALPHABET))
    fresh = TextGenerator(model, CharTokenizer(ALPHABET), MACHINE, "transformer")
    fresh.decode_fast()
    again = Trace(fresh, branch.request)
    assert [frame.text for frame in list(again.advance(0, 60))[10:]] == [f.text for f in frames]
    np.testing.assert_array_equal(logits_at(again, range(11, 60)), logits_at(branch, range(11, 60)))
    other = branch.fork(3, 20, SetSeed(seed=9))
    list(other.advance(20, 5))
    np.testing.assert_array_equal(other.state(20).logits, again.state(20).logits)
