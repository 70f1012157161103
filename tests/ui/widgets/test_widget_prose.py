import asyncio
from typing import Any

import pytest
from msgspec.structs import replace
from widget_stage import CountingDriver, Stage, lines_of, settle, styles_of

from genui.protocol import (
    EditAt,
    Piece,
    SendMessage,
    Start,
    TextFrame,
    TextSettings,
    label_message,
    label_turn,
)
from genui.ui.textual_parts import driver_of
from genui.ui.traces.compare import Moment
from genui.ui.traces.trees import ShownTrace
from genui.ui.widgets.prose import Prose, Written, surprise_class


def written(prose: Prose) -> list[str]:
    return [line.rstrip() for line in lines_of(prose)]


async def test_it_says_what_is_missing_until_there_is_text() -> None:
    prose = Prose()
    async with Stage(prose).run_test(size=(40, 9)) as pilot:
        assert written(prose)[4].strip() == "Nothing written yet"
        prose.begin("Hello")
        assert written(prose)[0] == "Hello"
        prose.clear("Nothing")
        await pilot.pause()
        assert written(prose)[4].strip() == "Nothing"


async def test_the_prompt_is_bold_and_tokens_are_not() -> None:
    prose = Prose()
    async with Stage(prose).run_test(size=(40, 5)):
        prose.begin("ROMEO:")
        prose.append(" What", 0.2)
        styles = dict(styles_of(prose))
        assert "bold" in styles["ROMEO: "]
        assert "bold" not in styles["What"]


@pytest.mark.parametrize("colours", [True, False])
async def test_surprise_has_a_colour_and_the_greatest_two_a_line_under_them(
    colours: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not colours:
        monkeypatch.setenv("NO_COLOR", "1")
    prose = Prose()
    async with Stage(prose).run_test(size=(60, 5)):
        for word, bits in zip("abcde", (0.1, 2, 4, 6, 12), strict=True):
            prose.append(word, bits)
        looks = [style for text, style in styles_of(prose) if text in "abcde" and text]
        assert len(set(looks)) == 5 or not colours
        assert ["underline" in look for look in looks] == [False] * 3 + [True] * 2
        assert ["bold" in look for look in looks] == [False] * 4 + [True]


def test_classes_of_surprise_have_edges() -> None:
    assert [surprise_class(bits) for bits in (0, 1, 2.5, 4.5, 7, 99)] == [0, 1, 2, 3, 4, 4]


async def test_the_cursor_stands_at_the_end_while_writing() -> None:
    prose = Prose()
    async with Stage(prose).run_test(size=(20, 5)):
        prose.begin("Hi")
        prose.writing = True
        assert written(prose)[0] == "Hi▌"
        prose.append(" there")
        assert written(prose)[0] == "Hi there▌"
        prose.writing = False
        assert written(prose)[0] == "Hi there"


async def test_the_end_stays_in_view_until_someone_scrolls_up() -> None:
    prose = Prose()
    async with Stage(prose).run_test(size=(20, 5)) as pilot:
        for number in range(50):
            prose.append(f"line {number}\n")
        await pilot.pause()
        assert written(prose)[3] == "line 49"
        assert prose.scroll_offset.y == prose.max_scroll_y
        prose.focus()
        await pilot.press("pageup")
        await pilot.pause(0.4)
        assert prose.scroll_offset.y != prose.max_scroll_y
        seen = written(prose)
        prose.append("line 50\n")
        await pilot.pause()
        assert written(prose) == seen
        await pilot.press("ctrl+end", "end")
        await pilot.pause(0.4)
        assert prose.scroll_offset.y == prose.max_scroll_y
        prose.append("line 51\n")
        await pilot.pause()
        assert written(prose)[3] == "line 51"


@pytest.mark.parametrize("width", [40, 9, 3])
async def test_it_wraps_anew_at_any_width_and_keeps_the_end(width: int) -> None:
    prose = Prose()
    async with Stage(prose).run_test(size=(60, 6)) as pilot:
        prose.begin("Wide 日本語 🎉 and\ttabs ")
        for number in range(60):
            prose.append(f"w{number} ", 1.0)
        await pilot.resize_terminal(width, 6)
        await pilot.pause()
        assert "9" in "".join(written(prose)[-3:])
        assert {prose.render_line(y).cell_length for y in range(6)} == {width - 1}


async def test_while_writing_the_view_moves_on_by_a_quarter_and_ends_at_the_end() -> None:
    prose = Prose()
    async with Stage(prose).run_test(size=(20, 12)) as pilot:
        prose.writing = True
        tops = []
        for number in range(30):
            prose.append(f"line {number}\n", 1.0)
            await pilot.pause()
            tops.append(prose.scroll_offset.y)
            assert any(line.startswith(f"line {number}") for line in written(prose))
        assert set(tops) == {0, 3, 6, 9, 12, 15, 18, 21}
        prose.writing = False
        await pilot.pause()
        assert written(prose)[10] == "line 29"


async def test_a_token_costs_its_line_and_a_new_line_costs_no_more() -> None:
    prose = Prose()
    app = Stage(prose)
    running = asyncio.create_task(app.run_async(size=(80, 30)))
    while not prose.is_mounted or not prose.size:
        await asyncio.sleep(0.01)
    driver = driver_of(app)
    assert isinstance(driver, CountingDriver)
    prose.writing = True
    costs = []
    for number in range(20):
        await settle(0.05)
        before = driver.octets
        prose.append(f" word{number}" if number % 2 else f" word{number}\n", 1.0)
        await settle(0.1)
        costs.append(driver.octets - before)
    app.exit()
    await running
    assert max(costs[2:]) < 700


async def test_stepping_back_shortens_the_text() -> None:
    prose = Prose()
    async with Stage(prose).run_test(size=(30, 5)):
        prose.begin("One")
        frames = [
            TextFrame(
                trace=1, step=n, token=n, text=t, surprisal=float(n), entropy=0, candidates=()
            )
            for n, t in enumerate((" two", " three", " four"), 1)
        ]
        prose.append_frames(frames[:2])
        prose.append_frames(frames[2:3])
        assert (prose.text, prose.token_count) == ("One two three four", 3)
        assert prose.bits_per_token == 2.0
        prose.truncate(1)
        assert (prose.text, prose.token_count) == ("One two", 1)
        assert written(prose)[0] == "One two"
        prose.truncate(5)
        assert prose.token_count == 1


async def test_untrusted_text_is_never_markup_nor_an_escape_code() -> None:
    prose = Prose()
    async with Stage(prose).run_test(size=(40, 5)):
        prose.append("[b]x[/b]\x1b[2J\u202e!", 1.0)
        assert written(prose)[0] == "[b]x[/b]!"


async def test_a_hundred_thousand_tokens_are_kept_and_the_end_is_shown() -> None:
    prose = Prose()
    async with Stage(prose).run_test(size=(40, 5)) as pilot:
        prose._extend([Written("word ", 1.0)] * 100_000)
        prose.append("last", 1.0)
        await pilot.pause()
        assert prose.token_count == 100_001
        assert written(prose)[-1].endswith("last")


def reversed_of(prose: Prose) -> str:
    return "".join(text for text, style in styles_of(prose) if "reverse" in style)


async def test_the_cursor_is_on_one_token_and_those_after_it_are_dim() -> None:
    prose = Prose()
    async with Stage(prose).run_test(size=(40, 5)):
        prose.begin("One")
        for word in (" two", " three", " four"):
            prose.append(word, 1.0)
        prose.point(2)
        assert reversed_of(prose) == " three"
        assert prose.text == "One two three"
        assert written(prose)[0] == "One two three four"
        styles = dict(styles_of(prose))
        assert styles[" four"] != styles["two"]
        prose.point(3)
        assert reversed_of(prose) == " four"
        prose.point(1)
        assert dict(styles_of(prose))[" three four"] == styles[" four"]
        prose.point(0)
        assert reversed_of(prose) == ""
        assert prose.text == "One"
        prose.point(None)
        assert prose.text == "One two three four"


@pytest.mark.parametrize(("width", "seen"), [(9, ["Hi", "there"]), (40, ["Hi there"])])
async def test_a_cursor_on_white_space_is_seen(width: int, seen: list[str]) -> None:
    prose = Prose()
    async with Stage(prose).run_test(size=(width, 5)):
        for token in ("Hi", " ", "there", "\n", "you"):
            prose.append(token, 1.0)
        prose.point(2)
        assert reversed_of(prose) == " "
        assert written(prose)[: len(seen)] == seen
        prose.point(4)
        assert reversed_of(prose) == "⏎"
        assert written(prose)[len(seen) - 1] == f"{seen[-1]}⏎"


async def test_new_text_takes_the_cursor_away() -> None:
    prose = Prose()
    async with Stage(prose).run_test(size=(40, 5)):
        prose.append("a", 1.0)
        prose.append("b", 1.0)
        prose.point(1)
        prose.append("c", 1.0)
        assert reversed_of(prose) == ""
        assert prose.text == "abc"
        prose.point(3)
        prose.truncate(2)
        assert reversed_of(prose) == ""


async def test_the_cursor_is_brought_into_view() -> None:
    prose = Prose()
    async with Stage(prose).run_test(size=(20, 6)) as pilot:
        for number in range(40):
            prose.append(f"line {number}\n", 1.0)
        await pilot.pause()
        prose.point(3)
        assert written(prose)[0] == "line 2⏎"
        prose.point(20)
        assert written(prose)[5] == "line 19⏎"
        await pilot.resize_terminal(15, 4)
        await pilot.pause()
        assert "line 19⏎" in written(prose)
        prose.point(None)
        await pilot.pause()
        assert written(prose)[2] == "line 39"


async def test_bits_are_those_up_to_the_cursor() -> None:
    prose = Prose()
    async with Stage(prose).run_test(size=(20, 6)):
        for bits in (1.0, 3.0, 8.0):
            prose.append("x", bits)
        prose.point(2)
        assert prose.bits_per_token == 2.0


async def test_tokens_are_shaded_by_how_much_they_were_looked_at() -> None:
    prose = Prose()
    async with Stage(prose).run_test(size=(40, 5)):
        prose.begin("Our king:")
        for word in (" two", " ", "four"):
            prose.append(word, 1.0)
        prose.point(3)
        prose.shade([4, 0, 2, 1], prompt=(" king", ":"))
        looks = {text.strip(): style for text, style in styles_of(prose)}
        words = [looks[word] for word in ("Our", "king", ":", "two", "four")]
        assert words[0] == words[2]  # not seen, and hardly looked at
        assert len({*words}) == 4
        # Not by colour alone: the more a token was looked at, the more marks it has.
        marks = [[mark in look for mark in ("underline", "bold")] for look in words]
        assert marks[1] == [True, True]  # level 4
        assert marks[3] == [True, False]  # level 2
        assert marks[0] == marks[4] == [False, False]
        prose.shade(None)
        assert dict(styles_of(prose))["Our king: "].startswith("bold")


async def test_a_prompt_cut_within_characters_is_left_unshaded() -> None:
    prose = Prose()
    async with Stage(prose).run_test(size=(40, 5)):
        prose.begin("日")
        prose.append("a", 1.0)
        prose.append("b", 1.0)
        prose.point(2)
        prose.shade([4, 4, 2], prompt=("\ufffd", "\ufffd"))
        assert [text for text, _ in styles_of(prose)][:3] == ["日", "a", "b"]


async def test_a_new_line_that_was_looked_at_is_seen() -> None:
    prose = Prose()
    async with Stage(prose).run_test(size=(40, 5)):
        for token in ("a", "\n", "\n", "b"):
            prose.append(token, 1.0)
        prose.point(4)
        prose.shade([0, 4, 0])
        assert written(prose)[:3] == ["a⏎", "", "b"]


async def test_another_branch_of_the_same_prompt_replaces_what_differs() -> None:
    prose = Prose()

    def trace(*frames: TextFrame) -> ShownTrace[TextFrame]:
        prompt = Start(trace=0, model="m", prompt="I", seed=1, settings=TextSettings())
        return ShownTrace(
            request=prompt, first=1, frames=list(frames), model_prompt="I", started=True
        )

    async with Stage(prose).run_test(size=(40, 5)):
        same, one, other = (
            TextFrame(
                trace=1, step=n, token=n, text=text, surprisal=1.0, entropy=1.0, candidates=()
            )
            for n, text in ((1, " am"), (2, " here"), (2, " not"))
        )
        for branch, text in ((trace(same, one), "I am here"), (trace(same, other), "I am not")):
            prose.show_trace(branch, Moment(2, branch.frames[1], "x", 0, False, ""))
            assert written(prose)[0] == text


async def test_a_chat_has_labels_or_its_template_and_the_cursor_only_meets_tokens() -> None:
    prose = Prose()

    def token(step: int, text: str, **more: Any) -> TextFrame:
        return TextFrame(
            trace=1, step=step, token=step, text=text, surprisal=1.0, entropy=1.0, candidates=(),
            **more,
        )  # fmt: skip

    start = Start(trace=0, model="m", prompt="Hi", seed=1, settings=TextSettings(), chat=True)
    end = token(2, "", special="<|end|>")
    said = (Piece("template", "<|user|>"), *label_message("More"))
    frames = [token(1, "Yes"), end, token(3, "No", before=said)]
    trace: ShownTrace[TextFrame] = ShownTrace(
        request=replace(start, edits=(EditAt(step=3, edit=SendMessage("Why?")),)),
        first=1,
        frames=frames,
        pieces=(Piece("template", "<|user|>"), label_turn("user", True), Piece("text", "Hi"),
                label_turn("assistant")),
        model_prompt="user: Hi\n\nassistant: ",
        started=True,
    )  # fmt: skip
    async with Stage(prose).run_test(size=(40, 14)):
        prose.show_trace(trace, Moment(3, frames[2], "x", 0, False, ""))
        assert [line for line in written(prose) if line] == [
            "user: Hi", "assistant: Yes", "user: More", "assistant: No", "user: Why?", "assistant:"
        ]  # fmt: skip
        styles = dict(styles_of(prose))
        assert "bold" in styles["More"]
        assert "bold" not in styles["user: "]
        prose.show_trace(trace, Moment(2, end, "x", 0, False, ""))  # a step back
        assert [line for line in written(prose) if line] == ["user: Hi", "assistant: Yes"]
        prose.show_trace(trace, Moment(3, frames[2], "x", 0, False, ""))
        prose.begin_trace(trace, template=True)
        prose.append_frames(frames)
        assert written(prose)[0] == "<|user|>HiYes<|end|><|user|>MoreNo"
        prose.point(3)
        assert [text for text, style in styles_of(prose) if "reverse" in style] == ["No"]
        assert prose.bits_per_token == 1.0


async def test_the_marks_of_a_watermark_have_a_colour_and_a_line_under_them() -> None:
    def token(step: int, text: str, marks: tuple[int, int]) -> TextFrame:
        return TextFrame(
            trace=1, step=step, token=step, text=text, surprisal=9, entropy=1, candidates=(),
            marks=marks,
        )  # fmt: skip

    settings = TextSettings(watermark="green")
    frames = [token(1, "Yes", (1, 1)), token(2, "no", (0, 1)), token(3, "so", (0, 0))]
    trace: ShownTrace[TextFrame] = ShownTrace(
        request=Start(trace=0, model="m", prompt="Hi", seed=1, settings=settings),
        first=1,
        frames=frames,
        model_prompt="Hi",
        started=True,
    )
    prose = Prose()
    async with Stage(prose).run_test(size=(40, 5)):
        prose.begin_trace(trace, marks=True)
        prose.append_frames(frames)
        looks = dict(styles_of(prose))
        assert len({looks[word] for word in ("Yes", "no", "so")}) == 3
        assert [word for word, style in looks.items() if "underline" in style] == ["Yes"]
        prose.begin_trace(trace)
        prose.append_frames(frames)
        assert len({style for text, style in styles_of(prose) if text.strip()}) == 2, (
            "without marks the prompt, and tokens of one surprise"
        )


async def test_of_several_gaps_the_text_after_the_one_that_is_filled_stays() -> None:
    def token(step: int, text: str, *before: Piece) -> TextFrame:
        return TextFrame(
            trace=1, step=step, token=step, text=text, surprisal=1.0, entropy=1.0, candidates=(),
            before=before,
        )  # fmt: skip

    start = Start(trace=1, model="m", prompt="", seed=0, settings=TextSettings())
    frames = [token(1, "1"), token(2, ""), token(3, "2", Piece("text", "; b = "))]
    trace: ShownTrace[TextFrame] = ShownTrace(request=start, first=1, frames=frames, started=True)
    trace.model_prompt, trace.model_suffix = "a = ", "; b = <FILL>; c"
    prose = Prose()
    async with Stage(prose).run_test(size=(60, 4)):
        for step, text in ((0, "a = ; b = <FILL>; c"), (2, "a = 1; b = <FILL>; c")) * 2:
            prose.show_trace(trace, Moment(3, frames[2], "x", 0, False, ""))
            assert written(prose)[0] == "a = 1; b = 2; c"
            prose.show_trace(trace, Moment(step, frames[0], "x", 0, False, ""))
            assert written(prose)[0] == text
