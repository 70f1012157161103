import pytest
from rich.cells import cell_len
from widget_stage import Stage, lines_of, styles_of

from genui.protocol import Candidate, TextFrame
from genui.ui.widgets.candidates import Candidates, bar, token_text

ODDS = (
    Candidate(5, " the", 0.31, 0.36),
    Candidate(6, " yon", 0.17, 0.20),
    Candidate(7, "\n", 0.12, 0.0),
)


async def test_the_empty_state_says_what_will_come() -> None:
    candidates = Candidates("Odds show here")
    async with Stage(candidates).run_test(size=(40, 5)):
        assert lines_of(candidates)[2].strip() == "Odds show here"
        candidates.show(ODDS)
        candidates.clear()
        assert lines_of(candidates)[2].strip() == "Odds show here"


async def test_one_line_a_candidate_with_both_probabilities() -> None:
    candidates = Candidates()
    async with Stage(candidates).run_test(size=(50, 6)):
        candidates.show(ODDS, 6, 2.71, "T 0.8")
        lines = [line.rstrip() for line in lines_of(candidates)]
        assert lines[0].startswith("  ·the 0.31→0.36 ███")
        assert lines[1].startswith("▸ ·yon 0.17→0.20 ███")
        assert lines[2] == "     ⏎ 0.12→  ✂"
        assert lines[3] == "entropy 2.7 bits · 2 of 3 kept · T 0.8"
        assert lines[0].count("█") > lines[1].count("█")


async def test_the_chosen_one_has_a_mark_and_a_colour_of_its_own() -> None:
    candidates = Candidates()
    async with Stage(candidates).run_test(size=(50, 6)):
        candidates.show(ODDS, 6)
        bars = [style for text, style in styles_of(candidates) if "█" in text]
        assert bars[0] != bars[1]


async def test_in_detail_each_probability_has_a_line() -> None:
    candidates = Candidates(detail=True)
    async with Stage(candidates).run_test(size=(50, 9)) as pilot:
        candidates.show_frame(
            TextFrame(
                trace=1, step=1, token=6, text=" yon", surprisal=2, entropy=1.5, candidates=ODDS
            )
        )
        lines = [line.rstrip() for line in lines_of(candidates)]
        assert lines[2].startswith("▸ ·yon 0.17 ░░")
        assert lines[3].startswith("       0.20 ██")
        candidates.detail = False
        await pilot.pause()
        assert lines_of(candidates)[1].startswith("▸ ·yon 0.17→0.20")


@pytest.mark.parametrize("size", [(10, 1), (14, 3), (26, 4), (120, 2)])
@pytest.mark.parametrize("detail", [False, True])
async def test_any_room_will_do(size: tuple[int, int], detail: bool) -> None:
    candidates = Candidates(detail=detail)
    async with Stage(candidates).run_test(size=size) as pilot:
        candidates.show(ODDS, 5, 2.0, "a rather long note about the settings")
        await pilot.pause()
        assert {cell_len(line) for line in lines_of(candidates)} == {size[0]}


def test_tokens_can_be_read() -> None:
    assert token_text(" a\tb\n") == "·a⇥b⏎"
    assert token_text("") == "∅"
    assert token_text("\x1b[31m") == "�"
    assert token_text("abcdefgh", 5) == "abcd…"


def test_a_bar_is_exact_to_an_eighth_and_never_nothing_for_something() -> None:
    assert bar(0.5, 10) == "█████"
    assert bar(0.525, 10) == "█████▎"
    assert bar(1e-9, 10) == "▏"
    assert bar(0.0, 10) == ""
    assert bar(2.0, 3) == "███"
