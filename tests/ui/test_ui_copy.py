"""What `y` copies, what `/` searches, and messages that move nothing."""

import base64
import shlex
from collections.abc import Callable

import pytest
import stage
from acting import Opener, board_of, home_of, seen, until, until_seen
from msgspec.structs import replace
from textual.widget import Widget

from genui.base.errors import MisuseError
from genui.cli.generate import configure_generate
from genui.cli.parser import Parser
from genui.cli.request import parse_request
from genui.formats.command import format_command, quote
from genui.protocol import (
    AddNoise,
    Axis,
    EditAt,
    ImageSettings,
    RgbImage,
    SetPrompt,
    SetSeed,
    SetSettings,
    Start,
    TextSettings,
    WriteText,
    WriteToken,
)
from genui.protocol.kinds import KINDS
from genui.runs.models import find_model
from genui.ui.branches import BranchesScreen
from genui.ui.driver import MAX_PENDING, MeteredWriter
from genui.ui.organise import train_command
from genui.ui.widgets.dialogs import ChooseScreen
from genui.ui.widgets.prose import Prose

TEXT, IMAGE = KINDS["transformer", "text"], KINDS["diffusion", "image"]
FROM_FILE = Start(
    trace=0, model="icons", prompt="", seed=1, settings=ImageSettings(), init="/tmp/a b.png"
)


def parse(command: str) -> Start:
    """The trace that the command makes."""
    name, verb, *words = shlex.split(command)
    assert (name, verb) == ("genui", "generate")
    parser = Parser(prog="genui generate")
    configure_generate(parser)
    return parse_request(parser.parse_args(words)).starts[0]


@pytest.mark.parametrize(
    ("start", "kind"),
    [
        (
            Start(
                trace=0,
                model="shakespeare",
                prompt="JULIET's",
                seed=7,
                settings=TextSettings(temperature=0.7, top_k=40),
                edits=(
                    EditAt(step=3, edit=WriteToken(12)),
                    EditAt(step=9, edit=WriteText("and so")),
                    EditAt(step=9, edit=SetSettings(TextSettings(temperature=0.9, top_k=40))),
                ),
            ),
            TEXT,
        ),
        (
            Start(
                trace=0,
                model="icons",
                prompt="green cat on white",
                seed=3,
                settings=ImageSettings(sampler="heun", steps=12, guidance=3.5),
                edits=(
                    EditAt(step=4, edit=SetSeed(9)),
                    EditAt(step=5, edit=SetPrompt("red cat")),
                    EditAt(step=8, edit=AddNoise(to=2)),
                ),
            ),
            IMAGE,
        ),
        (
            Start(
                trace=0,
                model="icons",
                prompt="heart",
                seed=0,
                settings=ImageSettings(),
                grid=(
                    Axis(name="seed", values=("1", "2")),
                    Axis(name="caption", values=("red heart", "blue star")),
                ),
            ),
            IMAGE,
        ),
        (FROM_FILE, IMAGE),
    ],
)
def test_the_command_is_read_as_the_same_request(shipped, start: Start, kind) -> None:
    assert parse(format_command(start, kind, find_model(start.model).defaults)) == start


def test_new_lines_are_quoted_for_bash() -> None:
    assert quote("JULIET:\n") == "$'JULIET:\\n'"
    assert quote("it's\n\\") == "$'it\\'s\\n\\\\'"


@pytest.mark.parametrize("change", ["image", "mask"])
def test_what_cannot_be_typed_has_no_command(change: str) -> None:
    masked = (EditAt(step=1, edit=AddNoise(to=0, mask=b"1")),)
    pixel = RgbImage(width=1, height=1, rgb=b"123")
    start = (
        replace(FROM_FILE, init=pixel) if change == "image" else replace(FROM_FILE, edits=masked)
    )
    with pytest.raises(MisuseError):
        format_command(start, IMAGE)


async def test_y_copies_the_text_or_the_command_and_slash_searches_the_text(
    shipped, open_app: Opener
) -> None:
    async with open_app() as pilot:
        await pilot.press("2")
        await pilot.app.run_action("screen.copy")
        await until_seen(pilot, "nothing to copy")
        await pilot.press("end")
        prose = home_of(pilot).query_one(Prose)
        await until(pilot, lambda: prose.token_count > 20)
        await pilot.app.run_action("screen.copy")
        await until(pilot, lambda: isinstance(pilot.app.screen, ChooseScreen))
        await pilot.press("enter")
        await until_seen(pilot, "copied the text")
        assert pilot.app.clipboard == prose.text
        await pilot.app.run_action("screen.copy")
        await until(pilot, lambda: isinstance(pilot.app.screen, ChooseScreen))
        await pilot.press("end", "enter")
        await until_seen(pilot, "copied the command")
        assert pilot.app.clipboard.startswith("genui generate shakespeare --prompt")
        await pilot.press("2", "end")
        prose = home_of(pilot).query_one(Prose)
        await until(pilot, lambda: prose.token_count > 20)
        word = prose.text.split()[0].lower()
        count = prose.text.lower().count(word)
        await pilot.press("slash", *word)
        await until_seen(pilot, f"match 1 of {count}")
        here, others = prose.get_component_rich_style("rows--hit-here"), []
        for line in range(len(prose._flow)):
            others += [text for text, style, _ in prose._draw_line(line) if style == here]
        assert "".join(others).lower() == word
        await pilot.press("enter", "up")
        assert f"match 1 of {count}" in seen(pilot)
        await pilot.press(*"zq")
        await until_seen(pilot, "in this text")
        await pilot.press("escape")
        assert not prose._hits
        assert pilot.app.focused is not None
        assert pilot.app.focused.id == "text"


async def test_y_copies_the_command_that_trains_a_run(shipped, open_app: Opener) -> None:
    run = stage.make_run(name="plays")
    async with open_app() as pilot:
        await until_seen(pilot, "plays")
        await pilot.press("y")
        await until(pilot, lambda: isinstance(pilot.app.screen, ChooseScreen))
        await pilot.press("down", "enter")
        await until_seen(pilot, "copied the command")
        command = train_command(next(each.info for each in home_of(pilot).runs))
        assert pilot.app.clipboard == command
        assert command == "genui train shakespeare --set steps=4000 --name plays"
        assert run.path.exists()


def test_a_copy_is_sent_even_if_the_terminal_is_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    """OSC 52 is longer than most commands to the terminal, and is no repaint."""

    class File:
        def fileno(self) -> int:
            return -1

    writer = MeteredWriter(File(), lambda: None)  # type: ignore[arg-type]
    monkeypatch.setattr(MeteredWriter, "pending", property(lambda self: MAX_PENDING + 1))
    copy = f"\x1b]52;c;{base64.b64encode(bytes(1000)).decode()}\a"
    writer.write(copy)
    writer.write("\x1b[1;1H" + "x" * 1000)
    assert b"".join(writer._pieces).decode() == copy


# --- Searching --------------------------------------------------------------------------------


async def test_slash_searches_the_models_from_any_pane_and_the_branches(
    shipped, open_app: Opener
) -> None:
    async with open_app() as pilot:
        home = home_of(pilot)
        await pilot.press("3", "end", "slash", *"emoji")
        assert (home.view, home.current) == ("home", "models")
        await until(pilot, lambda: "1 of 4" in seen(pilot))
        await pilot.press("escape", "3", "r", "b")
        await until(pilot, lambda: isinstance(pilot.app.screen, BranchesScreen))
        await pilot.press("slash", *"seed 1")
        rows = pilot.app.screen.query_one("RowList")
        await until(pilot, lambda: [row.left for row in rows.rows] == ["seed 1"])  # type: ignore[attr-defined]


# --- Messages ---------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
async def test_a_message_moves_nothing(shipped, open_app: Opener, size: tuple[int, int]) -> None:
    stage.make_run()

    def regions(root: Widget) -> dict[Widget, object]:
        return {w: w.region for w in root.walk_children(Widget) if w.id != "status" and w.display}

    async with open_app(size) as pilot:
        await until_seen(pilot, "plays-2")
        for view, screen in (("1", home_of), ("4", board_of)):
            screen: Callable
            await pilot.press(view)
            await pilot.pause()
            front = screen(pilot)
            front.clear_line()
            await pilot.pause()
            before = regions(front)
            front.say("a long message " * 12, "note")
            await pilot.pause()
            assert "a long message" in seen(pilot)
            assert regions(front) == before
