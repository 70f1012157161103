"""Canvas with a model that speaks: its waveform, and hearing it where there is a player."""

from pathlib import Path

import pytest
import stage
from acting import Opener, seen, until, until_seen
from canvas_acting import drawn_to, pane_of, shown
from textual.pilot import Pilot

from genui.formats.audio import decode_wav
from genui.protocol import kinds
from genui.ui import sound
from genui.ui.generate.image import CanvasSound
from genui.ui.widgets.image import Waveform

NO_DEVICE = 'echo "no sound card" >&2; exit 1'


@pytest.fixture
def voice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "weights"
    stage.ship(folder, "voice")
    monkeypatch.setattr(kinds, "weights_folders", lambda: [folder])
    return folder


@pytest.fixture
def silent(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without any player."""
    monkeypatch.setattr(sound, "PLAYERS", ())
    monkeypatch.setattr(sound, "find_spec", lambda name: None)


def playing(monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """A machine whose player is this script; the WAV is its $0."""
    monkeypatch.setattr(sound, "PLAYERS", (("sh", "-c", script),))


def wave_of(pilot: Pilot[None]) -> Waveform:
    return pane_of(pilot).query_one(Waveform)


async def test_an_image_has_no_waveform(shipped: Path, open_app: Opener) -> None:
    async with open_app() as pilot:
        await drawn_to(pilot, "canvas.hear")
        assert not wave_of(pilot).display
        await until_seen(pilot, "there is no sound")


async def test_without_a_player_and_with_one_that_fails_one_line_says_what_to_do(
    voice: Path, silent: None, open_app: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_app((200, 60)) as pilot:
        await drawn_to(pilot, "semicolon")
        await until_seen(pilot, "no audio player found")
        await pilot.press("m")  # the whole message
        await until_seen(pilot, "--out - | aplay")
        await pilot.press("escape")
        playing(monkeypatch, NO_DEVICE)
        await pilot.press("semicolon")
        await until_seen(pilot, "sh could not play it (no sound card)")


async def test_the_waveform_is_below_the_spectrogram_and_is_heard_until_it_is_pressed_again(
    voice: Path, open_app: Opener, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard = tmp_path / "heard.wav"
    playing(monkeypatch, f'cp "$0" {heard}.part; mv {heard}.part {heard}')
    async with open_app() as pilot:
        assert not wave_of(pilot).display
        await drawn_to(pilot)
        assert wave_of(pilot).display
        assert "; hear · 0.10 s at 8,000 samples a second" in seen(pilot)
        assert any("⣿" in line or "⠿" in line for line in seen(pilot).splitlines())
        await pilot.press("semicolon")
        await until(pilot, heard.exists)
        frame = shown(pilot).frame
        assert frame is not None
        found = decode_wav(heard.read_bytes())
        assert found.rate == 8000
        assert (found.samples * 32768).astype("<i2").tobytes() == frame.sound
        hearing = next(a for a in pane_of(pilot).actions if isinstance(a, CanvasSound))
        await until(pilot, lambda: not hearing.speaker.playing)
        playing(monkeypatch, "exec sleep 60")
        await pilot.press("semicolon")
        await until(pilot, lambda: hearing.speaker.playing)
        await pilot.press("semicolon")
        await until(pilot, lambda: not hearing.speaker.playing)
        assert "could not play" not in seen(pilot)
