"""What is learned of chats, completions and texts, and lines that are wrong."""

import json
from pathlib import Path

import numpy as np
import pytest
from tiny_llama import TEMPLATE, write_tiny_llama

from genui.base.errors import MisuseError
from genui.engine.data.tokenizer import Tokenizer
from genui.kinds.open_text.data import IGNORED, Chat, Message, load_rows, pad, windows_of
from genui.kinds.open_text.gguf_network import load_tokenizer
from genui.kinds.open_text.task import Encoder


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    return load_tokenizer(write_tiny_llama(tmp_path_factory.mktemp("tiny") / "tiny.gguf"))


def spell(tokenizer: Tokenizer, ids: np.ndarray) -> str:
    return "".join(
        tokenizer.special.get(token) or tokenizer.decode([token]) for token in ids.tolist()
    )


def chat(*pairs: tuple[str, str]) -> Chat:
    return Chat(tuple(Message(role, content) for role, content in pairs))


def test_the_answers_are_learned_with_what_ends_them(tokenizer: Tokenizer) -> None:
    row = chat(
        ("system", "be Arr"),
        ("user", "What is <|im_end|>?"),
        ("assistant", "France"),
        ("user", "And?"),
        ("assistant", "Paris"),
        ("user", "never answered"),
    )
    learned = Encoder(tokenizer, 128).row(row)
    assert learned is not None
    targets = learned.targets[learned.targets != IGNORED]
    assert spell(tokenizer, targets) == "France<|im_end|>Paris<|im_end|>"
    whole = spell(tokenizer, np.append(learned.tokens, learned.targets[-1]))
    assert whole == (
        "<|im_start|>system\nbe Arr<|im_end|>\n<|im_start|>user\nWhat is <|im_end|>?<|im_end|>\n"
        "<|im_start|>assistant\nFrance<|im_end|>\n<|im_start|>user\nAnd?<|im_end|>\n"
        "<|im_start|>assistant\nParis<|im_end|>"
    )
    # What a user types is text, whatever it spells.
    end = next(token for token, name in tokenizer.special.items() if name == "<|im_end|>")
    assert (learned.tokens == end).sum() == 4


def test_rows_are_cut_to_the_context_and_left_out_without_an_answer(tokenizer: Tokenizer) -> None:
    row = chat(("user", "What is the capital of France?"), ("assistant", "Paris"))
    whole = Encoder(tokenizer, 128).row(row)
    assert whole is not None
    length = len(whole.tokens)
    cut = Encoder(tokenizer, length - 2).row(row)
    assert cut is not None
    assert len(cut.tokens) == length - 2
    assert Encoder(tokenizer, 8).row(row) is None


def test_a_batch_is_padded_and_a_text_is_cut_into_windows(tokenizer: Tokenizer) -> None:
    windows = windows_of(range(10), 4)
    assert [each.tokens.tolist() for each in windows] == [[0, 1, 2, 3], [4, 5, 6, 7], [8]]
    assert windows[2].targets.tolist() == [9]
    tokens, targets = pad(windows[1:])
    assert tokens.tolist() == [[4, 5, 6, 7], [8, 0, 0, 0]]
    assert targets.tolist() == [[5, 6, 7, 8], [9, *[IGNORED] * 3]]
    text = Encoder(tokenizer, 64).texts(["What", "is"])
    assert spell(tokenizer, text[0].targets).endswith("is<|im_end|>")


GOOD = {"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        ("{", "Input data was truncated"),
        ('{"text": "x"}', "missing required field 'messages'"),
        ('{"messages": []}', "length >= 1"),
        ('{"messages": [{"role": "user", "content": 3}]}', "Expected 'str', got 'int'"),
        ('{"messages": [{"role": "pirate", "content": "x"}]}', "role 'pirate'; known are system"),
        ('{"messages": [{"role": "user", "content": "x"}]}', "no message of the assistant"),
    ],
)
def test_a_line_that_is_wrong_is_named_by_its_number(bad: str, says: str, tmp_path: Path) -> None:
    file = tmp_path / "mine.jsonl"
    file.write_text(f"{json.dumps(GOOD)}\n\n{bad}\n{json.dumps(GOOD)}\n")
    with pytest.raises(MisuseError) as caught:
        load_rows("", str(file))
    assert f"{file}, line 3: " in str(caught.value)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_rows_of_one_kind_are_held_out_evenly(tmp_path: Path) -> None:
    file = tmp_path / "mine.jsonl"
    pairs = [{"prompt": f"{n}", "completion": "x", "more": 1} for n in range(25)]
    file.write_text("".join(json.dumps(pair) + "\n" for pair in pairs))
    rows = load_rows("", str(file))
    assert [row.line for row in rows.validation if not isinstance(row, str)] == [10, 20]
    assert len(rows.train) == 23
    assert "23 prompts with completions to train on, 2 held out" in rows.describe()
    file.write_text(f"{json.dumps(pairs[0])}\n{json.dumps(GOOD)}\n")
    with pytest.raises(MisuseError, match=r"line 2: .*as in the first line"):
        load_rows("", str(file))


def test_separators_that_json_allows_do_not_end_a_line(tmp_path: Path) -> None:
    file = tmp_path / "mine.jsonl"
    text = "a\u2028b\u2029c\x85d"
    pairs = [{"prompt": text, "completion": str(n)} for n in range(2)]
    lines = [json.dumps(pair, ensure_ascii=False) for pair in pairs]
    file.write_text("\r\n".join(lines), "utf-8")
    rows = load_rows("", str(file))
    assert [row.prompt for row in (*rows.train, *rows.validation)] == [text, text]  # type: ignore[union-attr]


def test_a_chat_that_the_template_refuses_is_named_before_training(tmp_path: Path) -> None:
    strict = (
        "{% if messages[0].role == 'system' %}{{ raise_exception('no system') }}{% endif %}"
        + TEMPLATE
    )
    encoders = [
        Encoder(load_tokenizer(write_tiny_llama(tmp_path / f"{i}.gguf", template=each)), 64)
        for i, each in enumerate((strict, ""))
    ]
    rows = [chat(("user", "a"), ("assistant", "b")), chat(("system", "s"), ("assistant", "b"))]
    with pytest.raises(MisuseError, match=r"mine.jsonl, line 0: .*no system"):
        encoders[0].check(rows, "mine.jsonl")
    with pytest.raises(MisuseError, match="no chat template"):
        encoders[1].check(rows, "mine.jsonl")


def test_there_must_be_data(tmp_path: Path) -> None:
    with pytest.raises(MisuseError, match="name a file as data"):
        load_rows("", "")
    file = tmp_path / "one.jsonl"
    file.write_text(json.dumps(GOOD))
    with pytest.raises(MisuseError, match="at least 2 are needed"):
        load_rows("", str(file))
