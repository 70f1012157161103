"""A piano roll in one system or two."""

import pytest
from widget_stage import Stage, lines_of

from genui.kinds.music.roll import TALL, Roll
from genui.kinds.music.score import Note, columns_of

pytestmark = pytest.mark.usefixtures("app_stage", "truecolour")

BAR, BEGINS, LENGTH = 16, 12, 400  # sixteenths; the piece begins with an upbeat of four
PIECE = columns_of([Note(0, 48 + 5 * n % 36, 4 * n, 4 * n + 4) for n in range(LENGTH // 4)], LENGTH)


def heads_of(roll: Roll) -> list[int]:
    """The lines with bar numbers: of each system the first."""
    return [y for y, line in enumerate(lines_of(roll)) if any(c.isdigit() for c in line[4:])]


async def test_a_tall_roll_has_two_systems_of_whole_bars() -> None:
    roll = Roll()
    async with Stage(roll).run_test(size=(74, TALL)) as pilot:
        roll.show(PIECE, BAR, BEGINS, 0, 0)
        lines = lines_of(roll)
        assert heads_of(roll) == [0, TALL // 2]
        # 70 cells are four bars; the first has only the upbeat. The lower system begins where the
        # upper ends.
        assert lines[0][4:].split() == ["▾", "1", "2", "3"]
        assert lines[TALL // 2][4:].split() == ["4", "5", "6", "7"]
        assert sum(line.count("S") for line in lines) == (4 + 3 * BAR + 4 * BAR) // 4
        await pilot.resize_terminal(74, TALL - 1)
        await pilot.pause()
        assert heads_of(roll) == [0]


async def test_the_playhead_goes_on_in_the_lower_system_under_the_bars_before() -> None:
    roll = Roll()
    async with Stage(roll).run_test(size=(74, TALL)):
        roll.show(PIECE, BAR, BEGINS, 0, 0)
        end = 4 + 7 * BAR
        roll.show(PIECE, BAR, BEGINS, 0, end - 1)
        assert "▾" in lines_of(roll)[TALL // 2]
        assert roll.first == 0
        roll.show(PIECE, BAR, BEGINS, 0, end)
        lines = lines_of(roll)
        assert lines[0][4:].split() == ["4", "5", "6", "7"]
        assert lines[TALL // 2][4:].split() == ["▾", "9", "10", "11"]  # the head hides bar 8


async def test_a_roll_uses_all_of_its_lines() -> None:
    roll = Roll()
    async with Stage(roll).run_test(size=(74, 30)):
        roll.show(PIECE, BAR, BEGINS, 0, 0)  # 38 semitones in 29 lines
        assert all("│" in line or "S" in line for line in lines_of(roll)[1:])


async def test_the_last_page_of_a_piece_is_full_also_after_a_resize() -> None:
    roll = Roll()
    async with Stage(roll).run_test(size=(74, TALL - 1)) as pilot:
        roll.show(PIECE, BAR, BEGINS, 4 * LENGTH, LENGTH - 1, ended=True)
        assert lines_of(roll)[0][4:].split()[0] == "22"  # of 25, four to a line
        await pilot.resize_terminal(74, TALL)
        await pilot.pause()
        lines = lines_of(roll)
        assert lines[0][4:].split() == ["18", "19", "20", "21"]
        assert lines[TALL // 2][4:].split()[:3] == ["22", "23", "24"]
        roll.show(PIECE, BAR, BEGINS, 0, 0)  # back at the start
        assert lines_of(roll)[0][4:].split()[:2] == ["▾", "1"]
