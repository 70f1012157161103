"""What is measured of a model of code: functions, gaps, and a compressor beside it."""

import lzma
from dataclasses import replace

import pytest
from networks import NETWORKS, random_network

from genui.base.python_syntax import may_continue
from genui.engine.data.tokenizer import train_bpe
from genui.engine.device import Machine
from genui.engine.metrics import language
from genui.engine.sample import logits
from genui.engine.sample.text import TextGenerator, TextState
from genui.protocol import FILL, Start, TextFrame, TextSettings

MODULE = "import os\n\n\ndef total(values, start):\n    return sum(values) + start\n"
TEXT = "".join(f"def f_{n}(a, b):\n    return a * {n} + b\n\n\n" for n in range(60))


@pytest.fixture(scope="module", params=NETWORKS)
def writer(request: pytest.FixtureRequest) -> TextGenerator:
    tokenizer = train_bpe([TEXT], 300).with_gaps()
    model = random_network(request.param, tokenizer.size, context=48)
    return TextGenerator(model, tokenizer, Machine("cpu", "fp32", 1))


def written(writer: TextGenerator, prompt: str, seed: int, settings: TextSettings) -> bytes:
    """What it writes by itself, as bytes."""
    start = Start(trace=0, model="", prompt=prompt, seed=seed, settings=settings)
    state, text = writer.start(start), b""
    while not writer.finished(state):
        state, frame = writer.step(state)
        text += writer.tokenizer.token_bytes(frame.token)
    return text


@pytest.mark.parametrize("seed", range(2))
def test_under_the_grammar_even_noise_could_become_python(
    writer: TextGenerator, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logits, "REFUSALS", 10_000)
    settings = TextSettings(tokens=40, temperature=1, top_p=1)
    free = written(writer, "def f_1(a", seed, settings).decode("utf-8", "replace")
    assert not may_continue("def f_1(a" + free)
    held = TextSettings(tokens=40, temperature=1, top_p=1, grammar="python")
    text = written(writer, "def f_1(a", seed, held).decode("utf-8", "ignore")
    assert may_continue("def f_1(a" + text)


def test_what_the_grammar_refuses_says_so(writer: TextGenerator) -> None:
    settings = TextSettings(tokens=30, temperature=1, top_p=1, grammar="python")
    state = writer.start(Start(trace=0, model="", prompt="x = )", seed=1, settings=settings))
    frames: list[TextFrame] = []
    while not writer.finished(state):  # of what is broken already nothing is refused
        state, frame = writer.step(state)
        frames.append(frame)
    assert not any(c.dropped for frame in frames for c in frame.candidates)
    state = writer.start(Start(trace=0, model="", prompt="x = (", seed=1, settings=settings))
    refused = set()
    while not writer.finished(state):
        state, frame = writer.step(state)
        refused |= {c.text for c in frame.candidates if c.dropped == "grammar"}
        assert not {c.text for c in frame.candidates if c.dropped and c.token == frame.token}
    assert refused


@pytest.mark.parametrize("seed", range(3))
def test_a_gap_is_filled_with_what_may_follow_before_it(
    writer: TextGenerator, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logits, "REFUSALS", 10_000)  # after "!" only "=" is left of them all
    settings = TextSettings(tokens=20, temperature=1, top_p=1, grammar="python")
    prompt = f"def f_1(a):\n    return {FILL}\n"
    request = Start(trace=0, model="", prompt=prompt, seed=seed, settings=settings)
    state, started = writer.begin(request)
    text = started.prompt
    while not writer.finished(state):
        state, frame = writer.step(state)
        text += frame.text
    assert text.startswith("def f_1(a):\n    return")
    assert may_continue(text)


def test_a_text_ends_with_what_it_is_to_end_with(writer: TextGenerator) -> None:
    settings = TextSettings(tokens=40)
    whole = writer.write("def f_1(a", 3, settings)
    until = whole[5:7]
    cut = writer.write("def f_1(a", 3, settings, until)
    assert whole.startswith(cut)
    assert until in cut
    assert until not in cut[:-1] or len(cut) < len(whole)


def test_a_function_ends_at_the_margin() -> None:
    text = "def f(\n    a,\n):\n    return a\n\n\nclass B:\n    pass\n"
    assert language._first_function(text) == "def f(\n    a,\n):\n    return a\n\n"
    assert language._first_function("def f():\n    x = 1\n    y = (") == "def f():\n    x = 1"


def test_only_what_the_interpreter_reads_parses() -> None:
    assert language.parses("def f():\n    return '\\d'")
    assert not language.parses("def f(:\n    return")
    assert not language.parses("\0")
    assert not language.parses("(" * 500)


def test_identifiers_are_names_that_somebody_chose() -> None:
    found = language.identifiers(MODULE)
    assert [name for name, _ in found] == ["os", "total", "values", "start", "values", "start"]
    assert all(MODULE[at:].startswith(name) for name, at in found)
    assert language.identifiers("def (:\n  '''") == []
    assert language.most_frequent([MODULE]) in ("values", "start")


def test_a_masked_identifier_stands_in_its_module() -> None:
    modules = [TEXT, "x = (\n"]
    masked = language.masked_identifiers(modules, 20)
    assert len(masked) == 20 == len(set(masked))
    for one in masked:
        assert one.prefix + one.name + one.suffix == TEXT
    assert masked == language.masked_identifiers(modules, 20)


def test_a_gap_is_restored_only_by_the_name_that_was_there(
    writer: TextGenerator, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = [*writer.tokenizer.encode("values"), writer.tokenizer.end]

    def likeliest(self: TextGenerator, state: TextState) -> tuple[TextState, TextFrame]:
        return step(self, replace(state, written=tuple(ids)))

    step = TextGenerator.step
    monkeypatch.setattr(TextGenerator, "step", likeliest)
    masked = [language.Masked("a", "values", "b"), language.Masked("a", "start", "b")]
    assert language.restore_names(writer, masked) == [True, False]
    ids = writer.tokenizer.encode("values" * 20)  # without an end
    assert language.restore_names(writer, masked) == [False, False]


def test_the_compressor_has_read_the_training_text_first() -> None:
    train, held = TEXT.encode(), TEXT[:400].encode()
    alone = 8 * len(lzma.compress(held, preset=9)) / len(held)
    assert language.xz_bits_per_byte(train, held) < alone / 4
