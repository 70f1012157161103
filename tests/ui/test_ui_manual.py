"""The search of the in-app manual, over all its pages."""

import pytest
from acting import Opener, seen, until, until_seen
from textual.pilot import Pilot

from genui.base.manual import list_passages, title_of
from genui.protocol.manual import read_page, topics
from genui.ui.manual import ManualScreen
from genui.ui.widgets.inputs import FilterLine
from genui.ui.widgets.lists import RowList


async def searched(pilot: Pilot[None], words: str) -> RowList:
    """Open the manual and search it; the list of what is found."""
    await pilot.press("f1")
    await until(pilot, lambda: isinstance(pilot.app.screen, ManualScreen))
    await pilot.press("slash", *words)
    rows = pilot.app.screen.query_one(RowList)
    await until(pilot, lambda: bool(rows.rows))
    return rows


async def test_words_are_found_in_all_pages_and_enter_opens_the_place(
    shipped, open_app: Opener
) -> None:
    async with open_app((80, 24)) as pilot:
        rows = await searched(pilot, "flush_secs")
        assert "watching" in {row.left for row in rows.rows}
        assert all("flush_secs" in row.middle for row in rows.rows)
        first = rows.rows[0].left
        await pilot.press("enter")
        await until_seen(pilot, f"Manual: {title_of(read_page(first))}")
        await until_seen(pilot, "flush_secs")
        assert "match 1 of" in seen(pilot)


async def test_letters_in_the_search_are_text_and_n_goes_from_match_to_match(
    shipped, open_app: Opener
) -> None:
    async with open_app() as pilot:
        rows = await searched(pilot, "quit training")
        screen = pilot.app.screen
        assert isinstance(screen, ManualScreen)  # q closes it, i and t open other lists
        assert screen.query_one(FilterLine).value == "quit training"
        await pilot.press("escape")
        assert pilot.app.screen is screen
        assert not rows.display
        await pilot.press("slash")
        assert screen.query_one(FilterLine).has_focus
        await pilot.press("escape", "escape")
        assert pilot.app.screen is not screen
        rows = await searched(pilot, "guidance")
        await until(pilot, lambda: any(row.left == "commands" for row in rows.rows))
        pages = [row.left for row in rows.rows]
        await pilot.press("down", "enter")
        await until_seen(pilot, "match 2 of")
        assert f"Manual: {title_of(read_page(pages[1]))}" in seen(pilot)
        await pilot.press("n")
        await until_seen(pilot, "match 3 of")
        await pilot.press("N", "N", "N")
        await until_seen(pilot, f"match {len(pages)} of {len(pages)}")


async def test_the_page_of_commands_is_searched_too_and_what_is_missing_is_said(
    shipped, open_app: Opener
) -> None:
    async with open_app() as pilot:
        rows = await searched(pilot, "--guidance")
        await until(pilot, lambda: any(row.left == "commands" for row in rows.rows))
        await pilot.press(*"zzq")
        await until_seen(pilot, "no passage has all of these words")
        await pilot.press("enter")
        assert isinstance(pilot.app.screen, ManualScreen)


@pytest.mark.parametrize("topic", sorted({*topics()} - {"keys"}))
def test_a_passage_has_the_line_in_which_it_begins(topic: str) -> None:
    page = read_page(topic)
    lines = page.splitlines()
    passages = list(list_passages(topic, page))
    assert passages
    for passage in passages:
        first = passage.text.splitlines()[0]
        shown = " ".join(lines[passage.line].replace("\\|", "|").strip("| ").split())
        assert "".join(first.split())[:12] in "".join(shown.replace("|", "").split())
