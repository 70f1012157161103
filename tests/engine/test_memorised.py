"""What a small model gives back of a text that it learned by heart, and what a control says."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from genui.base.errors import MisuseError
from genui.base.shares import ShareTable
from genui.cli.main import main
from genui.engine import trainer
from genui.engine.metrics import memorised
from genui.engine.metrics.memorised import extract, rank, tell_members
from genui.logs.native import MetricsTail
from genui.runs.layout import RunDir


def write_noise(path: Path) -> None:
    """A text of random words, of which nothing can be known but by heart."""
    letters = np.random.default_rng(1).integers(0, 26, (800, 5)) + ord("a")
    words = [bytes(word).decode() for word in letters.astype(np.uint8)]
    lines = (" ".join(words[at : at + 8]) for at in range(0, len(words), 8))
    path.write_text("\n".join(lines))


@pytest.fixture
def learned(
    tmp_path: Path, tiny_run: Callable[..., RunDir], signals: None, monkeypatch: pytest.MonkeyPatch
) -> RunDir:
    """A run that has learned its text and the canaries in it by heart."""
    path = tmp_path / "noise.txt"
    write_noise(path)
    run = tiny_run(
        recipe="shakespeare", data=str(path), steps="90", batch="16", ngrams="5",
        ngram_rate="0.05", dropout="0", ema="0", warmup="0", canaries="7", eval_every="90",
        sample_every="90", checkpoint_every="90", eval_batches="1", sample_prompt="a",
    )  # fmt: skip
    assert trainer.train(run) == 0, run.console.read_text()
    monkeypatch.setattr(memorised, "WRITTEN", 40)
    monkeypatch.setattr(memorised, "PREFIX", 30)
    return run


def say_nothing(what: str, done: int, of: int) -> None:
    pass


def shares_of(table: ShareTable, label: str) -> list[float]:
    return next([s.value for s in row.shares] for row in table.rows if row.label == label)


def test_what_was_learned_by_heart_comes_back_and_its_controls_do_not(
    learned: RunDir, capsys: pytest.CaptureFixture[str]
) -> None:
    extraction = extract([learned.id], 20, say_nothing)
    real, *_, after_training, _ = shares_of(extraction, "30 or more")
    assert real == 0
    assert after_training > 0.5
    row = next(row for row in extraction.rows if row.label == "30 or more")
    assert extraction.differences(row)[-2] == "more"

    members = tell_members([learned.id], 100, say_nothing)
    by_loss, blind = (
        next(row for row in members.rows if row.label == f"{name}, 10%")
        for name in ("loss", "zlib alone")
    )
    assert members.differences(by_loss)[1] == "more"
    assert members.differences(blind)[1] == ""
    assert by_loss.shares[0].value <= 0.1  # what is asked for bounds the false alarms
    areas = [float(row.remark.split()[1]) for row in members.rows if row.remark]
    assert areas[0] > 0.8
    assert abs(areas[-1] - 0.5) < 0.2

    canaries = rank([learned.id], 20, say_nothing)
    assert shares_of(canaries, "planted 64×") == [1.0]
    assert shares_of(canaries, "planted 0×") == [0.0]
    tail = MetricsTail(learned.metrics)
    while tail.read():
        pass
    steps, bits, *_ = tail.series["exposure/64"].points
    assert steps.tolist() == [0, 90]
    assert bits[0] < 6 < bits[-1] == 9

    assert main(["probes", learned.id, "--probe", "membership", "-n", "100", "--json"]) == 0
    out = json.loads(capsys.readouterr().out)
    assert out["rows"][0]["shares"][1] == {
        "hits": members.rows[0].shares[1].hits,
        "of": members.rows[0].shares[1].of,
    }


@pytest.mark.parametrize("probe", ["extraction", "canaries", "membership"])
def test_what_cannot_be_asked_is_refused(
    probe: str, tiny: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["probes", "shapes", "--probe", probe]) == 2
    assert "shapes: what is remembered is measured of text models" in capsys.readouterr().err
    assert main(["probes", "plays", "shapes", "--probe", probe]) == 2
    assert "shapes: one model too many for --probe" in capsys.readouterr().err


def test_without_canaries_there_is_nothing_to_rank(tiny: Path) -> None:
    with pytest.raises(MisuseError, match=r"plays: no canaries were planted .* canaries=1"):
        rank(["plays"], 20, say_nothing)
