import pytest
from msgspec.structs import replace
from rich.cells import cell_len
from widget_stage import Stage, lines_of, styles_of

from genui.protocol import Candidate, TextFrame
from genui.render.shares import bar
from genui.ui.widgets.candidates import Candidates, token_text

TABLE_ODDS = (
    Candidate(5, " the", 0.31, 0.36, 4.25, ""),
    Candidate(6, " yon", 0.17, 0.20, 3.65, ""),
    Candidate(7, "\n", 0.12, 0.0, -1.5, "min-p"),
)


def frame(**changes: object) -> TextFrame:
    told = TextFrame(
        trace=1,
        step=9,
        token=6,
        text=" yon",
        surprisal=2.56,
        entropy=1.5,
        sampled_entropy=0.94,
        u=0.613,
        low=0.58,
        high=0.71,
        kept=24,
        candidates=TABLE_ODDS,
    )
    return replace(told, **changes)


async def test_the_empty_state_says_what_will_come() -> None:
    candidates = Candidates()
    async with Stage(candidates).run_test(size=(40, 5)):
        assert lines_of(candidates)[2].strip() == "The next token's candidates show here"
        candidates.show_frame(frame())
        candidates.clear()
        assert lines_of(candidates)[2].strip() == "The next token's candidates show here"


async def test_one_line_a_candidate_with_both_probabilities() -> None:
    candidates = Candidates()
    async with Stage(candidates).run_test(size=(50, 6)):
        candidates.show_frame(frame(entropy=2.71), "T 0.8")
        lines = [line.rstrip() for line in lines_of(candidates)]
        assert lines[0].startswith("  ·the 0.31→0.36 ███")
        assert lines[1].startswith("▸ ·yon 0.17→0.20 ███")
        assert lines[2] == "     ⏎ 0.12→  ✂"
        assert lines[3] == "entropy 2.7 bits · 2 of 3 kept · T 0.8"
        assert lines[0].count("█") > lines[1].count("█")


async def test_the_chosen_one_has_a_mark_and_a_colour_of_its_own() -> None:
    candidates = Candidates()
    async with Stage(candidates).run_test(size=(50, 6)):
        candidates.show_frame(frame())
        bars = [style for text, style in styles_of(candidates) if "█" in text]
        assert bars[0] != bars[1]


async def test_the_table_has_logits_filters_and_how_the_choice_fell() -> None:
    candidates = Candidates()
    async with Stage(candidates).run_test(size=(50, 18)):
        candidates.table = True
        candidates.show_frame(frame())
        lines = [line.rstrip() for line in lines_of(candidates)]
        assert lines[0] == "  token model logit drawn"
        assert lines[1].startswith("   ·the 0.310   4.2 0.360 ████")
        assert lines[2].startswith("▸  ·yon 0.170   3.6 0.200 ███")
        assert lines[3] == "      ⏎ 0.120  −1.5     ✂ min-p"
        assert lines[5:8] == [
            "surprise 2.56 bits · kept 24 tokens",
            "entropy 1.50 → 0.94 bits",
            "random number 0.613 falls in 0.58–0.71",
        ]
        ruler = lines[8]
        assert (ruler[0], ruler[-1]) == ("0", "1")
        assert ruler[2 + int(0.613 * 46)] == "●"
        assert ruler.count("━") == 32 - 26


async def test_a_choice_that_was_not_drawn_says_so() -> None:
    candidates = Candidates()
    async with Stage(candidates).run_test(size=(50, 18)):
        candidates.table = True
        candidates.show_frame(frame(forced=True))
        assert "forced: written by hand" in "".join(lines_of(candidates))
        candidates.show_frame(frame(), greedy=True)
        assert "greedy: the likeliest is taken" in "".join(lines_of(candidates))
        assert "is in" not in "".join(lines_of(candidates))


async def test_the_selected_one_is_marked_and_stays_in_sight() -> None:
    many = tuple(Candidate(n, f"t{n}", 0.1, 0.1) for n in range(12))
    candidates = Candidates()
    async with Stage(candidates).run_test(size=(34, 9)):
        candidates.table = True
        candidates.show_frame(frame(candidates=many, token=3))
        assert lines_of(candidates)[4].startswith("▸")
        candidates.selected = 11
        lines = lines_of(candidates)
        assert lines[5].startswith("→   t11")
        assert not any(line.startswith("▸") for line in lines)
        # The background of the selection is the text's alone: the bar looks as those beside it.
        bars = {style for text, style in styles_of(candidates) if "█" in text}
        (selected,) = (style for text, style in styles_of(candidates) if text.startswith("→"))
        assert len(bars) == 1
        assert selected not in bars


@pytest.mark.parametrize("table", [False, True])
async def test_the_chosen_one_is_in_sight_wherever_it_stands(table: bool) -> None:
    many = tuple(Candidate(n, f"t{n}", 0.1, 0.1) for n in range(12))
    candidates = Candidates()
    async with Stage(candidates).run_test(size=(40, 8)):
        candidates.table = table
        candidates.show_frame(frame(candidates=many, token=11))
        assert sum(line.startswith("▸") for line in lines_of(candidates)) == 1


@pytest.mark.parametrize("size", [(10, 1), (14, 3), (26, 4), (120, 2)])
@pytest.mark.parametrize("table", [False, True])
async def test_any_room_will_do(size: tuple[int, int], table: bool) -> None:
    candidates = Candidates()
    async with Stage(candidates).run_test(size=size) as pilot:
        candidates.table = table
        candidates.show_frame(frame(), "a rather long note about the settings")
        candidates.selected = 2 if table else None
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
