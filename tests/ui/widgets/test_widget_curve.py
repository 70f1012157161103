import numpy as np
from textual.app import App
from textual.widget import Widget
from widget_stage import Stage, lines_of, styles_of

from genui.ui.widgets.curve import Curve

STEPS = np.arange(1241)
LOSS = 1 + 3 * np.exp(-STEPS / 200)


class Listening(Stage):
    """Remembers the captions it was told of."""

    def __init__(self, widget: Widget) -> None:
        super().__init__(widget)
        self.captions: list[str] = []

    def on_curve_drawn(self, message: Curve.Drawn) -> None:
        self.captions.append(message.caption)


async def test_the_empty_state_shows_until_there_are_points() -> None:
    curve = Curve("No measurements")
    async with Stage(curve).run_test(size=(60, 13)) as pilot:
        assert lines_of(curve)[6].strip() == "No measurements"
        curve.set_series({"loss": (STEPS, LOSS)})
        await pilot.pause()
        assert "━ loss" in lines_of(curve)[0]
        curve.clear()
        await pilot.pause()
        assert lines_of(curve)[6].strip() == "No measurements"
        assert curve.caption == ""


async def test_the_caption_is_told_when_it_changes() -> None:
    curve = Curve()
    app = Listening(curve)
    async with app.run_test(size=(66, 13)) as pilot:
        for end in (621, 1241, 1241):
            curve.set_series({"loss": (STEPS[:end], LOSS[:end])})
            lines_of(curve)
            await pilot.pause()
        # Twice the steps, and the room of 10 % that the axis takes when it grows.
        assert app.captions == ["1 column = 10 steps, min–max", "1 column = 22 steps, min–max"]
        assert curve.caption == app.captions[-1]


async def test_smoothing_draws_the_raw_values_behind_a_line() -> None:
    curve = Curve()
    raw = LOSS + np.random.default_rng(0).normal(0, 0.3, len(LOSS))
    async with Stage(curve).run_test(size=(80, 20)) as pilot:
        curve.set_series({"loss": (STEPS, raw)}, {"loss": "smoothed"})
        await pilot.pause()
        assert lines_of(curve)[0].strip() == "━ loss ⠒ raw"
        smoothed = {style for text, style in styles_of(curve) if "\u2801" <= text[0] <= "\u28ff"}
        assert len(smoothed) == 2
        curve.set(smoothing=0.0)
        await pilot.pause()
        assert lines_of(curve)[0].strip() == "━ loss"
        plain = {style for text, style in styles_of(curve) if "\u2801" <= text[0] <= "\u28ff"}
        assert len(plain) == 1


async def test_cursor_and_log_axis_are_drawn_when_set() -> None:
    curve = Curve(legend=False)
    async with Stage(curve).run_test(size=(60, 16)) as pilot:
        curve.set_series({"loss": (STEPS, np.exp(-STEPS / 50))})
        await pilot.pause()
        bars = sum(line.count("│") for line in lines_of(curve))
        curve.set(cursor=600.0)
        await pilot.pause()
        assert sum(line.count("│") for line in lines_of(curve)) > bars
        curve.set(log_y=True)
        await pilot.pause()
        assert any(line.strip().startswith("1e-") for line in lines_of(curve))


async def test_steps_written_again_are_drawn_in_their_place() -> None:
    curve, other = Curve(), Curve()
    again = np.concatenate([np.arange(600), np.arange(500, 1241)])
    async with Stage(curve).run_test(size=(60, 16)) as pilot:
        curve.set_series({"loss": (again, LOSS[again])}, {"loss": "smoothed"})
        await pilot.pause()
        resumed = lines_of(curve)
    async with Stage(other).run_test(size=(60, 16)) as pilot:
        other.set_series({"loss": (STEPS, LOSS)}, {"loss": "smoothed"})
        await pilot.pause()
        assert lines_of(other)[-1] == resumed[-1]
        assert "✗" not in "".join(resumed)


async def test_a_new_theme_recolours_the_curve() -> None:
    curve = Curve()
    app: App[None] = Stage(curve)
    async with app.run_test(size=(60, 16)) as pilot:
        curve.set_series({"loss": (STEPS, LOSS)})
        await pilot.pause()
        before = styles_of(curve)
        app.theme = "gruvbox"
        await pilot.pause()
        after = styles_of(curve)
        assert [text for text, _ in after] == [text for text, _ in before]
        assert after != before


async def test_names_are_never_markup_nor_escape_codes() -> None:
    curve = Curve()
    async with Stage(curve).run_test(size=(60, 16)) as pilot:
        curve.set_series({"[b]\x1b[31mloss\n": (STEPS, LOSS)})
        await pilot.pause()
        assert lines_of(curve)[0].strip() == "━ [b]loss"
