"""Whether a sample is copied: what the worker says of it."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from genui.base.errors import MisuseError
from genui.cli.main import main
from genui.engine import trainer
from genui.engine.data.image_datasets import load_own
from genui.engine.load import open_trace
from genui.engine.metrics.copying import image_distances, index_texts, nearest
from genui.protocol import EditAt, Start, TextSettings, WriteText
from genui.runs.layout import RunDir


@pytest.fixture
def trained(tiny_run, signals: None) -> RunDir:
    run = tiny_run(steps="2", sample_prompt="to", tokenizer="chars")
    assert trainer.train(run) == 0
    return run


def start(run: RunDir, text: str) -> Start:
    settings = TextSettings(tokens=len(text))
    edits = (EditAt(step=0, edit=WriteText(text)),)
    return Start(trace=7, model=run.id, prompt="to", seed=1, settings=settings, edits=edits)


def test_a_copied_line_is_quoted_with_where_it_stands(trained: RunDir) -> None:
    trace = open_trace(start(trained, "tt or not to be that is"))
    list(trace.advance(0, 99))
    found = nearest(trace, trace.reached, 6)
    assert (found.trace, found.step, found.fault) == (7, trace.reached, "")
    [quote] = found.quotes
    assert quote.text == " or not to be that is"
    assert quote.last == trace.reached
    assert quote.last - quote.first + 1 == len(quote.text)
    assert quote.before.endswith("to be")
    assert quote.where.startswith("plays.txt, line ")
    assert "plays.txt" in found.data


def test_the_shell_lists_the_passages_with_their_sources(
    trained: RunDir, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["generate", trained.id, "--prompt", "to", "--tokens", "30", "--seed", "1"]
    words += ["--fork", "2:text= or not to be that is the question", "--nearest"]
    assert main([*words, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert "plays.txt" in found["data"]
    assert " or not to be that is the" in found["quotes"][0]["text"]
    assert main(words) == 0
    assert found["quotes"][0]["where"] in capsys.readouterr().out


def test_a_heading_names_who_speaks(tmp_path: Path) -> None:
    speech = "ROMEO:\nBut soft, what light through yonder window breaks?\n\n"
    play = "NURSE:\nMistress! what, mistress! Juliet! fast, I warrant her.\n\n" + speech
    text = index_texts("plays", [play], [speech * 10])
    run = text.index.longest(b"what light through yonder door")
    assert text.where(run) == "plays, line 5, ROMEO"
    assert text.share_held_out(run.length) == 1
    assert text.share_held_out(10_000) == 0


def test_what_stands_nowhere_has_no_quote(trained: RunDir) -> None:
    trace = open_trace(start(trained, "tttttttttttttttttttttt"))
    list(trace.advance(0, 99))
    assert not nearest(trace, trace.reached, 6).quotes


def test_where_the_data_is_gone_one_line_says_so(trained: RunDir, plays: Path) -> None:
    from genui.engine.metrics.copying import index_text

    index_text.cache_clear()
    trace = open_trace(start(trained, "to be"))
    list(trace.advance(0, 99))
    plays.unlink()
    found = nearest(trace, trace.reached, 6)
    assert not found.quotes
    assert found.fault.startswith("nothing to compare with: ")
    assert "plays.txt: no such file" in found.fault
    assert "\n" not in found.fault


def test_a_step_that_is_not_reached_is_refused(trained: RunDir) -> None:
    trace = open_trace(start(trained, "to be"))
    with pytest.raises(MisuseError, match="is at step 0"):
        nearest(trace, 3, 6)


def test_the_nearest_images_come_first_with_their_distances(tmp_path: Path) -> None:
    for name, shade in (("black", 0), ("grey", 100), ("white", 255)):
        Image.new("RGB", (32, 32), (shade,) * 3).save(tmp_path / f"{name}.png")
    images = load_own(tmp_path)
    drawn = np.full((32, 32, 3), 90, np.uint8)
    distances = image_distances(images, drawn, "anything")
    by_name = {images.captions[i]: d for i, d in zip(images.train, distances, strict=True)}
    assert by_name == pytest.approx({"grey": 10, "black": 90, "white": 165}, abs=0.1)
