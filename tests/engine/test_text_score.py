"""The score of a given text: the probabilities with which the same model would have written it."""

import json
from pathlib import Path

import numpy as np
import pytest

from genui.base.errors import MisuseError
from genui.cli.main import main
from genui.engine.metrics import score
from genui.engine.metrics.score import Score, score_text
from genui.engine.sample.text import TextGenerator
from genui.formats.text import RECIPE_LINE
from genui.protocol import Start, TextSettings, WriteText

TEXT = "the quick brown fox\njumps over the lazy dog"


@pytest.fixture
def generator(text_generator: TextGenerator, monkeypatch: pytest.MonkeyPatch) -> TextGenerator:
    monkeypatch.setattr(score, "find_and_load", lambda ref: text_generator)
    return text_generator


def measure(text: str) -> Score:
    return score_text("model", text, lambda done, of: None)


def written_nats(generator: TextGenerator, text: str) -> list[float]:
    """The surprise of each token when the text is written by hand in the app."""
    start = Start(trace=0, model="", prompt="", seed=0, settings=TextSettings(tokens=1))
    state = generator.edit(generator.begin(start)[0], WriteText(text))
    nats = []
    while not generator.finished(state):
        state, frame = generator.step(state)
        assert frame.forced
        nats.append(frame.surprisal * np.log(2))
    return nats


def test_each_token_is_as_surprising_as_when_it_is_written_by_hand(
    generator: TextGenerator,
) -> None:
    text = TEXT[: generator.model.context - 1]
    found = measure(text)
    assert "".join(found.texts) == text
    assert found.nats == pytest.approx(written_nats(generator, text), abs=2e-3)


def test_a_long_text_is_read_in_windows_that_begin_alike(generator: TextGenerator) -> None:
    context = generator.model.context
    text = (TEXT * (1 + 5 * context // len(TEXT)))[: 5 * context]
    seen: list[tuple[int, int]] = []
    found = score_text("model", text, lambda done, of: seen.append((done, of)))
    assert len(found.nats) == len(found.token_ids) == len(text)
    assert np.isfinite(found.nats).all()
    assert len(seen) == 9  # the first window whole, then half windows
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    shorter = measure(text[:context])
    assert found.nats[:context] == pytest.approx(shorter.nats, abs=1e-3)
    # What is far in the past does not count.
    other = measure("z" * context + text[context:])
    assert other.nats[2 * context :] == pytest.approx(found.nats[2 * context :], abs=1e-3)


def test_characters_that_the_model_does_not_know_are_named(generator: TextGenerator) -> None:
    found = measure("a€b")
    assert (found.texts, found.characters, found.left_out) == (["a", "b"], 2, "€")
    with pytest.raises(MisuseError, match="knows no character"):
        measure("€")


def test_the_shell_says_the_sums_and_each_token(
    generator: TextGenerator, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "text.txt"
    path.write_text(TEXT)
    assert main(["score", "model", str(path), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [token["text"] for token in found["tokens"]] == list(TEXT)
    assert found["nats"] == pytest.approx(sum(token["nats"] for token in found["tokens"]))
    assert found["bits"] == pytest.approx(found["nats"] / np.log(2))
    assert found["bits_per_character"] == pytest.approx(found["bits"] / len(TEXT))
    assert main(["score", "model", str(path), "--tokens"]) == 0
    out = capsys.readouterr().out.splitlines()
    assert out[0].split() == ["text", "43", "tokens,", "43", "characters"]
    assert len(out) == 4 + 2 + 43
    assert main(["score", "model", str(path)]) == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines()[6:]]
    assert len(rows) == 20
    bits = [float(row[-1].replace(",", "")) for row in rows]
    assert bits == sorted(bits, reverse=True)


def test_a_file_that_genui_wrote_is_scored_without_its_recipe(
    generator: TextGenerator, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "text.txt"
    path.write_bytes(f"\ufeff{TEXT}\n{RECIPE_LINE}{{}}\n".encode())
    assert main(["score", "model", str(path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["characters"] == len(TEXT)


def test_what_cannot_be_scored_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "text.txt"
    path.write_text("")
    utf16 = tmp_path / "utf16.txt"
    utf16.write_text(TEXT, encoding="utf-16")
    for words, code, why in [
        (["icons", str(path)], 2, "is empty"),
        (["icons", str(tmp_path)], 1, "is a folder"),
        (["icons", __file__], 2, "gives no probability of the next token"),
        (["shakespeare", str(utf16)], 2, "is not UTF-8 text (byte 0)"),
    ]:
        assert main(["score", *words]) == code
        line = capsys.readouterr().err
        assert why in line
        assert len(line.splitlines()) == 1
