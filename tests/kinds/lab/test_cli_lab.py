"""`genui lab`: a training told line by line, and files that replay it."""

import json
from pathlib import Path

import pytest

from genui.cli.main import main
from genui.formats.codec import read

SMALL = ("--steps", "8", "--every", "4", "--width", "8", "--batch", "16", "--seed", "5")


def lab(*words: str) -> int:
    return main(["lab", *words, *SMALL])


def test_a_line_of_json_a_look(capsys: pytest.CaptureFixture[str]) -> None:
    assert lab("two-moons", "--family", "gan", "--json") == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["step"] for line in lines] == [0, 4, 8]
    assert lines[-1]["discriminator"] > 0
    assert lines[-1]["pairs right"] * 16 in range(17)  # of a batch of 16
    assert 0 < lines[-1]["divergence"] <= 1


def test_words_for_a_person(capsys: pytest.CaptureFixture[str]) -> None:
    assert lab("spirals", "--family", "autoregressive") == 0
    told = capsys.readouterr()
    assert "bits of divergence" in told.out
    assert "divergence of samples from the true density: 0.0" in told.err


@pytest.mark.parametrize(
    ("name", "family"),
    [("lab.gif", "flow"), ("lab.png", "classifier"), ("lab.apng", "diffusion"), ("s.csv", "gan")],
)
def test_a_file_replays(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, family: str
) -> None:
    file = tmp_path / name
    assert lab("two-moons", "--family", family, "--out", str(file)) == 0
    assert read(file).recipe.model == f"lab:{family}"
    assert main(["replay", str(file)]) == 0
    assert "identical" in capsys.readouterr().out
    for model in (str(file), f"lab:{family}"):
        assert main(["generate", model]) == 2
        said = f"lab:{family} learns points in the plane; use genui lab or genui replay FILE\n"
        assert capsys.readouterr().err == f"genui: {model}: {said}"


@pytest.mark.parametrize("name", ["mine.csv", "points.txt"])
def test_samples_are_in_the_coordinates_of_the_points(
    name: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    mine, out = tmp_path / name, tmp_path / "out.csv"
    mine.write_text("x,y\n1000,2000\n1100,2100\n1050,2020\n")
    assert lab(name, "--out", str(out)) == 0
    rows = [line for line in out.read_text().splitlines()[1:] if not line.startswith("#")]
    across = [float(row.split(",")[0]) for row in rows]
    assert 900 < min(across) < max(across) < 1200
    assert main(["replay", str(out)]) == 0
    out.write_text(out.read_text().replace(rows[0], "1,1", 1))
    assert main(["replay", str(out)]) == 1
    assert "differs from line 2 on" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("two-mons",), "did you mean 'two-moons'"),
        (("two-moons", "--family", "gun"), "--family gun: one of gan, diffusion"),
        (("two-moons", "--width", "wide"), "--width wide:"),
        (("two-moons", "--learning-rate", "2"), "--learning-rate 2:"),
        (("two-moons", "--out", "lab.wav"), "change the suffix"),
        (("none.csv",), "none.csv: cannot be read (no such file or directory); give a CSV of 2 to"),
        (
            ("two-moons", "--family", "classifier", "--out", "c.csv"),
            "is written as .gif, .apng or .png",
        ),
    ],
)
def test_what_cannot_be_asked_is_one_line(
    words: tuple[str, ...],
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["lab", *SMALL, *words]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert not [path for path in tmp_path.iterdir() if path.name != "home"]
