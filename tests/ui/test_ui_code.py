"""Code in the Text pane: its words coloured while it streams, and whether it parses."""

import pytest
from acting import Opener, home_of, seen, until, until_seen
from rich.style import Style
from textual.pilot import Pilot

from genui.protocol import TextSettings
from genui.protocol.kinds import KINDS
from genui.ui.generate.pane import TracePane
from genui.ui.generate.text import TextView
from genui.ui.widgets.lists import RowList
from genui.ui.widgets.prose import CodeProse


async def write(pilot: Pilot[None], tokens: int, prompt: str = "def ") -> TracePane:
    """Full-screen, that many tokens of code written, held at the last."""
    home = home_of(pilot)
    pane = home.query_one("#text", TracePane)
    model = next(model for model in home.models if model.name == "python")
    pane.controller.use_model(model)
    pane.controller.prompt = prompt
    await pilot.press("2", *["right"] * tokens)
    await until(pilot, lambda: pane.trace is not None and pane.trace.position == tokens)
    return pane


def looks(pilot: Pilot[None], word: str) -> Style:
    """The style of the segment of the prose that a word is drawn in."""
    prose = home_of(pilot).query_one(CodeProse)
    for y in range(prose.size.height):
        for segment in prose.render_line(y):
            if word in segment.text and segment.style is not None:
                return segment.style
    pytest.fail(f"{word!r} is not on the screen:\n{seen(pilot)}")


async def test_words_are_coloured_by_their_kind_and_by_surprise_at_a_key(
    shipped, open_app: Opener
) -> None:
    async with open_app() as pilot:
        await write(pilot, 9)
        await pilot.press("right")
        kinds = {word: looks(pilot, word).color for word in ("return", "twice", "so", "2")}
        assert len(set(kinds.values())) == 4
        assert looks(pilot, "return").bold
        assert looks(pilot, "so").italic
        by_kind = looks(pilot, "return").color
        await pilot.press("text.highlight")
        assert not looks(pilot, "return").bold
        await pilot.press("text.highlight")
        assert looks(pilot, "return").color == by_kind


async def test_the_kinds_need_no_colour(
    shipped, open_app: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    async with open_app() as pilot:
        await write(pilot, 9)
        assert looks(pilot, "return").bold
        assert looks(pilot, "so").italic


@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
async def test_it_says_whether_it_parses_as_it_goes(
    shipped, open_app: Opener, size: tuple[int, int]
) -> None:
    async with open_app(size=size) as pilot:
        await write(pilot, 1)
        await until_seen(pilot, "unfinished at line 1")
        await pilot.press(*["right"] * 7)
        await until_seen(pilot, "parses")
        await pilot.press(*["right"] * 8)
        await until_seen(pilot, "breaks at line 5")
        await pilot.press(*["left"] * 8)
        await until_seen(pilot, "parses")


async def test_where_it_breaks_the_line_is_marked(shipped, open_app: Opener) -> None:
    async with open_app() as pilot:
        pane = await write(pilot, 16)
        await until_seen(pilot, "breaks at line 5")
        assert looks(pilot, "broken").underline is None
        prose = pane.query_one(CodeProse)
        lines = [prose.render_line(y) for y in range(prose.size.height)]
        marked = [s.text for line in lines for s in line if s.style and s.style.underline]
        assert "".join(marked).strip() == "):"


async def test_other_text_is_neither_coloured_nor_parsed(shipped, open_app: Opener) -> None:
    async with open_app() as pilot:
        await pilot.press("2", "right", "right")
        pane = home_of(pilot).query_one("#text", TracePane)
        await until(pilot, lambda: pane.trace is not None and pane.trace.position == 2)
        assert "parses" not in seen(pilot)
        assert pane.query_one(TextView).code.result is None
        await pilot.press("text.highlight")
        await until_seen(pilot, "only models of code")


async def test_the_middle_streams_between_what_stands_around_the_gap(
    shipped, open_app: Opener
) -> None:
    async with open_app() as pilot:
        pane = await write(pilot, 2, "x = <FILL>\nprint(x)")
        prose = pane.query_one(CodeProse)
        before = prose.text
        assert before.startswith("x = area(r):")
        assert before.endswith("\nprint(x)")
        await pilot.press("right")
        await until(pilot, lambda: prose.text != before)
        assert prose.text.endswith("\nprint(x)")
        assert "print(x)" in seen(pilot)
        await pilot.press("home")
        assert prose.text == "x = \nprint(x)"


async def test_code_has_settings_of_its_own_and_may_be_written_without_the_grammar(
    shipped, open_app: Opener
) -> None:
    async with open_app() as pilot:
        pane = await write(pilot, 3)
        await until(pilot, lambda: grammar(pane) == "Python")
        await pilot.press("text.grammar")
        await until(pilot, lambda: grammar(pane) == "off")
        assert isinstance(pane.controller.settings, TextSettings)
        assert pane.controller.settings.grammar == "none"
        await until_seen(pilot, "no grammar")  # the branch
        await pilot.press("text.grammar")
        await until(pilot, lambda: grammar(pane) == "Python")
        assert pane.controller.settings == KINDS["transformer", "code"].defaults
        await pilot.press("minus")
        cooler = pane.controller.settings
        assert cooler != KINDS["transformer", "code"].defaults
        models = {model.name: model for model in home_of(pilot).models}
        pane.controller.use_model(models["shakespeare"])
        assert pane.controller.settings == TextSettings()
        pane.controller.use_model(models["python"])
        assert pane.controller.settings == cooler


def grammar(pane: TracePane) -> str:
    """The row of the Settings panel."""
    rows = pane.query_one(".settings RowList", RowList).rows
    return next(row.right for row in rows if row.key == "grammar")
