"""Discrete diffusion on text: its noise, its bounds, its training and its traces."""

import dataclasses
import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from msgspec.structs import replace

from genui.base.errors import MisuseError
from genui.cli.main import main
from genui.engine import ship, trainer
from genui.engine.data.tokenizer import CharTokenizer
from genui.engine.device import Machine
from genui.engine.metrics import score
from genui.engine.metrics.score import score_text
from genui.engine.sample.trace import Trace
from genui.kinds.text_diffusion import metrics
from genui.kinds.text_diffusion.metrics import cut_gaps, distinct, share_filled
from genui.kinds.text_diffusion.network import TextDenoiser, build_text_denoiser
from genui.kinds.text_diffusion.noise import add_noise, draw_lengths, uniform_bound
from genui.kinds.text_diffusion.recipe import TextDiffusionRecipe
from genui.kinds.text_diffusion.sample import Block, TextDiffusionGenerator
from genui.kinds.text_diffusion.settings import (
    GIVEN,
    UNDECIDED,
    CanvasFrame,
    Erase,
    Pin,
    TextDiffusionSettings,
)
from genui.kinds.text_diffusion.task import measure_bound
from genui.protocol import EditAt, SetSeed, SetSettings, Start, WriteToken
from genui.recipes import find_recipe, override, recipe_from_dict
from genui.runs.layout import RunDir, read_info, read_status
from genui.runs.models import find_model

ALPHABET = "\n abcdefghijklmnopqrstuvwxyz"
NOISES = ("mask", "uniform")
CPU = Machine("cpu", "fp32", 1)


def network(noise: str, seed: int = 0) -> TextDenoiser:
    """A small network with random weights."""
    torch.manual_seed(seed)
    small = {"layers": "2", "width": "32", "heads": "2", "context": "32", "noise": noise}
    recipe: Any = override(find_recipe("masked-shakespeare"), small)
    model = build_text_denoiser(recipe, 28)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return model.eval()


@pytest.fixture(params=NOISES)
def generator(request: pytest.FixtureRequest) -> TextDiffusionGenerator:
    return TextDiffusionGenerator(
        network(request.param), CharTokenizer(ALPHABET), CPU, request.param
    )


def start(prompt: str = "to be", **settings: object) -> Start:
    own = replace(TextDiffusionSettings(tokens=20, steps=8), **settings)
    return Start(trace=1, model="m", prompt=prompt, seed=3, settings=own)


def run(trace: Trace) -> list[CanvasFrame]:
    return [one for one in trace.advance(0, 1000) if isinstance(one, CanvasFrame)]


# --- Noise and bounds ---------------------------------------------------------------------------


def test_exactly_k_tokens_of_a_block_are_masked_and_weigh_as_much_as_the_block() -> None:
    rows = np.random.default_rng(0).integers(28, size=(40, 17))
    lengths = draw_lengths(40, 16, 0.5, np.random.default_rng(1))
    noisy = add_noise(rows, lengths, 28, "mask", np.random.default_rng(2))
    masked = noisy.token_ids[:, 1:] == 28
    assert masked.sum(1) == pytest.approx(noisy.times * lengths)
    assert noisy.weights.sum(1) == pytest.approx(np.ones(40), abs=1e-5)
    for row, length in enumerate(lengths.tolist()):
        assert not masked[row, : 16 - length].any()
        assert noisy.weights[row, 16 - length :].sum() == pytest.approx(length / 16, abs=1e-5)


def test_the_bound_of_uniform_noise_is_the_entropy_for_a_perfect_model() -> None:
    """A model that knows the data's distribution has for one independent token the entropy."""
    odds = torch.tensor([0.6, 0.3, 0.1], dtype=torch.float64)
    times = (torch.arange(4000, dtype=torch.float64) + 0.5) / 4000
    total = 0.0
    for clean, noisy in itertools.product(range(3), range(3)):
        arrives = times / 3 + (1 - times) * (clean == noisy)
        # The posterior of the clean token, by Bayes.
        likelihood = times[:, None] / 3 + (1 - times)[:, None] * torch.eye(3)[noisy]
        logits = (likelihood * odds).log()[:, None]
        tokens = torch.full((4000, 1), noisy), torch.full((4000, 1), clean)
        nats = uniform_bound(logits, *tokens, times)[:, 0]
        total += float(odds[clean] * (arrives * nats).mean())
    assert total == pytest.approx(float(-(odds * odds.log()).sum()), abs=2e-3)


def test_before_a_block_nothing_sees_what_follows() -> None:
    model = network("mask")
    tokens = torch.randint(28, (1, 20))
    other = tokens.clone()
    other[0, 12] = (other[0, 12] + 1) % 28
    first = torch.tensor([15])
    before, after = (model.denoise(each, first)[0] for each in (tokens, other))
    assert torch.equal(before[:12], after[:12])
    assert not torch.allclose(before[15:], after[15:])
    later = tokens.clone()
    later[0, 18] = (later[0, 18] + 1) % 28
    assert not torch.allclose(before[15], model.denoise(later, first)[0, 15]), "it sees both sides"


def test_blocks_of_one_token_are_the_exact_loss_of_a_causal_model() -> None:
    model, held = network("mask"), np.random.default_rng(0).integers(28, size=32 * 3 + 1)
    rows = torch.from_numpy(np.stack([held[at : at + 33] for at in (0, 32, 64)]))
    with torch.inference_mode():
        logits = model(rows[:, :-1])
        exact = torch.nn.functional.cross_entropy(logits.flatten(0, 1), rows[:, 1:].flatten())
    assert measure_bound(model, held, CPU, "mask", 1) == pytest.approx(float(exact), abs=1e-5)


# --- Training -----------------------------------------------------------------------------------


@pytest.mark.usefixtures("signals")
@pytest.mark.parametrize("noise", NOISES)
def test_it_trains_by_the_ordinary_loop_and_is_measured(
    noise: str,
    tiny_run: Callable[..., RunDir],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    own = {"heads": "2", "noise": noise, "ngram_rows": "256", "context_start": "16"}
    made = tiny_run(recipe="masked-shakespeare", warmup="2", **own)
    assert trainer.train(made) == 0
    assert read_status(made).step == 12
    assert list(made.path.rglob("*.txt"))
    monkeypatch.setattr(metrics, "GAPS", 2)
    monkeypatch.setattr(metrics, "SAMPLES", 1)
    measured = ship.measure(find_model(made.id), recipe_from_dict(read_info(made).recipe))
    assert measured.keys() == {"bound", "by block length", "gaps", "distinct words"}
    assert measured["bound"].startswith("at most ")


# --- Traces -------------------------------------------------------------------------------------


def test_a_trace_is_stepped_rewound_and_replayed_to_the_same_bits(
    generator: TextDiffusionGenerator,
) -> None:
    frames = run(Trace(generator, start()))
    assert len(frames) == 7  # 3 tokens at a step
    assert frames[-1].decided.count(UNDECIDED) == 0
    assert frames[-1].page.startswith("to be")
    again = Trace(generator, start())
    list(again.advance(0, 5))
    assert [one.content for one in again.advance(2, 1000)] == [one.content for one in frames[2:]]


@pytest.mark.parametrize("order", ["confidence", "entropy", "random", "left"])
def test_steps_decide_as_many_tokens_and_keep_the_order(
    order: str, generator: TextDiffusionGenerator
) -> None:
    if generator.noise == "uniform":
        pytest.skip("with uniform noise a token may change after it was decided")
    frames = run(Trace(generator, start(order=order, steps=10)))
    assert [one.decided.count(one.step) for one in frames] == [2] * 10
    if order == "left":
        assert frames[-1].decided == (GIVEN,) * 5 + tuple(1 + at // 2 for at in range(20))


def test_blocks_are_written_from_left_to_right(generator: TextDiffusionGenerator) -> None:
    for frame in run(Trace(generator, start(block=4))):
        undecided = [at for at, step in enumerate(frame.decided) if step == UNDECIDED]
        first, end = frame.block
        assert all(at >= first for at in undecided)
        assert end - first == 4
    steps = run(Trace(generator, start(block=1)))
    assert [one.decided.index(one.step) for one in steps] == list(range(5, 25))


def test_a_block_of_one_token_is_the_autoregressive_model() -> None:
    model = network("mask")
    own = TextDiffusionGenerator(model, CharTokenizer(ALPHABET), CPU, "mask")
    text = run(Trace(own, start(block=1, temperature=0, tokens=12)))[-1].page
    tokens = own.tokenizer.encode("\nto be")
    for _ in range(12):
        with torch.inference_mode():
            tokens.append(int(model(torch.tensor([tokens]))[0, -1].argmax()))
    assert text == own.tokenizer.decode(tokens[1:])


def test_a_text_is_scored_as_it_would_be_written_from_left_to_right(
    generator: TextDiffusionGenerator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(score, "find_and_load", lambda ref: generator)
    text = "to be or not"
    found = score_text("model", text, lambda done, of: None)
    assert "".join(found.texts) == text
    state, _ = generator.begin(start(text, block=1, tokens=1))
    expected = []
    for place, token in enumerate(found.token_ids):
        before = dataclasses.replace(
            state, decided=np.where(np.arange(13) < place, GIVEN, UNDECIDED)
        )
        expected.append(-np.log(generator.read(before, Block(place, place + 1)).model[0, token]))
    assert found.nats == pytest.approx(expected, abs=1e-4)


def test_remasking_takes_back_the_least_sure_and_still_ends() -> None:
    own = TextDiffusionGenerator(network("mask"), CharTokenizer(ALPHABET), CPU, "mask")
    plain, again = (run(Trace(own, start(remask=share))) for share in (0.0, 1.0))
    assert len(plain) == len(again)
    taken_back = [
        at
        for one, two in itertools.pairwise(again)
        for at in range(25)
        if one.decided[at] > GIVEN and two.decided[at] == UNDECIDED
    ]
    assert taken_back
    assert again[-1].decided.count(UNDECIDED) == 0


@pytest.mark.parametrize("share", [0.25, 0.5])
def test_a_small_share_is_taken_back_at_some_of_the_steps(share: float) -> None:
    own = TextDiffusionGenerator(network("mask"), CharTokenizer(ALPHABET), CPU, "mask")
    frames = run(Trace(own, start(remask=share, steps=20)))  # a token at a step
    pairs = itertools.pairwise(frame.decided for frame in frames)
    taken_back = sum(
        now == UNDECIDED != then
        for before, after in pairs
        for then, now in zip(before, after, strict=True)
    )
    assert 20 * share - 2 <= taken_back <= 20 * share
    assert frames[-1].decided.count(UNDECIDED) == 0


def test_other_settings_and_an_erased_word_leave_the_speed_as_it_is(
    generator: TextDiffusionGenerator,
) -> None:
    trace = Trace(generator, start())
    total = len(run(trace))
    warmer = SetSettings(replace(start().settings, temperature=0.5))
    assert trace.fork(2, total // 2, warmer).started.total_steps == total
    assert trace.fork(3, 1, Erase(first=9, last=9)).started.total_steps == total


class Bytes:
    """Tokens that are bytes: most characters of other alphabets are several."""

    size, end, ends = 256, None, frozenset[int]()

    def unknown(self, text: str) -> str:
        return ""

    def encode(self, text: str) -> list[int]:
        return list(text.encode())

    def token_bytes(self, token: int) -> bytes:
        return bytes([token])


def test_a_character_of_several_tokens_is_shown_when_all_are_decided() -> None:
    small = {"layers": "1", "width": "32", "heads": "2", "context": "32"}
    model = build_text_denoiser(override(find_recipe("masked-shakespeare"), small), 256)  # type: ignore[arg-type]
    tokenizer: Any = Bytes()
    own = TextDiffusionGenerator(model, tokenizer, CPU, "mask")
    trace = Trace(own, start("é日<FILL>é", gap=2))
    opening = trace.opening
    assert isinstance(opening, CanvasFrame)
    assert opening.page == "é日__é"
    assert opening.texts[:5] == ("", "é", "", "", "日")
    cut = trace.fork(2, 0, Erase(first=2, last=2)).opening
    assert isinstance(cut, CanvasFrame)
    assert cut.page == "_日__é"  # a part of a character waits for the rest


def test_erased_places_heal_and_pinned_ones_stay(generator: TextDiffusionGenerator) -> None:
    trace = Trace(generator, start())
    last = run(trace)[-1]
    healed = trace.fork(2, last.step, Erase(first=8, last=10))
    opening = healed.opening
    assert isinstance(opening, CanvasFrame)
    assert opening.page[7:10] == "___"
    text = list(healed.advance(last.step, 1000))[-1]
    assert isinstance(text, CanvasFrame)
    if generator.noise == "mask":
        assert text.page[:7] + text.page[10:] == last.page[:7] + last.page[10:]
    pinned = Trace(generator, start()).fork(3, 0, Pin(place=9, text="love"))
    for frame in pinned.advance(0, 1000):
        assert isinstance(frame, CanvasFrame)
        assert frame.page[8:12] == "love"


def test_gaps_are_filled_and_what_is_given_stays(generator: TextDiffusionGenerator) -> None:
    trace = Trace(generator, start("ab<FILL>cd<FILL>ef", gap=3))
    assert trace.started.total_steps == len(run(trace))
    last = list(trace.advance(0, 1000))[-1]
    assert isinstance(last, CanvasFrame)
    assert last.page[:2] + last.page[5:7] + last.page[10:] == "abcdef"


def test_a_text_longer_than_the_context_is_read_in_part(generator: TextDiffusionGenerator) -> None:
    frames = run(Trace(generator, start("to be " * 8, tokens=60, steps=30)))
    assert len(frames[-1].page) == 108
    gap = run(Trace(generator, start("to be " * 9 + "<FILL>" + " not" * 20, gap=4)))
    assert gap[-1].page.startswith("to be " * 9)


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (Pin(place=24, text="love"), "place 27: this text has 25"),
        (Pin(place=2, text="Ω"), "this model has no 'Ω'"),
        (Erase(first=1, last=99), "place 99"),
        (WriteToken(3), "pin a text, or erase a span"),
    ],
)
def test_an_edit_that_does_not_fit_is_told(
    edit: object, words: str, generator: TextDiffusionGenerator
) -> None:
    with pytest.raises(MisuseError, match=words):
        Trace(generator, start()).fork(2, 0, edit)  # type: ignore[arg-type]


def test_settings_and_seeds_change_on_the_way(generator: TextDiffusionGenerator) -> None:
    trace = Trace(generator, start())
    frames = run(trace)
    slower = trace.fork(2, 2, SetSettings(replace(start().settings, steps=14)))
    assert slower.started.total_steps == 2 + 14
    edits = (EditAt(step=2, edit=SetSeed(9)),)
    other = run(Trace(generator, replace(start(), edits=edits)))
    assert [one.content for one in other[:2]] == [one.content for one in frames[:2]]
    assert other[-1].content != frames[-1].content


@pytest.mark.parametrize(
    ("edit", "typed"), [(Erase(first=3, last=5), "3-5"), (Pin(place=7, text="a:b"), "7:a:b")]
)
def test_edits_are_typed_and_read_back(edit: Erase | Pin, typed: str) -> None:
    assert edit.format_value() == typed
    assert type(edit).parse_value(typed) == edit


@pytest.mark.parametrize("text", ["", "x", "5-3", "0-2", "7:", "0:a", "9999-9999"])
def test_edits_that_are_none_are_refused(text: str) -> None:
    for edit in (Erase, Pin):
        with pytest.raises(MisuseError, match="expected"):
            edit.parse_value(text)


# --- Metrics and the shell ----------------------------------------------------------------------


def test_gaps_are_counted_when_they_are_exact(generator: TextDiffusionGenerator) -> None:
    gaps = cut_gaps("to be or not to be " * 20, 1, 6)
    assert all(len(gap.middle) == 1 for gap in gaps)
    assert 0 <= share_filled(generator, gaps) <= 1
    assert distinct(["To be or not to be"]) == pytest.approx(4 / 6)


@pytest.fixture
def model(tmp_path: Path, tiny_run: Callable[..., RunDir], signals: None) -> str:
    made = tiny_run(recipe="masked-shakespeare", heads="2", ngram_rows="256", steps="2")
    assert trainer.train(made) == 0
    return made.id


def test_a_text_is_generated_forked_saved_and_replayed_in_the_shell(
    model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, trace = str(tmp_path / "a.txt"), str(tmp_path / "a.trace")
    words = ["generate", model, "--prompt", "to be", "--seed", "1", "--tokens", "12"]
    main([*words, "--fork", "3:pin=8:or", "--out", out, "--trace", trace])
    assert Path(out).read_text().startswith("to be")
    assert Path(out).read_text()[7:9] == "or"
    capsys.readouterr()
    main(["replay", out])
    assert "identical" in capsys.readouterr().out.lower()
    main([*words, "--json"])
    assert '"text":"to be' in capsys.readouterr().out.replace('": "', '":"')
    folder = tmp_path / "made"
    main([*words, "-n", "2", "--out", str(folder)])
    assert (folder / "data.jsonl").read_text().count('"text":"to be') == 2
    assert "reads them" in capsys.readouterr().err


def test_a_recipe_refuses_what_it_cannot_do() -> None:
    recipe = find_recipe("masked-python")
    assert isinstance(recipe, TextDiffusionRecipe)
    with pytest.raises(MisuseError, match="canaries"):
        dataclasses.replace(recipe, canaries=1).check()
