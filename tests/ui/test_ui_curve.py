"""The curve in an app: what it shows, and what the mouse asks for."""

import numpy as np
import pytest
from textual import events
from textual.app import App, ComposeResult
from textual.containers import Vertical
from textual.pilot import Pilot

from genui.ui.widgets.curve import Curve

STEPS = np.arange(1001)
LOSS = 1 + 3 * np.exp(-STEPS / 200)
SIZE = (60, 16)


class Owner(App[None]):
    """Shows a curve and remembers what it says."""

    def __init__(self, curve: Curve) -> None:
        super().__init__()
        self.curve = curve
        self.picked: list[float] = []
        self.viewed: list[tuple[float, float] | None] = []
        self.captions: list[str] = []
        self.follows = False  # whether it shows the view that is asked for

    def compose(self) -> ComposeResult:
        with Vertical():
            yield self.curve

    def on_curve_drawn(self, message: Curve.Drawn) -> None:
        self.captions.append(message.caption)

    def on_curve_picked(self, message: Curve.Picked) -> None:
        self.picked.append(message.x)

    def on_curve_viewed(self, message: Curve.Viewed) -> None:
        self.viewed.append(message.view)
        if self.follows:
            self.curve.set(view=message.view)


def lines_of(curve: Curve) -> list[str]:
    return [curve.render_line(y).text for y in range(curve.size.height)]


def shown(**options: bool) -> Owner:
    return Owner(Curve(**options))  # type: ignore[arg-type]


async def ready(pilot: Pilot[None], curve: Curve) -> None:
    curve.set_series({"loss": (STEPS, LOSS)})
    await pilot.pause()
    lines_of(curve)


async def dragged(pilot: Pilot[None], first: tuple[int, int], last: tuple[int, int]) -> None:
    await pilot.mouse_down(Curve, offset=first)
    await pilot.hover(Curve, offset=last)
    await pilot.mouse_up(Curve, offset=last)


async def scrolled(pilot: Pilot[None], column: int, *, up: bool) -> None:
    kind = events.MouseScrollUp if up else events.MouseScrollDown
    await pilot._post_mouse_events([kind], Curve, offset=(column, 8), button=0)


async def test_a_click_picks_the_x_under_it_and_changes_nothing_by_itself() -> None:
    app = shown()
    async with app.run_test(size=SIZE) as pilot:
        await ready(pilot, app.curve)
        frame = app.curve.frame
        assert frame is not None
        await pilot.click(Curve, offset=(frame.left + frame.cols // 2, 5))
        assert app.picked == [pytest.approx(500, abs=app.curve.column())]
        assert app.curve.options.cursor is None
        assert app.viewed == []


async def test_a_click_beside_the_plot_picks_its_end() -> None:
    app = shown()
    async with app.run_test(size=SIZE) as pilot:
        await ready(pilot, app.curve)
        await pilot.click(Curve, offset=(0, 5))
        assert app.picked == [0]


async def test_the_wheel_asks_to_zoom_about_the_pointer() -> None:
    app = shown()
    async with app.run_test(size=SIZE) as pilot:
        await ready(pilot, app.curve)
        column = 40
        at = app.curve.x_at(column)
        assert at is not None
        await scrolled(pilot, column, up=True)
        (view,) = app.viewed
        assert view is not None
        assert view[1] - view[0] == pytest.approx(800)
        assert (at - view[0]) / 800 == pytest.approx(at / 1000)
        assert app.curve.options.view is None
        app.curve.set(view=view)
        await pilot.pause()
        await scrolled(pilot, column, up=False)
        assert app.viewed[-1] is None


async def test_zooming_out_of_everything_asks_for_nothing() -> None:
    app = shown()
    async with app.run_test(size=SIZE) as pilot:
        await ready(pilot, app.curve)
        await scrolled(pilot, 30, up=False)
        assert app.viewed == []


async def test_a_drag_pans_as_far_as_there_is_data_and_picks_nothing() -> None:
    app = shown()
    app.follows = True
    async with app.run_test(size=SIZE) as pilot:
        await ready(pilot, app.curve)
        app.curve.set(view=(400.0, 600.0))
        await pilot.pause()
        await dragged(pilot, (40, 8), (30, 8))
        moved, frame = app.curve.options.view, app.curve.frame
        assert moved is not None
        assert frame is not None
        assert moved[0] == pytest.approx(400 + 10 * 200 / frame.cols)
        for _ in range(4):
            await dragged(pilot, (10, 8), (58, 8))
        assert app.curve.options.view == pytest.approx((0, 200))
        assert app.picked == []
        assert app.curve.span() == app.curve.options.view


async def test_a_double_click_asks_for_everything() -> None:
    app = shown()
    app.follows = True
    async with app.run_test(size=SIZE) as pilot:
        await ready(pilot, app.curve)
        app.curve.set(view=(400.0, 600.0))
        await pilot.pause()
        await pilot.click(Curve, offset=(30, 8), times=2)
        assert app.viewed[-1] is None
        assert app.curve.options.view is None
        assert len(app.picked) == 1


async def test_the_caption_is_told_however_deep_the_curve_lies() -> None:
    app = shown()
    async with app.run_test(size=SIZE) as pilot:
        await ready(pilot, app.curve)
        await pilot.pause()
        assert app.captions == ["1 column = 18 steps, min–max"]


async def test_where_nothing_is_drawn_the_mouse_does_nothing() -> None:
    app = shown()
    async with app.run_test(size=SIZE) as pilot:
        await pilot.click(Curve, offset=(30, 8))
        await scrolled(pilot, 30, up=True)
        await dragged(pilot, (40, 8), (30, 8))
        assert (app.picked, app.viewed) == ([], [])


async def test_a_view_shows_its_stretch_and_none_follows_the_newest() -> None:
    app = shown()
    curve = app.curve
    async with app.run_test(size=SIZE) as pilot:
        await ready(pilot, curve)
        curve.set(view=(900.0, 1000.0))
        await pilot.pause()
        assert curve.span() == (900, 1000)
        assert "940" in lines_of(curve)[-1]
        longer = np.arange(3000)
        curve.set_series({"loss": (longer, np.ones(3000))})
        await pilot.pause()
        assert curve.span() == (900, 1000)
        curve.set(view=None)
        await pilot.pause()
        assert curve.span()[1] >= 2999


async def test_values_are_those_of_the_points_nearest_to_x() -> None:
    app = shown()
    async with app.run_test(size=SIZE):
        few = np.array([0, 100, 200])
        app.curve.set_series(
            {"loss": (STEPS, LOSS), "val": (few, few / 100), "none": (few[:0], few[:0])}
        )
        assert app.curve.values_at(160) == {"loss": (160, LOSS[160]), "val": (200, 2.0)}


async def test_the_read_out_tells_the_values_at_the_cursor() -> None:
    app = shown(readout=True)
    async with app.run_test(size=SIZE) as pilot:
        await ready(pilot, app.curve)
        assert "━ loss ⠒" not in lines_of(app.curve)[0]
        app.curve.set(cursor=200.0)
        await pilot.pause()
        assert lines_of(app.curve)[0].strip() == "step 200  ━ loss 2.104"


async def test_the_axis_is_told_in_its_unit() -> None:
    app = shown()
    async with app.run_test(size=SIZE) as pilot:
        await ready(pilot, app.curve)
        app.curve.set(unit="s")
        await pilot.pause()
        assert "10:00" in lines_of(app.curve)[-1]
        assert app.curve.caption == "1 column = 18 s, min–max"


async def test_a_column_on_a_logarithmic_axis_grows_with_x() -> None:
    app = shown()
    async with app.run_test(size=SIZE) as pilot:
        await ready(pilot, app.curve)
        app.curve.set(log_x=True)
        await pilot.pause()
        assert app.curve.span() == (1, 1000)
        app.curve.set(cursor=10.0)
        near = app.curve.column()
        app.curve.set(cursor=100.0)
        assert app.curve.column() == pytest.approx(10 * near)


async def test_what_was_written_again_is_shown_and_named() -> None:
    app = shown()
    async with app.run_test(size=SIZE) as pilot:
        await ready(pilot, app.curve)
        app.curve.set(overlaps=[(400, 500)])
        await pilot.pause()
        assert "↺═" in lines_of(app.curve)[-2]
        assert "↺ written again" in lines_of(app.curve)[0]


async def test_a_grown_run_is_drawn_again_only_where_it_changed(monkeypatch) -> None:
    app = shown(legend=False)
    curve = app.curve
    async with app.run_test(size=SIZE) as pilot:
        # The axis ends beyond the run, as it does between two leaps.
        curve.set_series({"loss": (STEPS[:900], LOSS[:900]), "end": (STEPS[::1000], LOSS[::1000])})
        await pilot.pause()
        lines_of(curve)
        sent = []
        monkeypatch.setattr(curve, "refresh", lambda *regions: sent.extend(regions))
        curve.set_series({"loss": (STEPS[:930], LOSS[:930]), "end": (STEPS[::1000], LOSS[::1000])})
        lines = {region.y for region in sent}  # of these the driver sends the cells
        assert 0 < len(lines) < curve.size.height / 2


async def test_what_is_set_together_is_drawn_once(monkeypatch: pytest.MonkeyPatch) -> None:
    app = shown()
    curve = app.curve
    async with app.run_test(size=SIZE) as pilot:
        await ready(pilot, curve)
        draw, drawn = curve.draw, []
        monkeypatch.setattr(curve, "draw", lambda *size: drawn.append(size) or draw(*size))
        curve.set(view=(100.0, 200.0), cursor=150.0, unit="s", log_y=True)
        await pilot.pause()
        assert len(drawn) == 1
        curve.set(cursor=160.0)
        curve.set_series({"loss": (STEPS, LOSS + 1)})
        await pilot.pause()
        assert len(drawn) == 2


@pytest.mark.parametrize("log", [False, True])
async def test_series_that_hold_nothing_to_draw_are_no_trouble(log: bool) -> None:
    app = shown()
    curve = app.curve
    curve.set(log_x=log, log_y=log)
    async with app.run_test(size=SIZE) as pilot:
        for values in (np.full(5, np.nan), np.zeros(5), np.full(5, -np.inf), np.array([1e300] * 5)):
            curve.set_series({"x": (np.zeros(5), values)}, {"x": "smoothed"})
            await pilot.pause()
            assert len(lines_of(curve)) == SIZE[1]
            assert lines_of(curve)[0].strip().startswith("━ x")


@pytest.mark.parametrize("size", [(1, 1), (9, 3), (80, 24), (200, 60)])
async def test_it_fills_any_room_and_every_part_has_a_style(size: tuple[int, int]) -> None:
    app = shown()
    async with app.run_test(size=size) as pilot:
        await ready(pilot, app.curve)
        assert [len(line) for line in lines_of(app.curve)] == [size[0]] * size[1]
        lines = [app.curve.render_line(y) for y in range(size[1])]
        assert all(segment.style is not None for line in lines for segment in line)
