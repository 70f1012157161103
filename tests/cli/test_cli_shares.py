"""`genui probes --probe`: questions that are answered with shares."""

import json
from pathlib import Path

import pytest

from genui.base.watermarks import keys_file
from genui.cli.main import main
from genui.engine.metrics import marks, real, shares


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Short texts and few real images, so that each test takes a moment."""
    monkeypatch.setattr(real, "PASSAGE", 24)
    monkeypatch.setattr(shares, "NAME_TOKENS", 6)
    monkeypatch.setattr(marks, "TOKENS", 80)
    monkeypatch.setattr(shares, "MOST_REAL", 500)


def test_speakers_are_counted_in_the_data_and_in_samples(
    tiny: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["probes", "plays", "--probe", "shares", "-n", "20", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["columns"] == ["data", "temperature 1", "temperature 0.7", "top-p 0.8"]
    assert found["rows"][0]["label"] == "GLOUCESTER"  # he speaks most often
    assert found["rows"][-1]["label"] == "others"
    sums = [sum(row["shares"][at]["hits"] for row in found["rows"]) for at in range(4)]
    assert sums == [row["of"] for row in found["rows"][0]["shares"]]
    assert sums[1:] == [20, 20, 20]
    assert main(["probes", "plays", "--probe", "shares", "-n", "20"]) == 0
    shown = capsys.readouterr()
    assert "GLOUCESTER" in shown.out
    assert "▲ more, ▼ less than the data" in shown.err


def test_the_ground_is_counted_of_images_whose_colours_are_random(
    tiny: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["probes", "shapes", "--probe", "shares", "-n", "20", "--lines"]) == 0
    *progress, last = map(json.loads, capsys.readouterr().out.splitlines())
    assert progress[0] == {"progress": "shapes, guidance 0: 0/20 samples"}
    table = last["shares"]
    assert table["columns"] == ["data", "guidance 0", "guidance 1", "guidance 4"]
    data = [row["shares"][0] for row in table["rows"]]
    assert len(data) == 10
    assert all(0.04 < share["hits"] / share["of"] < 0.16 for share in data)  # ten colours, even


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["plays", "shapes"], "shapes: one model too many for --probe shares"),
        (["plays", "-n", "3"], "-n 3: expected a whole number, 5 to 10,000"),
        (["nothing"], "no model 'nothing'"),
    ],
)
def test_what_cannot_be_counted_is_refused(
    words: list[str], line: str, tiny: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["probes", *words, "--probe", "shares"]) == 2
    assert line in capsys.readouterr().err


def test_what_a_judge_finds_begins_with_its_false_alarms(
    tiny: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["probes", "plays", "--probe", "real", "-n", "20", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [row["label"] for row in found["rows"]] == [
        "real, held out",
        "real, trained on",
        *(f"plays, {title}" for title in ("temperature 1", "temperature 0.7", "top-p 0.8")),
        *(f"plays, temperature 0.7, {share} edited" for share in ("1%", "5%")),
    ]
    assert all(row["shares"][0]["of"] == 20 for row in found["rows"])
    assert found["notes"][0].startswith("what is found of real examples are false alarms: 5%")


def test_a_watermark_is_found_as_written_and_less_after_edits(
    tiny: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["probes", "plays", "--probe", "marks", "-n", "5"]) == 2
    assert "no watermark key 'mine'" in capsys.readouterr().err
    keys_file().parent.mkdir(parents=True, exist_ok=True)
    keys_file().write_text(f'mine = "{7:016x}"\n')  # one key: by chance 80 tokens carry too little
    assert main(["probes", "plays", "plays", "--probe", "marks", "-n", "5", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    hits = {row["label"]: [share["hits"] for share in row["shares"]] for row in found["rows"]}
    assert list(hits) == ["as written", "10% edited", "30% edited", "half by plays"]
    assert hits["as written"] == [0, 5, 5]
    assert sum(hits["30% edited"]) < 10
    assert "bits a token under the model" in found["notes"][0]
    assert main(["probes", "shapes", "plays", "--probe", "marks", "-n", "5"]) == 2
    assert "shapes: name a model of images, or one of text and one that" in capsys.readouterr().err
