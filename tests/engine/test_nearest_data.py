"""Whether a sample is copied: what the worker says of it."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from genui.base.errors import MisuseError
from genui.engine import trainer
from genui.engine.data.image_datasets import load_own
from genui.engine.load import open_trace
from genui.engine.metrics.copying import image_distances, nearest
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
    assert found.quote is not None
    assert found.quote.text == " or not to be that is"
    assert found.quote.last == trace.reached
    assert found.quote.last - found.quote.first + 1 == len(found.quote.text)
    assert found.quote.before.endswith("to be")
    assert found.quote.where.startswith("line ")
    assert "plays.txt" in found.data


def test_what_stands_nowhere_has_no_quote(trained: RunDir) -> None:
    trace = open_trace(start(trained, "tttttttttttttttttttttt"))
    list(trace.advance(0, 99))
    assert nearest(trace, trace.reached, 6).quote is None


def test_where_the_data_is_gone_one_line_says_so(trained: RunDir, plays: Path) -> None:
    from genui.engine.metrics.copying import training_text

    training_text.cache_clear()
    trace = open_trace(start(trained, "to be"))
    list(trace.advance(0, 99))
    plays.unlink()
    found = nearest(trace, trace.reached, 6)
    assert found.quote is None
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
