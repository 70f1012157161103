import pytest
from rich.cells import cell_len
from widget_stage import Stage, lines_of

from genui.ui.widgets.progress import StepBar


async def test_it_tells_step_share_and_time_left() -> None:
    bar = StepBar()
    async with Stage(bar).run_test(size=(80, 3)):
        bar.set(1240, 4000, 252.0)
        (line,) = lines_of(bar)
        assert line.startswith("step 1,240/4,000 ▄▄")
        assert line.rstrip().endswith(" 31 %  ETA ~4 min")
        done, rest = line.count("▄"), line.count("▁")
        assert done / (done + rest) == pytest.approx(0.31, abs=0.02)


async def test_an_unknown_end_and_an_unknown_time_are_left_out() -> None:
    bar = StepBar()
    async with Stage(bar).run_test(size=(60, 3)):
        bar.set(12, 0)
        (line,) = lines_of(bar)
        assert line.strip() == "step 12"
        assert "%" not in line
        assert "ETA" not in line


async def test_the_end_is_full_and_clearing_is_empty() -> None:
    bar = StepBar()
    async with Stage(bar).run_test(size=(60, 3)):
        bar.set(5000, 4000, 0.0)
        assert "▁" not in lines_of(bar)[0]
        assert "100 %" in lines_of(bar)[0]
        bar.clear()
        assert "▄" not in lines_of(bar)[0]


async def test_the_first_steps_say_nothing_about_the_time_left() -> None:
    bar = StepBar()
    async with Stage(bar).run_test(size=(60, 3)):
        bar.set(4, 4000, 21_152.0)
        assert "ETA" not in lines_of(bar)[0]
        bar.set(5, 4000, 21_152.0)
        assert "ETA ~6 h" in lines_of(bar)[0]


@pytest.mark.parametrize("width", [5, 24, 30, 40])
async def test_what_does_not_fit_is_dropped_whole(width: int) -> None:
    bar = StepBar()
    async with Stage(bar).run_test(size=(width, 3)):
        bar.set(1240, 4000, 252.0)
        (line,) = lines_of(bar)
        assert cell_len(line) == width
        assert "ETA" not in line or "~4 min" in line
