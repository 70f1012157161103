"""The Text screen: a cursor in the text, its odds, forks with another token, a look inside."""

from pathlib import Path

import pytest
import stage
from acting import SLOW, Opener, each_size, fault, home_of, seen, until, until_seen
from textual.pilot import Pilot

from genui.protocol import (
    Ablate,
    EditAt,
    Patch,
    SetSettings,
    Steer,
    TextSettings,
    WriteText,
    WriteToken,
    kinds,
)
from genui.ui.generate.pane import TracePane
from genui.ui.generate.text import TextView
from genui.ui.widgets.candidates import AttentionList, Candidates
from genui.ui.widgets.layers import PartList
from genui.ui.widgets.prose import Prose


def pane_of(pilot: Pilot[None]) -> TracePane:
    return home_of(pilot).query_one("#text", TracePane)


def styled(pilot: Pilot[None], attribute: str) -> str:
    """What of the prose has a style's attribute, line by line."""
    prose = pane_of(pilot).query_one(Prose)
    lines = [prose.render_line(y) for y in range(prose.size.height)]
    return "".join(
        s.text for line in lines for s in line if s.style and getattr(s.style, attribute)
    )


async def write(pilot: Pilot[None], tokens: int = 5) -> TracePane:
    """Full-screen, that many tokens written, held at the last."""
    pane = pane_of(pilot)
    await pilot.press("2", *["right"] * tokens)
    await until(pilot, lambda: pane.trace is not None and pane.trace.position == tokens)
    return pane


# --- the cursor -------------------------------------------------------------------------


async def test_the_token_at_the_playhead_is_marked_and_in_home_the_arrows_scroll(
    shipped,
    open_app: Opener,
) -> None:
    async with open_app() as pilot:
        await pilot.press("2", "down")
        await until_seen(pilot, "no token at the cursor: press →")
        await write(pilot)
        prose = pane_of(pilot).query_one(Prose)
        assert styled(pilot, "reverse") == "that "
        await pilot.press("left", "left")
        async for _ in each_size(pilot):
            assert styled(pilot, "reverse") == "is "
            assert prose.text == "ROMEO:\nWhat light is "
            assert "What light is this that" in seen(pilot)
            assert "Token 3" in seen(pilot)
        await pilot.press("home")
        assert styled(pilot, "reverse") == ""
        pane = pane_of(pilot)
        await pilot.press("2", "space")
        await until_seen(pilot, "400/400 tok")
        await pilot.press("escape")
        prose = pane.query_one(Prose)
        await until(pilot, lambda: prose.scroll_offset.y > 0)
        before = prose.scroll_offset.y
        await pilot.press("up")
        assert prose.scroll_offset.y == before - 1
        assert pane.query_one(Candidates).selected is None
        await pilot.press("enter")
        await until(pilot, lambda: pane.zoomed)


async def test_while_it_plays_and_in_home_there_is_no_cursor(shipped, open_app: Opener) -> None:
    async with open_app(worker=SLOW) as pilot:
        pane = await write(pilot)
        await pilot.press("space")
        assert styled(pilot, "reverse") == ""
        await pilot.press("space")
        assert styled(pilot, "reverse")
        await pilot.press("escape", "left")
        await until(pilot, lambda: not pane.zoomed)
        assert styled(pilot, "reverse") == ""
        trace = pane.trace
        assert trace is not None
        assert pane.query_one(Prose).token_count == trace.position


# --- the odds ---------------------------------------------------------------------------


async def test_the_odds_are_told_in_full(shipped, open_app: Opener) -> None:
    told = ("model logit drawn", "kept 7", "entropy", "falls in 0.00–0.", "surprise")
    settings = ("temperature", "top-k", "top-p", "min-p", "repetition", "tokens", "seed")
    async with open_app() as pilot:
        await write(pilot)
        async for _ in each_size(pilot):
            for words in told + settings:
                assert words in seen(pilot)
            await pilot.press(*["down"] * 9)
            assert "✂ top-p" in seen(pilot)
            await pilot.press(*["up"] * 9)


async def test_greedy_and_forced_choices_are_told_as_such(shipped, open_app: Opener) -> None:
    async with open_app() as pilot:
        pane = pane_of(pilot)
        pane.controller.settings = TextSettings(temperature=0)
        await write(pilot)
        assert "greedy: the likeliest is taken" in seen(pilot)
        await pilot.press("down", "enter", "space")
        trace = pane.trace
        assert trace is not None
        trace.seek(5)
        pane.paint()
        await until_seen(pilot, "forced: written by hand")


async def test_enter_forks_with_the_candidate_that_is_chosen(shipped, open_app: Opener) -> None:
    async with open_app() as pilot:
        pane = await write(pilot)
        odds = pane.query_one(Candidates)
        await pilot.press("down")
        assert odds.selected == 1
        await pilot.press("left")
        assert odds.selected is None
        await pilot.press("right")
        await pilot.press("enter")
        await until_seen(pilot, "choose another candidate with ↑ ↓")
        await pilot.press("down", "down", "down", "up")
        assert "⏎ fork with ‘my’" in seen(pilot)
        assert "→    my" in seen(pilot)
        await pilot.press("enter")
        trace = pane.trace
        assert trace is not None
        assert trace.request.edits[-1].step == 4
        assert trace.request.edits[-1].edit == WriteToken(1002)
        await until_seen(pilot, "400/400 tok")
        assert pane.query_one(Prose).text.startswith("ROMEO:\nWhat light is this my ")
        assert "branch 2 of 2 · ‘my’ at 5" in seen(pilot)


async def test_two_tokens_tried_in_one_place_are_branches_beside_each_other(
    shipped, open_app: Opener
) -> None:
    async with open_app() as pilot:
        pane = await write(pilot)
        await pilot.press("down", "enter", "space")
        trace = pane.trace
        assert trace is not None
        trace.seek(5)
        await until(pilot, lambda: trace.position == 5)
        await pilot.press("down", "enter")
        branches = pane.controller.tree.branches
        assert [branch.label for branch in branches] == ["seed 1", "‘the’ at 5", "‘my’ at 5"]
        assert branches[1].parent == branches[2].parent == branches[0].number


# --- one's own words --------------------------------------------------------------------


async def test_words_are_written_at_the_cursor_and_it_goes_on(shipped, open_app: Opener) -> None:
    async with open_app() as pilot:
        pane = await write(pilot)
        await pilot.press("text.insert")
        await until_seen(pilot, "Insert text")
        await pilot.press("O", "escape")
        assert len(pane.controller.tree.branches) == 1
        await pilot.press("left", "left", "text.insert")
        await until_seen(pilot, "Insert text")
        await pilot.press("enter")
        assert fault(pilot) == "nothing was typed; Esc cancels"
        await pilot.press(*"O!\\n", "enter")
        await until_seen(pilot, "400/400 tok")
        assert pane.query_one(Prose).text.startswith("ROMEO:\nWhat light is O!\nthat ")
        trace = pane.trace
        assert trace is not None
        assert trace.request.edits[-1].step == 3
        assert trace.request.edits[-1].edit == WriteText("O!\n")
        assert "branch 2 of 2 · wrote ‘O!⏎’" in seen(pilot)


async def test_words_can_be_written_after_the_last_token(shipped, open_app: Opener) -> None:
    async with open_app() as pilot:
        pane = pane_of(pilot)
        pane.controller.settings = TextSettings(tokens=6)
        await pilot.press("2", "end")
        await until_seen(pilot, "6/6 tok")
        await pilot.press("text.insert")
        await until_seen(pilot, "Insert text")
        await pilot.press(*"Ay", "enter")
        await until(pilot, lambda: "breaks Ay" in pane.query_one(Prose).text)


async def test_a_file_is_scored_as_a_branch(shipped, open_app: Opener, tmp_path: Path) -> None:
    path = tmp_path / "line.txt"
    path.write_text("What light is this?\n")
    async with open_app() as pilot:
        pane = await write(pilot)
        await pilot.press("unbound.text.score")
        await until_seen(pilot, "Score a file")
        await pilot.press(*str(tmp_path), "enter")
        await until_seen(pilot, "genui score takes longer ones")
        await pilot.press("unbound.text.score")
        await until_seen(pilot, "Score a file")
        await pilot.press(*str(path), "enter")
        await until_seen(pilot, "read line.txt")
        trace = pane.trace
        assert trace is not None
        assert trace.request.prompt == ""
        assert trace.request.edits == (EditAt(step=0, edit=WriteText("What light is this?\n")),)
        await until(pilot, lambda: "What light is this?\n" in pane.query_one(Prose).text)
        assert pane.controller.settings.tokens == 400


# --- attention --------------------------------------------------------------------------


async def test_attention_is_shown_and_walked_head_by_head(shipped, open_app: Opener) -> None:
    async with open_app() as pilot:
        pane = await write(pilot)
        await pilot.press("text.attention")
        async for _ in each_size(pilot):
            await until_seen(pilot, "Attention · average")
            await until_seen(pilot, "6 tokens in the context")
        await pilot.resize_terminal(120, 40)
        await pilot.pause()
        rows = [line.text for line in pane.query_one(AttentionList)._strips]
        assert rows[1].split()[:3] == ["this·", "−1", "28.6%"]
        assert rows[2].split()[:3] == ["is·", "−2", "23.8%"]
        names = []
        for _ in range(5):
            await pilot.press("down")
            names.append(pane.query_one(".odds").border_title)
        layers = [f"ayer {n} of 2, head {m} of 2" for n in (1, 2) for m in (1, 2)]
        for name, layer in zip(names, [*layers, layers[-1]], strict=True):
            assert name is not None
            assert name.endswith(layer)
        await pilot.press("left_square_bracket")
        assert "model logit drawn" in seen(pilot)
        await pilot.press("right_square_bracket", "up")
        assert "2 of 2, head 1 of 2" in seen(pilot)
        await pilot.press("text.attention")
        assert "model logit drawn" in seen(pilot)
        # From Home the key opens the pane; back there the odds are shown.
        await pilot.press("escape", "text.attention")
        await until_seen(pilot, "6 tokens in the context")
        assert pane.zoomed
        await pilot.press("escape")
        await until_seen(pilot, "Models")
        assert pane.query_one(Candidates).display
        assert "in sight" not in seen(pilot)


async def test_the_text_is_shaded_by_attention_and_the_cursor_asks_again(
    shipped, open_app: Opener
) -> None:
    async with open_app() as pilot:
        await pilot.press("2", "right_square_bracket")
        await until_seen(pilot, "No token at the cursor")
        pane = await write(pilot)
        await until_seen(pilot, "6 tokens in the context")
        grounds = {
            segment.text.strip(): segment.style.bgcolor
            for y in range(2)
            for segment in pane.query_one(Prose).render_line(y)
            if segment.style is not None
        }
        assert len({grounds["ROMEO:"], grounds["What"], grounds["this"]}) == 3
        await pilot.press("left")
        await until_seen(pilot, "5 tokens in the context")
        assert styled(pilot, "reverse") == "this "
        trace = pane.trace
        assert trace is not None
        trace.lose()
        await pilot.press("left")
        await until_seen(pilot, "The worker does not have this text")


async def test_the_cursor_and_attention_have_marks_without_colour(
    shipped, open_app: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    async with open_app() as pilot:
        await write(pilot)
        await pilot.press("left")
        assert styled(pilot, "reverse") == "this "
        assert "that" in styled(pilot, "dim")
        await pilot.press("right", "text.attention")
        await until_seen(pilot, "6 tokens in the context")
        assert styled(pilot, "underline").startswith("ROMEO:")
        assert styled(pilot, "bold").startswith("What")
        assert styled(pilot, "italic").startswith("is")


async def test_a_recurrent_model_writes_here_and_says_that_it_has_no_attention(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, open_app: Opener
) -> None:
    stage.ship(tmp_path / "weights", "shakespeare-gru")
    monkeypatch.setattr(kinds, "weights_folders", lambda: [tmp_path / "weights"])
    async with open_app() as pilot:
        pane = await write(pilot)
        trace = pane.trace
        assert trace is not None
        assert trace.request.model == "shakespeare-gru"
        await pilot.press("text.attention")
        await until_seen(pilot, "It has no attention")
        await pilot.press("left")
        await until(pilot, lambda: trace.position == 4)
        await until_seen(pilot, "It has no attention")
        await pilot.press("text.attention")
        assert "model logit drawn" in seen(pilot)


async def test_playing_leaves_the_attention_until_it_is_held(shipped, open_app: Opener) -> None:
    async with open_app(worker=SLOW) as pilot:
        pane = await write(pilot)
        await pilot.press("text.attention")
        await until_seen(pilot, "6 tokens in the context")
        await pilot.press("space")
        await until_seen(pilot, "Press space to pause")
        await pilot.press("space")
        await until(pilot, lambda: pane.query_one(TextView).inside.heads is not None)


# --- layers, parts, and edits of layers ---------------------------------------------------


async def test_the_layers_of_a_token_are_walked(shipped, open_app: Opener) -> None:
    async with open_app() as pilot:
        pane = await write(pilot)
        await pilot.press("right_square_bracket", "right_square_bracket")
        async for _ in each_size(pilot):
            await until_seen(pilot, "decided at")
            await until_seen(pilot, "Layers of")
        await until_seen(pilot, "decided at layer 2")
        assert "0.50 bits" in seen(pilot)  # of the last layer
        await pilot.press("up")
        await until_seen(pilot, "0.75 bits")
        assert "#1,234" in seen(pilot)
        await pilot.press("up", "up", "up")
        await until_seen(pilot, "1.50 bits")
        await pilot.press("down", "down", "down")
        await until_seen(pilot, "0.50 bits")
        token = pane.trace.frame.text  # type: ignore[union-attr]
        await pilot.press("left")
        before = pane.trace.frame.text  # type: ignore[union-attr]
        assert token != before
        await until_seen(pilot, f"Layers of ‘{before.replace(' ', '·')}’")
        await pilot.press("text.layers")
        assert "model logit drawn" in seen(pilot)


async def test_the_parts_of_a_logit_lead_to_the_attention_of_a_head(
    shipped, open_app: Opener
) -> None:
    async with open_app() as pilot:
        pane = await write(pilot)
        await pilot.press("left_square_bracket", "left_square_bracket")
        async for _ in each_size(pilot):
            await until_seen(pilot, "sum +3.00")
            await until_seen(pilot, "input and edits +0.25")
        rows = [line.text[:24].split() for line in pane.query_one(PartList)._strips[1:7]]
        assert [" ".join(row) for row in rows] == [
            "layer 2 head 1 +4.00",
            "layer 2 feed-fwd −2.00",
            "layer 1 feed-fwd +1.00",
            "layer 1 head 2 −0.50",
            "layer 1 head 1 +0.25",
            "layer 2 head 2 +0.00",
        ]
        change = {option.name: option for option in pane.options()}["over"].change
        assert change is not None
        assert "over ‘the·’" in seen(pilot)
        change(1)
        await until_seen(pilot, "over the mean")
        change(1)
        await until_seen(pilot, "over ‘the·’")
        await pilot.press("down", "enter")
        assert "Enter shows its attention" in seen(pilot)
        await pilot.press("up", "enter")
        await until_seen(pilot, "2 of 2, head 1 of 2")
        await until_seen(pilot, "6 tokens in the context")


async def test_layers_are_edited_from_the_palette(shipped, open_app: Opener) -> None:
    async with open_app(worker=SLOW) as pilot:
        pane = await write(pilot)
        await pilot.press("text.parts")
        await until_seen(pilot, "sum +3.00")
        await pilot.press("text.ablate")
        await until_seen(pilot, "LAYER.HEAD")
        await pilot.press("enter")  # the selected part
        await until(pilot, lambda: len(pane.controller.tree.branches) == 2)
        trace = pane.trace
        assert trace is not None
        assert trace.request.edits == (EditAt(step=4, edit=Ablate(layer=2, head=1)),)
        assert pane.controller.tree.branches[1].label == "layer 2 without head 1"
        await until(pilot, lambda: trace.position > 5)

        await pilot.press("text.steer")
        await until_seen(pilot, "text of branch 2")
        await pilot.press("ctrl+u", *"1:2:#9|a", "enter")
        await until_seen(pilot, "no branch 9")
        await pilot.press("ctrl+u", *"1:-0.5:#1|a", "enter")
        await until(pilot, lambda: len(pane.controller.tree.branches) == 3)
        first = pane.controller.tree.branches[0].trace
        text = first.request.prompt + "".join(frame.text for frame in first.frames)
        assert pane.trace is not None
        *_, last = pane.trace.request.edits
        assert last.edit == Steer(layer=1, strength=-0.5, towards=text, away="a")
        assert pane.controller.tree.branches[2].label.startswith("steered ×−0.5 to ‘ROMEO:")
        steered = pane.trace
        await until(pilot, lambda: steered.on_worker and steered.frame is not None)

        await pilot.press("text.patch")
        await until_seen(pilot, "Patch from")
        await pilot.press("enter")
        await until_seen(pilot, "POSITION")
        await pilot.press("ctrl+u", *"2:-1", "enter")
        await until(pilot, lambda: len(pane.controller.tree.branches) == 4)
        assert pane.trace is not None
        *_, last = pane.trace.request.edits
        taken = tuple(frame.token for frame in first.frames[: last.step])
        assert last.edit == Patch(layer=2, position=-1, text=first.request.prompt, token_ids=taken)


# --- settings, live ---------------------------------------------------------------------


async def test_settings_changed_while_it_streams_hold_from_there_on(
    shipped, open_app: Opener
) -> None:
    async with open_app(worker=SLOW) as pilot:
        pane = pane_of(pilot)
        await pilot.press("2", "space")
        prose = pane.query_one(Prose)
        await until(pilot, lambda: prose.token_count >= 4)
        first = pane.trace
        assert first is not None
        await pilot.press("plus")
        await until(pilot, lambda: pane.trace is not first)
        second = pane.trace
        assert second is not None
        assert second.playing
        edit = second.request.edits[-1]
        assert edit.step == second.forked_at >= 4
        assert isinstance(edit.edit, SetSettings)
        assert edit.edit.settings == TextSettings(temperature=0.85)
        await until(pilot, lambda: second.position > second.forked_at + 1)
        assert second.frames[:4] == first.frames[:4]
        assert prose.text.startswith("ROMEO:\nWhat light is this ")
        assert "branch 2 of 2 · temperature 0.85" in seen(pilot)
