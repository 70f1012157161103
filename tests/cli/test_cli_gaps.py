"""`genui generate` with a gap in the prompt: printed, written, replayed and refused."""

import json
import re
from pathlib import Path

import pytest
from tiny_models import write_coder

from genui.cli.main import main
from genui.protocol import kinds

PREFIX, SUFFIX = "def area(r):\n    return ", " * r ** 2\n"
GENERATE = ["generate", "coder", "--seed", "3", "--tokens", "8", "--prompt"]
FILL = [*GENERATE, f"{PREFIX}<FILL>{SUFFIX}"]


@pytest.fixture(autouse=True)
def _coder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_coder(tmp_path / "weights")
    monkeypatch.setattr(kinds, "weights_folders", lambda: [tmp_path / "weights"])


def test_the_middle_is_printed_between_what_stands_around_it(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(FILL) == 0
    out = capsys.readouterr().out
    assert out.startswith(PREFIX)
    assert out.endswith(SUFFIX)
    assert len(out) > len(PREFIX + SUFFIX)


@pytest.mark.parametrize("name", ["x.txt", "x.cast", "x.trace"])
def test_a_filled_gap_is_saved_and_replays_as_identical(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / name
    assert main([*FILL, "--trace" if name == "x.trace" else "--out", str(path)]) == 0
    if name == "x.txt":
        text = path.read_text()
        assert text.startswith(PREFIX)
        assert SUFFIX + "\n" in text
    capsys.readouterr()
    assert main(["replay", str(path)]) == 0
    assert capsys.readouterr().out == "identical\n"


def test_a_script_gets_the_text_put_together(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*FILL, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["text"].startswith(PREFIX)
    assert found["text"].endswith(SUFFIX)
    assert found["prompt"] == f"{PREFIX}<FILL>{SUFFIX}"


@pytest.mark.parametrize("name", ["x.txt", "x.cast", "x.trace"])
def test_several_gaps_are_filled_and_replay(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / name
    two = [*GENERATE, "a = <FILL>\nb = <FILL>\nprint(a)\n"]
    assert main(two) == 0
    out = capsys.readouterr().out
    assert re.fullmatch(r"a = .*\nb = .*\nprint\(a\)\n", out, re.DOTALL)
    assert "<FILL>" not in out
    assert main([*two, "--trace" if name == "x.trace" else "--out", str(path)]) == 0
    if name == "x.txt":
        assert path.read_text().startswith(out)
    capsys.readouterr()
    assert main(["replay", str(path)]) == 0
    assert capsys.readouterr().out == "identical\n"


@pytest.mark.parametrize(
    ("prompt", "reason"),
    [
        ("a <FILL><FILL> b", "two gaps <FILL> have no text between them; make them one"),
        ("<FILL>", "there is no text before or after <FILL>; write what is there"),
    ],
)
def test_a_gap_that_cannot_be_filled_is_one_line(
    prompt: str, reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*GENERATE, prompt]) == 2
    err = capsys.readouterr().err
    assert reason in err
    assert err.count("\n") == 1
