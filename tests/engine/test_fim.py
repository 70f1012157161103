"""Fill-in-the-middle: windows with gaps to train on, and a gap in a prompt that is filled."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from msgspec.structs import replace
from networks import random_network
from shares import assert_shares_add_up

from genui.base.errors import MisuseError
from genui.engine.data import fim
from genui.engine.data.tokenizer import (
    END,
    BPETokenizer,
    CharTokenizer,
    tokenizer_from_dict,
    train_bpe,
)
from genui.engine.device import Machine
from genui.engine.sample.grammar import fits_before, token_filter
from genui.engine.sample.lens import read_layers
from genui.engine.sample.text import TextGenerator
from genui.engine.sample.trace import Trace
from genui.engine.train.checkpoint import grow_vocabulary
from genui.engine.train.language import TextTask
from genui.protocol import (
    FILL,
    SetSeed,
    Start,
    TextFrame,
    TextSettings,
    WriteText,
    join_pieces,
    remaining_suffix,
)
from genui.recipes import TransformerRecipe, find_recipe, override

CODE = "".join(f"def f_{n}(a, b):\n    return a * {n} + b\n\n\n" for n in range(60))
LENGTH = 48


@pytest.fixture(scope="module")
def tokenizer() -> BPETokenizer:
    return train_bpe([CODE], 300).with_gaps()


@pytest.fixture
def writer(network: str, tokenizer: BPETokenizer) -> TextGenerator:
    model = random_network(network, tokenizer.size, layers=1, context=64)
    return TextGenerator(model, tokenizer, Machine("cpu", "fp32", 1))


def request(prompt: str, tokens: int = 12, **more: object) -> Start:
    settings = TextSettings(tokens=tokens)
    return Start(trace=3, model="m", prompt=prompt, seed=1, settings=settings, **more)  # type: ignore[arg-type]


def rows(tokenizer: BPETokenizer, count: int = 60) -> Iterator[list[int]]:
    tokens = tokenizer.encode(CODE)
    for seed in range(count):
        rng = np.random.default_rng(seed)
        start = int(rng.integers(len(tokens) - 100))
        yield fim.rearrange(tokens[start : start + 100], LENGTH, tokenizer, rng)[0].tolist()


# --- windows to train on ---------------------------------------------------------------------


def test_a_window_keeps_its_length_and_ends_what_it_fills(tokenizer: BPETokenizer) -> None:
    assert tokenizer.gap is not None
    found = list(rows(tokenizer))
    suffix, middle = tokenizer.gap.marks
    assert sum(row[0] == suffix for row in found) > len(found) / 2
    for row in found:
        assert len(row) == LENGTH
        marks = [t for t in row if t in (suffix, middle, tokenizer.end)]
        gap = [suffix, tokenizer.end, middle, tokenizer.end]
        assert marks == gap * (len(marks) // len(gap))


def test_what_fills_a_gap_goes_from_its_prefix_to_its_end(tokenizer: BPETokenizer) -> None:
    assert tokenizer.gap is not None
    tokens = tokenizer.encode(CODE)
    found = 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        row, fills = fim.rearrange(tokens[:100], LENGTH, tokenizer, rng)
        ends = np.flatnonzero(row == tokenizer.end)[1::2]  # the others close a suffix
        begins = np.flatnonzero(row == tokenizer.gap.marks[1])
        assert len(begins) == len(ends)
        inside = np.zeros(LENGTH, bool)
        for begin, end in zip(begins, ends, strict=True):
            inside[begin + 1 : end + 1] = True
        assert (fills == inside).all()
        found += int(fills.sum())
    assert found


def test_put_in_order_again_a_window_is_the_text(tokenizer: BPETokenizer) -> None:
    assert tokenizer.gap is not None
    assert tokenizer.end is not None
    begin, fill = tokenizer.gap.marks
    for row in rows(tokenizer):
        if row[0] == begin and row.count(begin) == 1:
            closed, middle = row.index(tokenizer.end), row.index(fill)
            end = row.index(tokenizer.end, middle)
            parts = row[closed + 1 : middle], row[middle + 1 : end], row[1:closed]
            assert "".join(map(tokenizer.decode, parts)) in CODE


def test_where_a_gap_ends_cannot_be_counted(tokenizer: BPETokenizer) -> None:
    """Or a model learns to count, and never looks at what stands after the gap."""
    lengths = []
    for row in rows(tokenizer, 300):
        ends = [at for at, token in enumerate(row) if token == tokenizer.end][1::2]
        lengths += np.diff([-1, *ends]).tolist()
    assert max(lengths.count(length) for length in set(lengths)) < len(lengths) / 5


def test_gaps_are_words_lines_and_anything(tokenizer: BPETokenizer) -> None:
    gaps = [fim.cut(CODE[:200], np.random.default_rng(seed)) for seed in range(200)]
    assert all(gap.prefix + gap.middle + gap.suffix == CODE[:200] for gap in gaps)
    middles = {gap.middle for gap in gaps}
    assert " return" in middles
    assert any("\n" in middle for middle in middles)
    assert any(gap.suffix.startswith("\n") and gap.middle for gap in gaps)


def test_an_empty_text_is_cut_too() -> None:
    assert fim.cut("", np.random.default_rng(0)) == fim.Gap("", "", "")


def test_a_window_over_the_end_of_a_document_stays_as_it_is(tokenizer: BPETokenizer) -> None:
    assert tokenizer.end is not None
    tokens = [tokenizer.end, *tokenizer.encode(CODE)[:5]] * 20
    row = fim.rearrange(tokens, LENGTH, tokenizer, np.random.default_rng(0))[0].tolist()
    assert tokenizer.gap is not None
    assert tokenizer.gap.marks[0] not in row
    assert row[:6] == tokens[:6]


def test_of_a_long_text_what_is_nearest_to_the_gap_is_read(tokenizer: BPETokenizer) -> None:
    tokens, left_out = fim.format_gap(tokenizer, CODE[:400] + "NEAR", "HERE" + CODE[:400], 40)
    assert len(tokens) == 40
    assert left_out > 0
    read = tokenizer.decode(tokens)
    assert read.startswith("HERE")
    assert read.endswith("NEAR")


# --- the marks -------------------------------------------------------------------------------


def test_text_that_spells_a_special_token_is_only_text(tokenizer: BPETokenizer) -> None:
    assert tokenizer.gap is not None
    special = {tokenizer.end, *tokenizer.gap.marks}
    for text in (END, "<|suffix|>", "<|middle|>", f"a {END} b"):
        assert special.isdisjoint(tokenizer.encode(text))
        assert tokenizer.decode(tokenizer.encode(text)) == text


def test_a_checkpoint_keeps_the_marks(tokenizer: BPETokenizer) -> None:
    again = tokenizer_from_dict(tokenizer.to_dict())
    assert (again.gap, again.size) == (tokenizer.gap, tokenizer.size)
    plain = tokenizer_from_dict(train_bpe([CODE], 300).to_dict())
    assert plain.gap is None
    assert plain.size == again.size - 2


def test_the_space_before_a_gap_goes_into_it() -> None:
    for seed in range(200):
        gap = fim.cut("total = first + second  # of  all", np.random.default_rng(seed))
        assert gap.prefix + gap.middle + gap.suffix == "total = first + second  # of  all"
        after = gap.middle + gap.suffix
        assert not (gap.prefix.endswith(" ") and not after.startswith(" ")), gap


# --- training ----------------------------------------------------------------------------------


def recipe(tmp_path: Path, **settings: object) -> TransformerRecipe:
    path = tmp_path / "code.py"
    path.write_text(CODE)
    text = {"layers": 1, "width": 32, "heads": 2, "context": 32, "vocab_size": 300, "batch": 8}
    text |= {"data": path} | settings
    built = override(find_recipe("python"), {key: str(value) for key, value in text.items()})
    assert isinstance(built, TransformerRecipe)
    return built


def test_a_share_of_the_windows_has_a_gap(tmp_path: Path) -> None:
    task = TextTask(recipe(tmp_path, fim_rate=0.5), torch.device("cpu"))
    seen = []

    def kept(tokens: torch.Tensor, targets: torch.Tensor, _: torch.Tensor) -> torch.Tensor:
        seen.append((tokens == task.model.get_parameter("head.weight").shape[0] - 2).any(dim=1))
        return torch.zeros(())

    task.model.loss = kept  # type: ignore[method-assign]
    for step in range(40):
        task.loss(step)
    share = float(torch.cat(seen).float().mean())
    assert 0.3 < share < 0.6


def test_a_step_has_the_same_gaps_whenever_it_is_taken(tmp_path: Path) -> None:
    task = TextTask(recipe(tmp_path), torch.device("cpu"))
    assert float(task.loss(5).detach()) == float(task.loss(5).detach())
    assert_shares_add_up(task)  # the tokens of gaps have a larger weight


def test_only_bpe_can_mark_gaps(tmp_path: Path) -> None:
    with pytest.raises(MisuseError, match=r"fim_rate=0\.5 needs tokenizer=bpe"):
        recipe(tmp_path, tokenizer="chars", fim_rate=0.5)


def test_weights_without_the_marks_are_a_start_for_a_model_with_them(tmp_path: Path) -> None:
    without = TextTask(recipe(tmp_path, fim_rate=0), torch.device("cpu"))
    kept = {"tokenizer": without.extra["tokenizer"]}
    task = TextTask(recipe(tmp_path, fim_rate=0.5), torch.device("cpu"), kept)
    tensors = grow_vocabulary(dict(without.model.state_dict()), task.model)
    task.model.load_state_dict(tensors)
    before, after = (t.model.get_parameter("embedding.weight") for t in (without, task))
    assert len(after) == len(before) + 2
    assert torch.equal(after[: len(before)], before)


def test_weights_of_another_width_are_not_grown(tmp_path: Path) -> None:
    narrow = TextTask(recipe(tmp_path, width=16, fim_rate=0), torch.device("cpu")).model
    wide = TextTask(recipe(tmp_path), torch.device("cpu")).model
    with pytest.raises(RuntimeError):
        wide.load_state_dict(grow_vocabulary(dict(narrow.state_dict()), wide))


# --- a prompt with a gap ---------------------------------------------------------------------


def test_the_text_goes_between_what_stands_around_the_gap(writer: TextGenerator) -> None:
    trace = Trace(writer, request(f"def f_1(a, b):\n    return {FILL} + b\n"))
    assert trace.started.prompt == "def f_1(a, b):\n    return"  # the model writes the space
    assert trace.started.suffix == " + b\n"
    frames = list(trace.advance(0, 12))
    assert 0 < len(frames) <= 12


def test_a_filled_gap_is_the_same_again_and_from_any_step(writer: TextGenerator) -> None:
    trace = Trace(writer, request(f"a = {FILL}\nprint(a)\n"))
    frames = list(trace.advance(0, 12))
    assert list(Trace(writer, trace.request).advance(0, 12)) == frames
    assert list(trace.advance(2, len(frames) - 2)) == frames[2:]


def test_a_filled_gap_forks_like_any_text(writer: TextGenerator) -> None:
    trace = Trace(writer, request(f"a = {FILL}\nprint(a)\n"))
    frames = list(trace.advance(0, 3))
    branch = trace.fork(4, len(frames), SetSeed(9))
    assert branch.started.suffix == "\nprint(a)\n"
    written = trace.fork(5, 0, WriteText("a * 2"))
    text = "".join(f.text for f in written.advance(0, 3) if isinstance(f, TextFrame))
    assert text.startswith("a * 2"[: len(text)])


def test_the_middle_ends_where_the_context_does(writer: TextGenerator) -> None:
    trace = Trace(writer, request(CODE[:600] + FILL + CODE[:600], tokens=400))
    frames = list(trace.advance(0, 400))
    assert len(frames) <= 16  # a quarter of the context of 64
    assert "left out" in trace.started.note


def test_the_marks_themselves_are_never_written(writer: TextGenerator) -> None:
    assert writer.tokenizer.gap is not None
    wild = TextSettings(temperature=10, top_p=1, tokens=60)
    trace = Trace(writer, replace(request(f"a = {FILL}\n"), settings=wild))
    marks = set(writer.tokenizer.gap.marks)
    for frame in trace.advance(0, 60):
        assert isinstance(frame, TextFrame)
        assert marks.isdisjoint([frame.token, *(c.token for c in frame.candidates[:5])])


def test_gaps_are_filled_one_after_the_other(writer: TextGenerator) -> None:
    """The second as if the first were typed; each has its own tokens."""
    trace = Trace(writer, request(f"a = {FILL}\nb = {FILL}\nc\n", tokens=5))
    assert trace.started.total_steps == 10
    frames = [frame for frame in trace.advance(0, 10) if isinstance(frame, TextFrame)]
    (second,) = [at for at, frame in enumerate(frames) if frame.before]
    assert join_pieces(frames[second].before) == "\nb ="  # the model writes the space
    assert frames[0].text.startswith(" ")
    assert frames[second].text.startswith(" ")
    first = "".join(frame.text for frame in frames[:second])
    alone = Trace(writer, request(f"a ={first}\nb = {FILL}\nc\n", tokens=5))
    same = (frame for frame in alone.advance(0, 1) if isinstance(frame, TextFrame))
    assert next(same).entropy == frames[second].entropy
    assert remaining_suffix(trace.started.suffix, frames) == "\nc\n"
    assert remaining_suffix(trace.started.suffix, frames[:second]) == f"\nb = {FILL}\nc\n"
    assert list(Trace(writer, trace.request).advance(0, 10)) == frames
    assert list(trace.advance(second + 1, 9)) == frames[second + 1 :]
    assert read_layers(trace, second + 1).token in ("", frames[second].text)
    branch = trace.fork(1, second, WriteText("7"))
    written = [frame.text for frame in branch.advance(second, 1) if isinstance(frame, TextFrame)]
    assert written == ["7"]


@pytest.mark.parametrize(
    ("prompt", "reason"),
    [
        (f"a = {FILL}{FILL}", "two gaps <FILL> have no text between them"),
        (FILL, "there is no text before or after <FILL>"),
    ],
)
def test_a_gap_that_cannot_be_filled_is_one_line(
    writer: TextGenerator, prompt: str, reason: str
) -> None:
    with pytest.raises(MisuseError, match=reason):
        writer.begin(request(prompt))


def test_a_model_that_fills_no_gaps_says_so() -> None:
    tokenizer = CharTokenizer("\n abcdef<>FIL")
    model = random_network("transformer", tokenizer.size)
    writer = TextGenerator(model, tokenizer, Machine("cpu", "fp32", 1))
    with pytest.raises(MisuseError, match="not trained to fill <FILL>"):
        writer.begin(request(f"a {FILL}"))


@pytest.mark.parametrize(
    ("middle", "suffix", "may_end"),
    [
        ("y = x", "\n    return y\n", True),
        ("y = (x", "\n    return y\n", False),
        ("y = (x", " + 1)\n    return y", True),
        ("if x:", "\n    return y\n", False),
        ("y = x\n    return", " y + ", True),  # what is after it may be unfinished
        ("y = (x", "\n    return y y\n", True),  # no middle makes this Python
    ],
)
def test_a_middle_ends_where_the_whole_is_python(
    tokenizer: BPETokenizer, middle: str, suffix: str, may_end: bool
) -> None:
    prefix = "def f(x):\n    "
    before, ends = (prefix + middle).encode(), tokenizer.ends
    allowed = token_filter(before, tokenizer, ends, fits_before(suffix, prefix))
    assert [allowed(end) for end in ends] == [may_end]


def test_a_middle_that_would_break_the_program_goes_on(
    writer: TextGenerator, monkeypatch: pytest.MonkeyPatch
) -> None:
    end, read = writer.tokenizer.end, writer._read
    assert end is not None

    def hasty(*args: Any) -> np.ndarray:
        logits = read(*args)
        logits[end] += 50
        return logits

    monkeypatch.setattr(writer, "_read", hasty)
    for prompt, ends in ((f"a = b{FILL}\nprint(a)\n", True), (f"a = (b{FILL}\nprint(a)\n", False)):
        settings = TextSettings(tokens=4, grammar="python")
        (frame,) = Trace(writer, replace(request(prompt), settings=settings)).advance(0, 1)
        assert isinstance(frame, TextFrame)
        dropped = {one.token: one.dropped for one in frame.candidates}
        assert (frame.token == end) == ends
        assert dropped[end] == ("" if ends else "grammar")
