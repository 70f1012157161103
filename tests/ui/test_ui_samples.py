"""The samples beside the curves: at the cursor, walked through, and played as a film."""

import io

import numpy as np
import pytest
import stage
from acting import Opener, seen, until, until_seen
from panel_stage import app_of, look, opened, with_info
from PIL import Image

from genui.runs.layout import RunDir, RunLock
from genui.ui.training import samples
from genui.ui.training.board import Board
from genui.ui.training.samples import MAX_FRAMES, SamplesPanel, film_steps, mark_changes
from genui.ui.training.screen import TrainingScreen
from genui.ui.training.state import ViewState
from genui.ui.watcher import load_sample, sample_files
from genui.ui.widgets.image import ImageView


def writer(name: str = "plays", *steps: int) -> RunDir:
    """A run at step 300 with a sample at 300 and at each of `steps`."""
    run = stage.make_run(name=name, step=300, steps=400)
    for step in steps:
        run.sample(step, ".txt").write_text(f"as {name} was at {step}")
    return run


async def test_the_newest_sample_is_shown_with_the_steps_beside_it() -> None:
    run = writer("plays", 100, 200)
    async with opened(SamplesPanel()) as pilot:
        app_of(pilot).show(look(run))
        await until_seen(pilot, "KING RICHARD")
        assert "step 300 of 300   ◂ 200" in seen(pilot)


async def test_marked_words_are_explained_in_the_title() -> None:
    for marks in (True, False):
        async with opened(SamplesPanel(marks)) as pilot:
            app_of(pilot).show(look(writer("plays", 100, 200)), cursor=200)
            await until_seen(pilot, "as plays was at 200")
            await until(pilot, lambda marks=marks: ("changed words" in seen(pilot)) == marks)


def test_words_are_marked_only_where_most_are_the_same() -> None:
    before = "ROMEO:\nI am here, my lord\nand gone"
    marked = mark_changes("ROMEO:\nI am there, my lord\nand gone", before)
    assert [marked.plain[span.start : span.end] for span in marked.spans] == ["there,"]
    assert "underline" in str(marked.spans[0].style)  # not by colour alone
    other = "MARCIUS:\nAy, and from thy seem\nto instruct"  # only spaces are the same
    assert not mark_changes(other, before).spans


async def test_a_sample_of_other_words_says_that_most_have_changed() -> None:
    run = writer("plays", 100, 200)
    run.sample(300, ".txt").write_text("GLOUCESTER: quite other words, from here to there")
    async with opened(SamplesPanel(marks=True)) as pilot:
        app_of(pilot).show(look(run))
        await until_seen(pilot, "most words changed")
        assert "changed words" not in seen(pilot).replace("most words changed", "")


async def test_on_a_narrow_panel_the_steps_beside_are_whole_and_can_be_clicked() -> None:
    async with opened(SamplesPanel(), size=(27, 20)) as pilot:
        app_of(pilot).show(look(writer("plays", 100, 200)), cursor=200)
        await until_seen(pilot, "step 200   ◂ 100  300 ▸")
        await pilot.click(".samples-place", offset=(12, 0))
        await until(pilot, lambda: app_of(pilot).pointed == [100])


@pytest.mark.parametrize(
    ("cursor", "text", "place"),
    [
        (200, "as plays was at 200", "step 200 of 300   ◂ 100  300 ▸"),
        (299.9, "as plays was at 200", "step 200 of 300"),
        (100, "as plays was at 100", "step 100 of 300   200 ▸"),
        (99, "The first sample shows here", "step before the first, at 100"),
        (5000, "KING RICHARD", "step 300 of 300"),
    ],
)
async def test_the_cursor_shows_the_newest_sample_until_then(
    cursor: float, text: str, place: str
) -> None:
    run = writer("plays", 100, 200)
    async with opened(SamplesPanel()) as pilot:
        app_of(pilot).show(look(run), cursor=cursor)
        await until_seen(pilot, text)
        assert place in seen(pilot)
        assert "Sample at the cursor" in seen(pilot)


async def test_walking_moves_the_cursor_and_the_last_sample_is_followed_again() -> None:
    panel = SamplesPanel()
    async with opened(panel) as pilot:
        app = app_of(pilot)
        app.show(look(writer("plays", 100, 200)))
        for by, text in (
            (-1, "at 200"),
            (-1, "at 100"),
            (-1, "at 100"),
            (1, "at 200"),
            (1, "KING"),
        ):
            panel.go(by)
            await until_seen(pilot, text)
        assert app.pointed == [200, 100, 200, None]


async def test_the_film_shows_every_sample_and_stops_at_the_newest(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(samples, "FRAMES_PER_S", 50)
    panel = SamplesPanel()
    async with opened(panel) as pilot:
        app = app_of(pilot)
        app.show(look(writer("plays", 50, 100, 150, 200, 250)))
        panel.play()
        await until(pilot, lambda: not panel.playing)
        await until_seen(pilot, "KING RICHARD")
        assert app.pointed == [50, 100, 150, 200, 250, None]
        app.pointed.clear()
        app.show(*app.views, cursor=201)
        panel.play()  # from the cursor on
        await until(pilot, lambda: not panel.playing)
        assert app.pointed == [200, 250, None]


async def test_any_key_stops_the_film() -> None:
    panel = SamplesPanel()
    steps = [*range(100, 10_000, 100)]
    async with opened(panel) as pilot:
        app = app_of(pilot)
        app.show(look(writer("plays", *steps)))
        panel.play()
        await until_seen(pilot, "any key stops")
        app.last_key_at = float("inf")  # later than the film began
        await until(pilot, lambda: not panel.playing)
        assert 0 < len(app.pointed) < len(steps)
        assert app.pointed == steps[: len(app.pointed)]


def test_a_film_of_many_samples_lasts_a_minute_and_ends_with_the_newest() -> None:
    steps = list(range(0, 100_000, 10))
    shown = film_steps(steps, None)
    assert len(shown) <= MAX_FRAMES
    assert shown[-1] == steps[-1]
    assert len(set(np.diff(shown))) == 1


async def test_runs_over_each_other_show_their_samples_at_the_same_step() -> None:
    first, second = writer("plays", 100), writer("verse", 60)
    async with opened(SamplesPanel()) as pilot:
        app_of(pilot).show(look(first), look(second), cursor=80)
        await until_seen(pilot, "as verse was at 60")
        assert "plays  no sample so far" in seen(pilot)
        app_of(pilot).show(look(first), look(second), cursor=150)
        await until_seen(pilot, "as plays was at 100")
        assert "as verse was at 60" in seen(pilot)


async def test_runs_that_do_not_fit_are_counted() -> None:
    views = [look(writer(f"run{number}")) for number in range(4)]
    async with opened(SamplesPanel(), size=(50, 14)) as pilot:
        app_of(pilot).show(*views)
        await until_seen(pilot, "2 more runs do not fit")


@pytest.mark.parametrize(
    ("kind", "format", "state", "line"),
    [
        ("recipe", "genui", "running", "makes one every 100 steps"),
        ("recipe", "genui", "stopped", "No samples"),
        ("script", "genui", "running", "genui.Image"),
        ("recipe", "wandb", "stopped", "log of another tool"),
    ],
)
async def test_without_samples_it_says_what_makes_them(
    kind: str, format: str, state: str, line: str
) -> None:
    run = writer()
    for path in run.samples.iterdir():
        path.unlink()
    with RunLock(run):
        stage.set_state(run, state, 300, 400)
        view = with_info(look(run), format, kind=kind)
    async with opened(SamplesPanel()) as pilot:
        app_of(pilot).show(view)
        await until(pilot, lambda: line in " ".join(seen(pilot).replace("│", " ").split()))


@pytest.mark.parametrize("kind", ["script", "recipe"])
async def test_the_last_lines_stand_in_for_samples_of_a_script(kind: str) -> None:
    """Beside a run of a recipe, which makes samples, they do not."""
    run = writer()
    for path in run.samples.iterdir():
        path.unlink()
    run.console.write_text("first line\nloss 3.14\n")
    view = with_info(look(run), "genui", kind=kind)
    async with opened(SamplesPanel(console=True)) as pilot:
        app_of(pilot).show(view)
        await until_seen(pilot, "loss 3.14" if kind == "script" else "No sample")
    board = Board([view.summary], ViewState())
    board.runs.receive(view)
    assert board.side == ("console" if kind == "script" else "sample")
    board.change(side="config")
    assert board.side == "config"


async def test_an_image_of_any_size_is_drawn_and_text_is_never_markup() -> None:
    run = writer("plays")
    buffer = io.BytesIO()
    Image.fromarray(np.full((50, 90, 3), 200, np.uint8)).save(buffer, "PNG")
    run.sample(50, ".png").write_bytes(buffer.getvalue())
    run.sample(60, ".txt").write_text("[red]no markup[/red] \x1b[31mno code")
    run.sample(70, ".png").write_text("no image at all")
    panel = SamplesPanel()
    async with opened(panel) as pilot:
        app_of(pilot).show(look(run), cursor=50)
        image = panel.query(ImageView).first()
        await until(pilot, lambda: image.has_image and image.display)
        app_of(pilot).show(look(run), cursor=60)
        await until_seen(pilot, "[red]no markup[/red] no code")
        app_of(pilot).show(look(run), cursor=70)
        await until_seen(pilot, "cannot be read (is not an image")


@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
async def test_w_plays_the_samples_and_the_cursor_goes_along(
    open_watch: Opener, size: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(samples, "FRAMES_PER_S", 50)
    writer("plays", 100, 200)
    async with open_watch(size) as pilot:
        await until(pilot, lambda: isinstance(pilot.app.screen, TrainingScreen))
        await until_seen(pilot, "300")
        screen = pilot.app.screen
        assert isinstance(screen, TrainingScreen)
        cursors: list[float | None] = []
        point = screen.board.point_at_step

        def pointed(step: float | None) -> None:
            point(step)
            cursors.append(screen.board.state.cursor)

        monkeypatch.setattr(screen.board, "point_at_step", pointed)
        await pilot.press("semicolon")
        await until(pilot, lambda: cursors[-3:] == [100, 200, None])
        await until_seen(pilot, "KING RICHARD")


async def test_an_image_and_a_text_of_one_step_are_shown_together() -> None:
    run = writer()
    image = io.BytesIO()
    noise = np.random.default_rng(1).integers(0, 255, (32, 32, 3), np.uint8)
    Image.fromarray(noise).save(image, "PNG")
    run.sample(300, ".png").write_bytes(image.getvalue())
    panel = SamplesPanel()
    async with opened(panel, size=(60, 30)) as pilot:
        app_of(pilot).show(look(run))
        await until_seen(pilot, "KING RICHARD")
        assert "▀" in seen(pilot) or "▄" in seen(pilot)


def test_an_image_that_declares_too_many_pixels_is_said_to_be_unreadable() -> None:
    run = writer("plays")
    Image.new("1", (9000, 9000)).save(run.sample(300, ".png"))
    sample = load_sample(sample_files(run)[300], 300)
    assert sample.image is None
    assert "cannot be read" in sample.text
