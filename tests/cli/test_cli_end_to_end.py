"""Train, stop, resume and generate for real, from the shell."""

from pathlib import Path

import pytest

from genui.cli import main
from genui.runs.layout import read_status
from genui.runs.listing import find_run

SMALL = "width=16 heads=1 layers=1 context=16 batch=2 eval_batches=1 sample_tokens=4 device=cpu"


def test_a_text_model_is_trained_and_writes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = tmp_path / "mine.txt"
    data.write_text("Good morrow, friend. What news? " * 60)
    settings = [word for pair in SMALL.split() for word in ("--set", pair)]
    words = ["train", "shakespeare", "--data", str(data), "--steps", "3", "--name", "mine"]
    assert main([*words, *settings, "--foreground"]) == 0
    assert read_status(find_run("mine")).state == "finished"
    capsys.readouterr()

    sample = ["generate", "mine", "--prompt", "Good", "--tokens", "12", "--seed"]
    texts = []
    for seed in ("1", "1", "2"):
        assert main([*sample, seed]) == 0
        texts.append(capsys.readouterr().out)
    assert texts[0].startswith("Good")
    assert len(texts[0].rstrip("\n")) == len("Good") + 12
    assert texts[0] == texts[1] != texts[2]
