"""Chats in the Text pane: the next message, answers again, and the template's own tokens."""

from pathlib import Path

import pytest
from acting import SIZES, Opener, each_size, home_of, seen, until, until_seen
from fake_session import FakeSession, Listener
from msgspec.structs import replace

from genui.protocol import Patch, SendMessage, SetSeed, SetSettings, TextSettings
from genui.runs.models import ModelInfo
from genui.ui.generate.chat import ChatController
from genui.ui.generate.pane import TracePane
from genui.ui.widgets.prose import Prose

INSTRUCT = ModelInfo(
    ref="smol", name="smol", family="pretrained", medium="text", dataset="", parameters=1, step=0,
    summary="", path=Path("smol.gguf"), source="added", format="gguf", chat=True,
)  # fmt: skip
BASE = ModelInfo(
    ref="plays", name="plays", family="transformer", medium="text", dataset="", parameters=1,
    step=1, summary="", path=Path(), source="shipped",
)  # fmt: skip


class Chat:
    """A chat without an app."""

    def __init__(self) -> None:
        self.listener = Listener()
        self.session = FakeSession(self.listener)
        self.controller = ChatController(
            self.session, self.listener, TextSettings(tokens=6), first=1, steps="tokens"
        )
        self.listener.controller = self.controller

    def play(self) -> None:
        """Play to the end of the answer."""
        self.session.deliver()
        trace = self.controller.trace
        assert trace is not None
        while trace.playing:
            trace.tick(1.0, 1)

    @property
    def edits(self) -> list[tuple[int, object]]:
        trace = self.controller.trace
        assert trace is not None
        return [(at.step, at.edit) for at in trace.request.edits]

    @property
    def lines(self) -> list[tuple[str, int]]:
        return [(branch.label, depth) for branch, depth in self.controller.tree.lines()]


@pytest.fixture
def chat() -> Chat:
    chat = Chat()
    chat.controller.use_model(INSTRUCT)
    chat.controller.settings = TextSettings(tokens=6)
    return chat


def test_a_watermark_key_is_offered_while_a_watermark_is_on(chat: Chat) -> None:
    controller = chat.controller
    assert not controller.offers("watermark_key")
    assert "only models of code" in controller.refusal("highlight")
    controller.settings = TextSettings(watermark="green")
    assert controller.offers("watermark_key")


def test_a_model_with_a_template_chats_and_any_other_continues_text(chat: Chat) -> None:
    controller = chat.controller
    assert controller.line_label == "message"
    controller.open_model(INSTRUCT)  # nothing is said yet: the line opens
    assert (chat.listener.asks, controller.trace) == (1, None)
    controller.system = "Be brief."
    controller.take_line("Hi")
    chat.play()
    assert controller.trace is not None
    request = controller.trace.request
    assert (request.chat, request.system, request.prompt) == (True, "Be brief.", "Hi")
    controller.use_model(BASE)
    assert controller.line_label == ""
    controller.take_line("Once")
    assert controller.trace is not None
    assert not controller.trace.request.chat
    assert controller.trace.request.system == ""
    controller.show_branch(0)
    assert (controller.chat, controller.system) == (True, "Be brief.")


def test_messages_follow_answers_and_another_one_is_a_branch(chat: Chat) -> None:
    controller = chat.controller
    controller.take_line("Hi")
    chat.play()
    assert controller.line_text == ""
    controller.take_line("More")
    assert controller.trace is not None
    assert controller.trace.unanswered[1].text == "More"
    chat.play()
    assert chat.edits == [(6, SendMessage("More"))]
    assert (controller.trace.total, controller.trace.position) == (12, 12)
    assert controller.trace.unanswered == ()
    controller.take_line("Stop")
    chat.play()
    assert chat.edits == [(6, SendMessage("More")), (12, SendMessage("Stop"))]
    # One after the other they are one line of the tree; from the same step they are branches.
    assert chat.lines == [("seed 1", 0), ("“More”", 0), ("“Stop”", 0)]
    controller.seek(6)
    controller.take_line("Less")
    chat.play()
    assert chat.edits == [(6, SendMessage("Less"))]
    assert chat.lines == [("seed 1", 0), ("“More”", 1), ("“Stop”", 1), ("“Less”", 1)]
    controller.take_line("  ")
    assert "the message is empty" in chat.listener.lines[-1]
    controller.seek(0)
    assert controller.line_text == "Hi"  # here the first message is edited
    assert controller.undo().startswith("back to “Stop”")


def test_r_answers_the_last_message_again(chat: Chat, monkeypatch: pytest.MonkeyPatch) -> None:
    controller = chat.controller
    controller.take_line("Hi")
    chat.play()
    controller.take_line("More")
    chat.play()
    monkeypatch.setattr("random.randrange", lambda *bounds: 7)
    for _ in range(2):  # again and again, always beside the first answer
        controller.reseed()
        chat.play()
        assert chat.edits == [(6, SendMessage("More")), (6, SetSeed(7))]
        assert controller.trace is not None
        assert controller.trace.total == 12
    assert controller.tree.shown is not None
    assert controller.tree.shown.parent == 0
    controller.seek(0)
    controller.take_line("Hello")
    chat.play()
    controller.reseed()  # nothing was said after the first message
    assert chat.edits == []
    assert controller.prompt == "Hello"


def test_settings_changed_after_an_answer_hold_from_the_next_message_on(chat: Chat) -> None:
    controller = chat.controller
    controller.take_line("Hi")
    chat.play()
    before = controller.trace
    warm = replace(controller.settings, temperature=1.5)
    controller.change(warm)
    controller.apply("temperature 1.5")
    assert controller.trace is before
    assert "from the next message" in chat.listener.lines[-1]
    controller.take_line("More")
    chat.play()
    assert chat.edits == [(6, SendMessage("More")), (6, SetSettings(warm))]


# --- the pane -----------------------------------------------------------------------------


async def test_the_pane_asks_for_messages_names_roles_and_shows_the_template(
    shipped: Path, open_app: Opener
) -> None:
    async with open_app(size=(80, 24)) as pilot:
        pane = home_of(pilot).query_one("#text", TracePane)
        home_of(pilot).open_model(INSTRUCT)
        await until(pilot, lambda: pane.has_class("-editing"))
        await until_seen(pilot, "the message; \\n is a new line")
        assert "Press e" not in seen(pilot)
        pane.controller.settings = TextSettings(tokens=6)
        await pilot.press("H")
        async for _ in each_size(pilot):  # the line keeps the focus
            await pilot.press("i")
        await pilot.press(*["backspace"] * (len(SIZES) - 1), "enter")
        await until_seen(pilot, "6/6 tok")
        assert pane.trace is not None
        assert pane.trace.request.prompt == "Hi"
        assert " e message " in seen(pilot)
        await pilot.press("e", *"More")
        await until_seen(pilot, "message  More")
        await pilot.press("enter")
        await until_seen(pilot, "12/12 tok")
        async for _ in each_size(pilot):
            shown = seen(pilot)
            assert "user: Hi" in shown
            assert "assistant: What" in shown
            assert "user: More" in shown
        await pilot.press("less_than_sign")
        await until_seen(pilot, "<|user|>Hi")
        assert "<|end|>More" in seen(pilot)
        assert "user: Hi" not in seen(pilot)
        await pilot.press("less_than_sign", "e", "up")  # recalls what was typed
        await until_seen(pilot, "message  More")
        await pilot.press("up")
        await until_seen(pilot, "message  Hi")
        await pilot.press("escape")
        assert "assistant: " in pane.query_one(Prose).text


async def test_a_token_is_patched_from_another_branch_of_the_chat(
    shipped: Path, open_app: Opener
) -> None:
    """Its tokens, which include the template's, come from the worker."""
    async with open_app() as pilot:
        pane = home_of(pilot).query_one("#text", TracePane)
        home_of(pilot).open_model(INSTRUCT)
        await until(pilot, lambda: pane.has_class("-editing"))
        pane.controller.settings = TextSettings(tokens=6)
        await pilot.press(*"Hi", "enter")
        await until_seen(pilot, "6/6 tok")
        await pilot.press("2", "r")
        await until(pilot, lambda: len(pane.controller.tree.branches) == 2)
        await until_seen(pilot, "6/6 tok")
        await pilot.press("left", "left", "text.patch")
        await until_seen(pilot, "Patch from")
        await pilot.press("enter")
        await until_seen(pilot, "POSITION")
        await pilot.press("ctrl+u", *"2:-1", "enter")
        await until(pilot, lambda: len(pane.controller.tree.branches) == 3)
        assert pane.trace is not None
        (*_, last) = pane.trace.request.edits
        assert last.step == 3
        assert last.edit == Patch(layer=2, position=-1, token_ids=(100, 101, 102))


async def test_a_chat_is_switched_off_and_its_system_prompt_is_a_setting(
    shipped: Path, open_app: Opener
) -> None:
    async with open_app() as pilot:
        pane = home_of(pilot).query_one("#text", TracePane)
        home_of(pilot).open_model(INSTRUCT)
        await until(pilot, lambda: pane.has_class("-editing"))
        await pilot.press(*"Hi", "enter")
        await until(pilot, lambda: pane.trace is not None and pane.trace.computed > 0)
        rows = {option.name: option for option in pane.options()}
        assert rows["chat"].value == "on"
        use = rows["system"].use
        assert use is not None
        use(" Be brief. ")
        assert pane.trace is not None
        assert pane.trace.request.system == "Be brief."
        change = rows["chat"].change
        assert change is not None
        change(1)
        assert pane.trace is not None
        assert not pane.trace.request.chat
        assert "system" not in {option.name for option in pane.options()}
        home_of(pilot).open_model(BASE)
        await until(pilot, lambda: "chat" not in {option.name for option in pane.options()})
        await pilot.press("less_than_sign")
        await until_seen(pilot, "only a chat has a template")
