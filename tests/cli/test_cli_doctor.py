"""`genui doctor`."""

import json
import sys
import types
from pathlib import Path

import pytest

from genui.base.config import config_file, load_config
from genui.cli.main import main


@pytest.fixture(autouse=True)
def _machine(monkeypatch: pytest.MonkeyPatch) -> None:
    device = types.ModuleType("genui.engine.device")
    device.__dict__["describe"] = lambda: {"torch": "9.9", "device": "cpu", "threads": "1"}
    monkeypatch.setitem(sys.modules, "genui.engine.device", device)


def test_doctor_says_one_fact_a_line(
    bare_models: Path, genui_home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["doctor"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert any(line.startswith("device") and line.endswith("  cpu") for line in lines)
    assert any("plays, shapes" in line for line in lines)
    folder = next(line for line in lines if line.startswith("data folder"))
    assert folder.endswith(f"{genui_home}/data (writable, not created yet)")
    assert not genui_home.exists()  # looking leaves nothing behind


def test_doctor_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert {"genui", "python", "torch", "textual", "colour", "size", "emoji font"} <= found.keys()


@pytest.mark.parametrize(
    ("env", "images"),
    [
        ({"TERM": "dumb"}, "half-blocks (the terminal has few colours)"),
        ({"GENUI_IMAGES": "kitty"}, "kitty (by the setting images = kitty)"),
        ({"GENUI_IMAGES": "none"}, "GENUI_IMAGES=none: "),
    ],
)
def test_doctor_says_how_images_are_shown(
    env: dict[str, str],
    images: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name in ("TMUX", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    assert main(["doctor", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["images"].startswith(images)


def test_a_data_folder_that_cannot_be_written_is_said(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("GENUI_HOME", "/proc/genui")
    assert main(["doctor", "--json"]) == 0
    assert "not writable" in json.loads(capsys.readouterr().out)["data folder"]


def test_without_torch_doctor_still_answers(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "genui.engine.device", None)
    assert main(["doctor"]) == 0
    assert "torch cannot be imported" in capsys.readouterr().out


def test_with_a_damaged_config_doctor_still_answers(
    genui_home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    device = sys.modules["genui.engine.device"]
    monkeypatch.setitem(device.__dict__, "describe", load_config)  # which reads it for the threads
    config_file().parent.mkdir(parents=True)
    config_file().write_text("fpss = 3\n")
    assert main(["doctor", "--json"]) == 0
    assert "no setting 'fpss'" in json.loads(capsys.readouterr().out)["device"]


def test_a_missing_emoji_font_names_the_package(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("GENUI_EMOJI_FONT", "/no/font.ttf")
    assert main(["doctor"]) == 0
    assert "/no/font.ttf: no such file" in capsys.readouterr().out


def test_doctor_names_the_record_of_what_did_not_answer(
    genui_home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def stalls() -> str:
        assert main(["doctor", "--json"]) == 0
        return json.loads(capsys.readouterr().out)["stalls"]

    assert stalls() == "no wait over 5 s recorded"
    record = genui_home / "data" / "stalls.txt"
    record.parent.mkdir(parents=True)
    record.write_text("=== a record\n")
    assert str(record) in stalls()
