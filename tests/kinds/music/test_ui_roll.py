"""The Roll pane: a piano roll that grows, its odds, forks, a melody, and a file to take away."""

from pathlib import Path

import pytest
import stage
from acting import Opener, each_size, fault, home_of, process, seen, until, until_seen
from fake_music_worker import FakeMusic
from fake_process import in_process
from textual.pilot import Pilot

from genui.kinds.music import chorale
from genui.kinds.music.midi import decode_midi
from genui.kinds.music.pane import MusicActions
from genui.kinds.music.roll import Roll
from genui.protocol import WriteText, WriteToken, kinds
from genui.ui.generate.pane import TracePane
from genui.ui.widgets.candidates import Candidates

FAST_MUSIC = in_process(FakeMusic)
SLOW_MUSIC = process("--delay", "0.1", script="fake_music_worker.py")


@pytest.fixture
def tunes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """One shipped model, of music."""
    folder = tmp_path / "weights"
    stage.ship(folder, "chorales")
    monkeypatch.setattr(kinds, "weights_folders", lambda: [folder])
    return folder


async def opened(pilot: Pilot[None]) -> TracePane:
    """The pane, its model chosen and playing."""
    home = home_of(pilot)
    await until(pilot, lambda: bool(home.models))
    home.open_model(home.models[0])
    await until(pilot, lambda: bool(home.query("#roll")))
    return home.query_one("#roll", TracePane)


async def held(pilot: Pilot[None], step: int) -> TracePane:
    """Full-screen, and held at a step."""
    pane = await opened(pilot)
    await until(pilot, lambda: pane.trace is not None and pane.trace.computed >= step)
    assert pane.trace is not None
    await pilot.press("z")
    pane.trace.seek(step)
    pane.controller.refresh()
    await until(pilot, lambda: pane.trace is not None and pane.trace.position == step)
    return pane


def rows(pane: TracePane) -> list[str]:
    roll = pane.query_one(Roll)
    return [roll.render_line(y).text for y in range(roll.size.height)]


async def test_each_voice_is_drawn_with_its_own_mark_and_the_bars_are_numbered(
    tunes: Path, open_app: Opener
) -> None:
    async with open_app(worker=FAST_MUSIC) as pilot:
        pane = await held(pilot, 120)
        async for _ in each_size(pilot):
            text = "\n".join(rows(pane))
            assert all(mark in text for mark in ("S━━━", "A───", "T┅┅┅", "B═══"))
            bars = [int(word) for word in rows(pane)[0].split() if word.isdigit()]
            assert len(bars) > 1
            assert bars == [*range(bars[0], bars[0] + len(bars))]  # how far it scrolled may vary
            assert "▾" in rows(pane)[0]
            assert any(line.startswith("C3") for line in rows(pane))
            assert "G major, 4/4, upbeat" in seen(pilot)


async def test_what_was_written_after_the_playhead_stays_and_is_dim(
    tunes: Path, open_app: Opener
) -> None:
    async with open_app(worker=FAST_MUSIC) as pilot:
        pane = await held(pilot, 60)
        ahead = pane.query_one(Roll).get_component_rich_style("roll--ahead").color
        dim = [
            segment.text
            for y in range(pane.query_one(Roll).size.height)
            for segment in pane.query_one(Roll).render_line(y)
            if segment.style is not None and segment.style.color == ahead
        ]
        assert "S" in "".join(dim)
        before = pane.query_one(Roll).first
        await pilot.press("pagedown")
        assert pane.query_one(Roll).first > before  # other bars, the playhead where it was
        assert pane.trace is not None
        assert pane.trace.position == 60


async def test_the_odds_say_whose_note_it_is_and_another_candidate_forks(
    tunes: Path, open_app: Opener
) -> None:
    async with open_app(worker=FAST_MUSIC) as pilot:
        pane = await held(pilot, 10)  # nine notes of the leading soprano, then the bass
        await until_seen(pilot, "Bass, bar 0")
        await pilot.press("down")
        odds = pane.query_one(Candidates)
        assert odds.selected == 1
        await pilot.press("enter")
        await until(pilot, lambda: len(pane.controller.tree.branches) == 2)
        assert pane.trace is not None
        edit = pane.trace.request.edits[-1]
        assert edit.step == 9
        assert isinstance(edit.edit, WriteToken)
        assert chorale.pitch_of(edit.edit.token) is not None


async def test_notes_of_ones_own_are_checked_before_they_are_written(
    tunes: Path, open_app: Opener
) -> None:
    async with open_app(worker=FAST_MUSIC) as pilot:
        pane = await held(pilot, 10)
        await pilot.press("roll.insert", *"H9", "enter")
        assert "give a note such as C4" in fault(pilot)
        await pilot.press("backspace", "backspace", *"G3", "enter")
        await until(pilot, lambda: len(pane.controller.tree.branches) == 2)
        assert pane.trace is not None
        assert pane.trace.request.edits[-1].edit == WriteText("G3")


async def test_a_melody_is_asked_for_and_a_missing_file_is_told(
    tunes: Path, open_app: Opener, tmp_path: Path
) -> None:
    path = tmp_path / "t.mid"
    path.write_bytes(b"MThd")
    async with open_app(worker=FAST_MUSIC) as pilot:
        pane = await held(pilot, 4)
        await pilot.press("roll.melody", *"none.mid", "enter")
        assert "no such file" in fault(pilot)
        await pilot.press("home", *"~nobody-", "enter")
        assert "~nobody-none.mid: no such file" in fault(pilot)
        await pilot.press("escape")
        next(a for a in pane.actions if isinstance(a, MusicActions)).use_melody(str(path))
        await until(pilot, lambda: pane.trace is not None and pane.trace.position > 20)
        await until_seen(pilot, "soprano given")
        assert "G major, 4/4" in seen(pilot)
        melody = next(row for row in pane.options() if row.name == "melody")
        assert melody.value == "t.mid"
        await pilot.press("e", *["backspace"] * 30, *"A minor", "enter")
        await until_seen(pilot, "the melody has its own key")
        pane.controller.show_branch(pane.controller.tree.branches[-1].number)
        melody = next(row for row in pane.options() if row.name == "melody")
        assert melody.value == "a given soprano"


async def test_the_prompt_is_a_key_and_a_metre(tunes: Path, open_app: Opener) -> None:
    async with open_app(worker=FAST_MUSIC) as pilot:
        pane = await opened(pilot)
        await pilot.press("e", *["backspace"] * 30, *"A minor, 3/4", "enter")
        await until(pilot, lambda: pane.trace is not None and pane.trace.position > 4)
        assert pane.trace is not None
        assert pane.trace.request.prompt == "A minor, 3/4"
        assert "A minor, 3/4" in seen(pilot)


async def test_listening_before_there_is_a_note_says_what_to_press(
    tunes: Path, open_app: Opener
) -> None:
    async with open_app(worker=SLOW_MUSIC) as pilot:
        pane = await opened(pilot)
        await pilot.press("home")
        await until(pilot, lambda: pane.trace is not None and pane.trace.position == 0)
        await pilot.press("semicolon")
        await until_seen(pilot, "no note is written yet")


async def test_a_piece_is_exported_as_midi(tunes: Path, open_app: Opener, tmp_path: Path) -> None:
    target = tmp_path / "tune.mid"
    async with open_app(worker=FAST_MUSIC) as pilot:
        pane = await held(pilot, 100)
        assert pane.trace is not None
        await pilot.press("x")
        await until_seen(pilot, "a MIDI file, a track a voice")
        name = pilot.app.screen.query_one("#file")
        name.value = str(target)  # type: ignore[attr-defined]
        await pilot.press("enter")
        if not target.exists():
            await pilot.press("n")  # the steps that are here
        await until(pilot, target.exists)
        await until(pilot, lambda: not pilot.app.screen.query(".export"))
    names = {track.name for track in decode_midi(target.read_bytes()).tracks}
    assert names == {"soprano", "alto", "tenor", "bass"}
