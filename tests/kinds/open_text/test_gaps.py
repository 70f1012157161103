"""Gaps filled by code models of others: the layouts of their prompts, and generation."""

import json
from pathlib import Path
from typing import Any

import pytest
from gguf_files import write_gguf
from hf_tokenizers import byte_level_tokenizer
from tokenizers import AddedToken

from genui.base.errors import MisuseError
from genui.engine.load import load_open
from genui.engine.sample.text import TextGenerator, encode_gap
from genui.engine.sample.trace import Trace
from genui.kinds.open_text.gaps import GAP_MARKS, GapMarks
from genui.kinds.open_text.gguf import read_gguf
from genui.kinds.open_text.tokenizer import (
    PretrainedTokenizer,
    serialise,
    tokenizer_from_file,
    tokenizer_from_gguf,
)
from genui.protocol import FILL, SetSeed, Start, TextFrame, TextSettings, WriteText, WriteToken

QWEN = GAP_MARKS["Qwen-Coder, CodeGemma"]
FAMILIES = pytest.mark.parametrize("row", GAP_MARKS.values(), ids=GAP_MARKS)


def names(row: GapMarks) -> list[str]:
    return [*row[:3], *row.ends]


def of_file(row: GapMarks, special: bool = False) -> PretrainedTokenizer:
    """A tokenizer.json with the marks of a family, as plain tokens unless they are `special`."""
    tokenizer = byte_level_tokenizer()
    tokenizer.add_tokens([AddedToken(name, normalized=False) for name in names(row)])
    described = json.loads(tokenizer.to_str())
    for entry in described["added_tokens"]:
        entry["special"] = special or entry["special"]
    return tokenizer_from_file(json.dumps(described), "")


def spell(tokenizer: PretrainedTokenizer, tokens: list[int]) -> str:
    return "".join(tokenizer.special.get(t) or tokenizer.decode([t]) for t in tokens)


@FAMILIES
@pytest.mark.parametrize("special", [False, True])
def test_each_family_reads_a_gap_in_its_own_layout(row: GapMarks, special: bool) -> None:
    tokenizer = of_file(row, special)
    tokens, left_out = encode_gap("a = ", "\nb", tokenizer, 128, 8)
    begin, *marks_and_text = spell(tokenizer, tokens).partition(row.prefix)
    assert begin == "<|begin|>"
    assert "".join(marks_and_text) == f"{row.prefix}a = {row.suffix}\nb{row.middle}"
    assert left_out == 0
    assert tokenizer.gap is not None
    assert {tokenizer.special[t] for t in tokenizer.gap.ends} == set(row.ends)


@FAMILIES
def test_marks_that_are_typed_are_text(row: GapMarks) -> None:
    tokenizer = of_file(row)
    for name in names(row):
        assert tokenizer.special.keys().isdisjoint(tokenizer.encode(f"a{name}b"))
        assert tokenizer.decode(tokenizer.encode(name)) == name
    tokens, _ = encode_gap(row.suffix, row.middle, tokenizer, 128, 8)
    assert [t for t in tokens if t in tokenizer.special][1:] == tokenizer.gap.marks  # type: ignore[union-attr]


def test_a_gguf_file_may_name_its_marks(tmp_path: Path) -> None:
    write_gguf(tmp_path / "tiny.gguf", marks=("[A]", "[B]", "[C]", "[D]"))
    metadata = read_gguf(tmp_path / "tiny.gguf").metadata
    assert tokenizer_from_gguf(metadata).gap is None
    first = metadata["tokenizer.ggml.tokens"].index("[A]")
    fields = {
        f"tokenizer.ggml.{name}_token_id": first + at
        for at, name in enumerate(("fim_pre", "fim_suf", "fim_mid", "fim_sep"))
    }
    tokenizer = tokenizer_from_gguf(metadata | fields)
    assert spell(tokenizer, encode_gap("h", "e", tokenizer, 99, 8)[0]) == "[A]h[B]e[C]"
    assert tokenizer.gap is not None
    assert tokenizer.gap.ends == {first + 3}
    again = tokenizer_from_file(serialise(tokenizer).to_str(), "")
    assert again.special.keys().isdisjoint(again.encode("[A]"))
    wrong = fields | {"tokenizer.ggml.fim_mid_token_id": 1 << 40}
    assert tokenizer_from_gguf(metadata | wrong).gap is None


def test_sentencepiece_puts_no_space_after_a_gap(tmp_path: Path) -> None:
    row = GAP_MARKS["CodeLlama"]
    write_gguf(tmp_path / "tiny.gguf", tokenizer="llama", marks=names(row))
    tokenizer = tokenizer_from_gguf(read_gguf(tmp_path / "tiny.gguf").metadata)
    tokens, _ = encode_gap("hello", "hell", tokenizer, 128, 8)
    assert spell(tokenizer, tokens) == "<s>▁<PRE> hello▁<SUF>hell▁<MID>"


# --- generation -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def writer(tmp_path_factory: pytest.TempPathFactory) -> TextGenerator:
    path = tmp_path_factory.mktemp("gguf") / "coder.gguf"
    write_gguf(path, marks=names(QWEN))
    generator = load_open(path, "gguf")
    assert isinstance(generator, TextGenerator)
    return generator


def request(prompt: str, **settings: Any) -> Start:
    return Start(trace=0, model="", prompt=prompt, seed=3, settings=TextSettings(**settings))


def token_of(writer: TextGenerator, name: str) -> int:
    return next(t for t, known in writer.tokenizer.special.items() if known == name)


def test_the_middle_stands_between_prefix_and_suffix(writer: TextGenerator) -> None:
    trace = Trace(writer, request(f"he {FILL}ll", tokens=8))
    assert (trace.started.prompt, trace.started.suffix) == ("he ", "ll")
    frames = list(trace.advance(0, 8))
    assert list(Trace(writer, trace.request).advance(0, 8)) == frames
    assert list(trace.advance(3, 5)) == frames[3:]
    branch = trace.fork(1, 2, SetSeed(9))
    assert [f.content for f in branch.advance(0, 2)] == [f.content for f in frames[:2]]


@pytest.mark.parametrize("name", ["<|file_sep|>", "<|fim_pad|>", "<|endoftext|>"])
def test_an_end_of_its_layout_ends_the_middle_only(writer: TextGenerator, name: str) -> None:
    token = token_of(writer, name)
    trace = Trace(writer, request(f"he{FILL}ll", tokens=8))
    list(trace.advance(0, 2))
    frames = list(trace.fork(1, 2, WriteToken(token)).advance(2, 8))
    assert [frame.text for frame in frames] == [""]
    text = Trace(writer, request("hell", tokens=8))
    list(text.advance(0, 2))
    rest = list(text.fork(1, 2, WriteToken(token)).advance(2, 8))
    assert (len(rest) > 1) == (name != "<|endoftext|>")


def test_the_marks_are_never_written(writer: TextGenerator) -> None:
    wild = request(f"he{FILL}ll", temperature=10, top_p=1, tokens=60)
    trace = Trace(writer, wild)
    list(trace.advance(0, 1))
    written = trace.fork(1, 1, WriteText("<|fim_middle|>"))
    for frame in (*trace.advance(0, 60), *written.advance(1, 16)):
        assert isinstance(frame, TextFrame)
        assert frame.special not in QWEN[:3]


def test_a_model_without_marks_says_so(tmp_path: Path) -> None:
    write_gguf(tmp_path / "plain.gguf")
    generator = load_open(tmp_path / "plain.gguf", "gguf")
    with pytest.raises(MisuseError, match="not trained to fill <FILL>"):
        Trace(generator, request(f"he{FILL}"))  # type: ignore[arg-type]
