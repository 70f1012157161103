"""`genui compare`, and what `genui generate` tells of every step."""

import json
from pathlib import Path

import pytest

from genui.cli.main import main

pytestmark = pytest.mark.usefixtures("tiny")

TEXT = ["plays", "--prompt", "to be", "--seed", "3", "--tokens", "8"]
IMAGE = ["shapes", "--prompt", "cat", "--seed", "3", "--steps", "3"]


def told(words: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    capsys.readouterr()
    assert main(words) == 0
    return capsys.readouterr().out


def test_a_fork_parts_from_what_it_grew_from_where_it_was_forked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole, fork = tmp_path / "whole.txt", tmp_path / "fork.txt"
    assert main(["generate", *TEXT, "--out", str(whole)]) == 0
    assert main(["generate", str(whole), "--fork", "5:text=zzz", "--out", str(fork)]) == 0
    facts = json.loads(told(["compare", str(whole), str(fork), "--json"], capsys))
    assert facts["part_at"] == 6
    assert facts["steps"] == [8, 8]
    assert fork.read_text().startswith(facts["texts"][1])
    assert facts["texts"][1].endswith("zzz")
    line = told(["compare", str(whole), str(fork)], capsys).splitlines()[-1]
    assert line.startswith("they differ from step 6 on: ‘")
    assert line.endswith(" and ‘z’")


def test_two_models_begin_from_the_same_seed(capsys: pytest.CaptureFixture[str]) -> None:
    out = told(["compare", "plays", "plays", "--prompt", "to be", "--tokens", "6"], capsys)
    assert out.splitlines()[-1] == "identical, 6 steps"


def test_images_say_how_far_apart_they_come(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "x.png"
    assert main(["generate", *IMAGE, "--fork", "1:seed=9", "--out", str(path)]) == 0
    assert main(["generate", *IMAGE, "--fork", "1:guidance=9", "--out", str(path)]) == 0
    plain = tmp_path / "y.png"
    assert main(["generate", *IMAGE, "--out", str(plain)]) == 0
    facts = json.loads(told(["compare", str(plain), str(path), "--json"], capsys))
    assert facts["part_at"] == 2
    assert 0 < facts["differing_pixels"] <= 1
    last = told(["compare", str(plain), str(path)], capsys).splitlines()[-1]
    assert last.startswith("they differ from step 2 on; in the end ")


def test_text_and_images_cannot_be_compared(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", "plays", "shapes", "--prompt", "cat"]) == 2
    assert "plays makes text and shapes an image" in capsys.readouterr().err


def test_every_step_of_a_text_is_a_line_with_its_candidates(
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = told(["generate", *TEXT, "--top-k", "3", "--every-step"], capsys)
    steps = [json.loads(line) for line in out.splitlines()]
    assert [step["step"] for step in steps] == list(range(1, 9))
    for step in steps:
        assert step["low"] <= step["u"] < step["high"]
        assert step["kept"] <= 3
        assert {c["dropped"] for c in step["candidates"]} <= {"", "top-k", "top-p"}


def test_every_step_of_an_image_has_its_noise_level(capsys: pytest.CaptureFixture[str]) -> None:
    out = told(["generate", *IMAGE, "--every-step"], capsys)
    sigmas = [json.loads(line)["sigma"] for line in out.splitlines()]
    assert sigmas == sorted(sigmas, reverse=True)
    assert len(sigmas) == 4
    assert sigmas[-1] == 0


def test_attention_is_told_of_every_head(capsys: pytest.CaptureFixture[str]) -> None:
    out = told(["generate", *TEXT, "--attention", "4", "--json"], capsys)
    facts = json.loads(out)
    assert facts["step"] == 4
    for layer in facts["weights"]:
        for head in layer:
            assert len(head) == len(facts["tokens"])
            assert sum(head) == pytest.approx(1, abs=0.01)
    table = told(["generate", *TEXT, "--attention", "4"], capsys)
    assert table.startswith("token")
    assert " %" in table


def test_layers_are_told_of_one_token(capsys: pytest.CaptureFixture[str]) -> None:
    facts = json.loads(told(["generate", *TEXT, "--layers", "4", "--json"], capsys))
    assert (facts["step"], len(facts["layers"]), len(facts["heads"])) == (4, 2, 1)
    parts = sum(facts["heads"][0]) + facts["feed_forward"][0] + facts["rest"]
    assert parts == pytest.approx(facts["difference"], abs=1e-4)
    table = told(["generate", *TEXT, "--layers", "4"], capsys)
    for heading in ("layer", "entropy", "layer 1 head 2", "1.ff", "input and edits"):
        assert heading in table
    without = ["--fork", "2:ablate=1.ff"]
    facts = json.loads(told(["generate", *TEXT, *without, "--layers", "4", "--json"], capsys))
    assert facts["feed_forward"] == [0.0]
    over = told(["generate", *TEXT, "--layers", "4", "--over", "mean"], capsys)
    assert "− mean of all" in over


@pytest.mark.parametrize(
    ("words", "fault"),
    [
        ([*TEXT, "--layers", "99"], "step 99: this trace has tokens 1 to 8"),
        ([*TEXT, "--layers", "0"], "--layers 0: give the step of a token"),
        ([*IMAGE, "--layers", "1"], "layers are of models that write tokens"),
        ([*TEXT, "--attention", "99"], "step 99: this trace has tokens 1 to 8"),
        ([*TEXT, "--attention", "x"], "--attention x: give the step of a token"),
        ([*IMAGE, "--attention", "1"], "attention is of models that write tokens"),
    ],
)
def test_a_look_inside_that_cannot_be_is_one_line(
    words: list[str], fault: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["generate", *words]) in (1, 2)
    out, err = capsys.readouterr()
    assert fault in err
    assert out == ""
