"""`genui report`: one HTML file without scripts and addresses, whatever the names in the run."""

import dataclasses
import re
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sweep_world import install

import genui
from genui.cli.main import main
from genui.recipes import find_recipe
from genui.render.svg import draw_curves
from genui.runs import sweep
from genui.runs.layout import RunDir, create_run
from genui.runs.writer import RunWriter

HOSTILE = "</pre></svg><script>alert(1)</script><img src=x onerror=y>\"'&amp;"


class Page(HTMLParser):
    """The elements of a document, its attributes and its texts."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.values: list[tuple[str, str]] = []
        self.texts: list[str] = []
        self.feed(path.read_text())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.values += [(name, value or "") for name, value in attrs]

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    @property
    def text(self) -> str:
        return "".join(self.texts)


def check_safe(page: Page) -> None:
    """Nothing in it runs or is fetched."""
    assert set(page.tags) <= {
        *("html", "head", "meta", "title", "style", "body", "h1", "h2", "h3", "p", "small"),
        *("table", "tr", "th", "td", "ul", "li", "pre", "img", "svg", "path", "rect", "text"),
    }
    assert not [name for name, _ in page.values if name.startswith("on") or name == "href"]
    sources = [value for name, value in page.values if name == "src"]
    assert all(source.startswith("data:image/png;base64,") for source in sources)
    policy = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
    assert ("content", policy) in page.values
    addresses = [value for name, value in page.values if name != "src" and "//" in value]
    assert addresses == []


@pytest.fixture
def hostile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The id of a script's run with hostile texts, and places, everywhere."""
    monkeypatch.setattr("socket.gethostname", lambda: "secret-node")
    config = {
        "lr": 1e-3,
        HOSTILE: HOSTILE,
        "data_dir": "secret data",
        "notes": "in /home/secret/x, secret@example.org, https://secret.org/x, a/secret.txt",
        "job": "on secret-node",
        "base": "meta-llama/Llama-3",
    }
    run = genui.init(name=HOSTILE, project=HOSTILE, config=config, reinit="create_new")
    for step in range(1500):
        run.log({"loss": 1.0 + 1 / (1 + step), f"val_loss{HOSTILE}": float("nan") if step else 1})
    run.log({"sample": genui.Image(np.zeros((8, 8, 3), np.uint8), caption=HOSTILE)}, step=1500)
    run.log({"said": genui.Text(f"{HOSTILE} /tmp/secret/a")}, step=1500)
    run.finish()
    monkeypatch.chdir(tmp_path)
    return run.id


def test_a_run_is_one_safe_file_without_places(
    hostile: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["report", hostile, "--out", "a.html"]) == 0
    assert capsys.readouterr().out.startswith("a.html  ")
    page = Page(tmp_path / "a.html")
    check_safe(page)
    assert page.text.count(HOSTILE) >= 4  # the name, a setting, a metric, a sample
    assert "meta-llama/Llama-3" in page.text
    assert "secret" not in (tmp_path / "a.html").read_text()
    assert page.tags.count("svg") == 2
    assert page.tags.count("img") == 1
    assert (tmp_path / "a.html").stat().st_size < 100_000

    assert main(["report", hostile, "--out", "a.html"]) == 2
    assert "--force" in capsys.readouterr().err
    assert main(["report", hostile, "--out", "a.html", "--force", "--paths"]) == 0
    page = Page(tmp_path / "a.html")
    check_safe(page)
    assert "/home/secret/x" in page.text
    assert "secret-node" in page.text


def test_why_a_run_failed_is_in_its_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run: RunDir = create_run(find_recipe("shakespeare"), {}, "plays")
    with RunWriter(run) as writer:
        writer.log(1, loss=2.5)
        writer.update(state="failed", error="the loss is NaN at step 1")
    run.sample(1, ".txt").write_text("KING <i>RICHARD</i>")
    monkeypatch.chdir(tmp_path)
    assert main(["report", "plays"]) == 0
    page = Page(tmp_path / f"{run.id}.html")
    check_safe(page)
    assert "the loss is NaN at step 1" in page.text
    assert "KING <i>RICHARD</i>" in page.text


def test_a_sweep_has_its_table_and_its_best_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    world = install(monkeypatch, lambda recipe: [recipe["width"] / 100, recipe["width"] / 200])
    lists = {"width": ["128", "64"]}
    trials, recipe = sweep.combinations(lists), dataclasses.asdict(find_recipe("shakespeare"))
    folder = sweep.create(
        sweep.Sweep(name="wide", recipe=recipe, lists=lists, points=2, trials=trials)
    )
    assert main(["report", "wide"]) == 2
    assert "sweep 'wide' has no trials" in capsys.readouterr().err
    world.carry_out(folder)
    monkeypatch.chdir(tmp_path)
    assert main(["report", "wide"]) == 0
    page = Page(tmp_path / "wide.html")
    check_safe(page)
    assert page.tags.count("svg") >= 2
    assert (
        page.text.count("wide.2") > page.text.count("wide.1") > 0
    )  # the best has a part of its own
    assert "finished" in page.text
    assert main(["rename", "wide.1", "wide"]) == 0
    assert main(["report", "wide"]) == 0  # a run has precedence, as for stop and resume
    assert len([*tmp_path.glob("wide.1-*.html")]) == 1


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["none-such"], "none-such"),
        (["last", "--out", "x.pdf"], "a report is written as .html or .htm"),
        (["last", "--out", "~nobody-here/x.html"], "create it first"),
    ],
)
def test_a_report_that_cannot_be_written_is_one_line(
    words: list[str], why: str, hostile: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["report", *words]) == 2
    assert why in (line := capsys.readouterr().err)
    assert len(line.splitlines()) == 1


VALUES = st.lists(st.floats(width=64), max_size=20)


@given(st.dictionaries(st.text(max_size=8), VALUES, max_size=3), st.integers(0, 2**40))
def test_curves_are_a_well_formed_drawing_whatever_the_values(
    named: dict[str, list[float]], start: int
) -> None:
    names = [re.sub(r"[^\w<>&\"' ]", "", name) for name in named]
    series = {
        name: (start + np.arange(len(values)), np.array(values, np.float64))
        for name, values in zip(names, named.values(), strict=True)
    }
    drawing = draw_curves(series)
    drawn = {name for name, (_, values) in series.items() if np.isfinite(values).any()}
    assert bool(drawing) == bool(drawn)
    if drawing:
        texts = [one.text or "" for one in ElementTree.fromstring(drawing).iter("text")]
        assert all(any(text.startswith(name) for text in texts) for name in drawn)
        assert "nan" not in drawing.lower() or "nan" in "".join(names).lower()


def test_a_long_curve_is_thinned_and_keeps_its_spikes() -> None:
    values = np.ones(100_000)
    values[50_001] = 9.0
    drawing = draw_curves({"loss": (np.arange(100_000), values)})
    assert len(drawing) < 20_000
    assert "8." in drawing.partition('stroke="#3b7dd8"')[0]  # the top of the plot, in pixels
