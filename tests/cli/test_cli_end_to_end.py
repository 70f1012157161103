"""Train, stop, resume and generate for real, from the shell."""

from pathlib import Path

import pytest

from genui.cli.main import main
from genui.runs.layout import read_status
from genui.runs.listing import find_run

SMALL = "width=16 layers=1 context=16 batch=2 eval_batches=1 sample_tokens=4 device=cpu"


def test_a_text_model_is_trained_and_writes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of a recurrent network; tests/net does as much with a transformer."""
    data = tmp_path / "mine.txt"
    data.write_text("Good morrow, friend. What news? " * 60)
    settings = [word for pair in SMALL.split() for word in ("--set", pair)]
    words = ["train", "shakespeare-gru", "--data", str(data), "--steps", "3", "--name", "mine"]
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

    made = tmp_path / "made.txt"
    assert main([*sample, "1", "--fork", "4:seed=3", "--out", str(made)]) == 0
    capsys.readouterr()
    assert main(["replay", str(made)]) == 0
    assert capsys.readouterr().out.strip() == "identical"
    assert main(["show", "mine"]) == 0
    assert "recurrent, text" in capsys.readouterr().out
    assert main(["models"]) == 0
    assert "mine" in capsys.readouterr().out
