"""`genui inspect LOG --json` tells of every format what the text tells."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from log_makers import SAMPLES, make_log

from genui.cli.main import main

Capture = pytest.CaptureFixture[str]


def inspected(path: Path, capsys: Capture) -> tuple[dict[str, str], dict[str, Any]]:
    """The facts of the text, and the JSON."""
    assert main(["inspect", str(path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert main(["inspect", str(path), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    return dict(re.split("  +", line, maxsplit=1) for line in lines), told


@pytest.mark.parametrize("format", [format for format in SAMPLES if format != "genui"])
def test_json_tells_what_the_text_tells(format: str, tmp_path: Path, capsys: Capture):
    path = make_log(format, tmp_path)
    text, told = inspected(path, capsys)
    assert told["path"] == text["log"] == str(path)
    assert told["format"] == text["format"] == format
    assert told["state"] == text["state"]
    assert f"{told['step']:,}" == text["step"]
    names = [name for name in told["metrics"] if name not in text["metrics"].split(", ")]
    assert len(told["metrics"]) - len(names) == min(10, len(told["metrics"]))
    assert not names or text["metrics"].endswith(f" and {len(names)} more")
    config = told["info"]["config"]
    assert config.keys() == set(re.findall(r"(\S+?)=", text.get("config", "")))
    assert told["age"] >= 0
    sample = SAMPLES[format]
    assert (told["step"], told["state"]) == (sample.step, sample.state)
    assert told["metrics"][sample.metric] == pytest.approx(sample.last)
    assert told["loss"] == told["metrics"].get("loss")


def test_json_tells_the_settings_and_the_value_called_val(tmp_path: Path, capsys: Capture):
    _, told = inspected(make_log("wandb", tmp_path), capsys)
    assert told["info"]["config"] == {"lr": 3e-4, "model": {"dim": 64}}
    assert (told["val"], told["metrics"]["nan"]) == (None, None)
    path = tmp_path / "val.jsonl"
    path.write_text('{"step": 5, "loss": 2.5, "val": 1.5}\n')
    text, told = inspected(path, capsys)
    assert (told["step"], told["loss"], told["val"], text["step"]) == (5, 2.5, 1.5, "5")


def test_the_step_of_a_file_of_llama_factory_is_the_current_one(tmp_path: Path, capsys: Capture):
    path = tmp_path / "trainer_log.jsonl"
    record = '{{"current_steps": {}, "total_steps": 100, "loss": {}, "lr": 1e-4, "epoch": 0.1}}\n'
    path.write_text(record.format(10, 2.5) + record.format(20, 2.0) + record.format(30, 1.5))
    _, told = inspected(path, capsys)
    assert (told["step"], told["loss"]) == (30, 1.5)


def test_of_a_log_without_points_there_is_no_step(tmp_path: Path, capsys: Capture):
    path = tmp_path / "log.csv"
    path.write_text("step,loss\n")
    text, told = inspected(path, capsys)
    assert (told["step"], told["metrics"], "step" in text) == (None, {}, False)
