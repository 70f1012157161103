"""The console beside the curves: followed, searched, and read whole."""

import re
import threading

import pytest
import stage
from acting import Opener, seen, until, until_seen
from hypothesis import given
from hypothesis import strategies as st
from panel_stage import app_of, look, opened, with_info
from rich.cells import cell_len
from waiting import PATIENCE

from genui.runs.layout import RunDir
from genui.ui.training import console as console_log
from genui.ui.training.console import (
    ConsoleFile,
    ConsoleLines,
    ConsolePanel,
    ConsoleSearch,
    ConsoleText,
    Match,
    line_level,
)
from genui.ui.training.state import pattern


def console(*lines: str) -> RunDir:
    run = stage.make_run(step=10)
    run.console.write_text("".join(f"{line}\n" for line in lines))
    return run


async def test_the_console_follows_its_end_until_someone_scrolls_up() -> None:
    run = console(*(f"2026-11-25 12:00:{n % 60:02} line {n}" for n in range(300)))
    panel = ConsolePanel()
    async with opened(panel) as pilot:
        app_of(pilot).show(look(run))
        await until_seen(pilot, "12:00:59   line 299")
        with run.console.open("a") as file:
            file.write("12:00:00 line 300\n")
        app_of(pilot).show(look(run))
        await until_seen(pilot, "line 300")
        panel.enter()
        await pilot.press("home")
        await until_seen(pilot, "line 0 ")
        with run.console.open("a") as file:
            file.write("12:00:00 ValueError: line 301\n")
        app_of(pilot).show(look(run))
        lines = panel.query_one(ConsoleLines)
        await until(pilot, lambda: lines.text.lines[-1].text.endswith("line 301"))
        assert "line 0 " in seen(pilot)
        await pilot.press("end")
        await until_seen(pilot, "✗ ValueError: line 301")
        await pilot.press("slash", *"line 30", "enter")
        await until_seen(pilot, "match 3 of 3")
        await pilot.press("full_stop")
        await until_seen(pilot, "match 1 of 3")
        await until_seen(pilot, "line 30 ")
        await pilot.press("comma", "comma", "slash", "escape")
        await until_seen(pilot, "/ search")


async def test_hits_in_a_file_that_was_replaced_meanwhile_are_forgotten(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run, find = console(*(f"old {n}" for n in range(100))), ConsoleText.find
    replaced, found = threading.Event(), list[int]()

    def find_slowly(text: ConsoleText, pattern: re.Pattern[str], first: int = 0) -> list[Match]:
        hits = find(text, pattern, first)
        if len(hits) == 100:
            replaced.wait(PATIENCE)
        found.append(len(hits))
        return hits

    monkeypatch.setattr(ConsoleText, "find", find_slowly)
    panel = ConsolePanel()
    async with opened(panel) as pilot:
        app_of(pilot).show(look(run))
        await until_seen(pilot, "old 99")
        panel.enter()
        await pilot.press("slash", "l", "enter")
        run.console.write_text("newly\n")
        app_of(pilot).show(look(run))
        await until_seen(pilot, "match 1 of 1")
        replaced.set()
        await until(pilot, lambda: 100 in found)
        await pilot.press("full_stop")
        assert "match 1 of 1" in seen(pilot)


async def test_control_codes_and_markup_of_a_console_are_plain_text() -> None:
    run = console("12:00:00 [red]no markup[/red] \x1b[31mno code\x1b]0;title\x07")
    async with opened(ConsolePanel()) as pilot:
        app_of(pilot).show(look(run))
        await until_seen(pilot, "[red]no markup[/red] no code")
        assert "title" not in seen(pilot)


async def test_a_console_that_cannot_be_read_and_a_foreign_log_say_so() -> None:
    run = console("x")
    view = look(run)
    run.console.unlink()
    run.console.mkdir()
    async with opened(ConsolePanel()) as pilot:
        app_of(pilot).show(view)
        await until(pilot, lambda: any("cannot read" in line for line in app_of(pilot).said))
        app_of(pilot).show(with_info(view, "tensorboard"))
        await until(
            pilot, lambda: "no console output" in " ".join(seen(pilot).replace("│", "").split())
        )


@pytest.mark.parametrize(
    ("text", "sign"),
    [
        ("ValueError: bad", "✗"),
        ("warning: odd", "!"),
        ("checkpoint step-1", "✓"),
        ("step 4 evaluation: val_loss 1", "◆"),
        ("step 5", " "),
        ("0 errors so far", " "),
        ("loss nan", "✗"),
        ("loss=1.nan", " "),
    ],
)
def test_the_level_of_a_line_has_a_sign(text: str, sign: str) -> None:
    assert line_level(text)[1] == sign


def read(file: ConsoleFile, text: ConsoleText) -> ConsoleText:
    """Takes all that is new in the file."""
    while (new := file.read()) is not None:
        text.add(new)
    return text


def texts_of(text: ConsoleText) -> list[str]:
    return [line.text for line in text.lines]


def test_of_a_huge_console_the_end_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(console_log, "MAX_CONSOLE_BYTES", 1000)
    run = console(*(f"line {n}" for n in range(1000)))
    text = read(ConsoleFile(run.console), ConsoleText())
    assert text.lines[-1].text == "line 999"
    assert re.fullmatch(r"line (8[5-9]|9[0-4])\d", text.lines[0].text)
    assert text.skipped == run.console.stat().st_size - 1000


def test_of_a_console_that_grows_for_long_the_end_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(console_log, "MAX_CONSOLE_BYTES", 1000)
    run = console("line 0")
    file, text = ConsoleFile(run.console), ConsoleText()
    for number in range(1, 1000):
        with run.console.open("a") as more:
            more.write(f"line {number}\n")
        assert len(read(file, text).lines) < 300
    assert texts_of(text)[-2:] == ["line 998", "line 999"]


def test_a_console_written_anew_is_read_anew_and_a_progress_bar_is_as_it_is_now() -> None:
    run = console("old 1", "old 2")
    file, text = ConsoleFile(run.console), ConsoleText()
    assert texts_of(read(file, text)) == ["old 1", "old 2"]
    run.console.write_text("new\n 10%|#   |\r 50%|##  |")
    read(file, text)
    assert (texts_of(text), text.pending) == (["new"], "50%|##  |")
    with run.console.open("a") as more:
        more.write("\r100%|####|\ndone\n")
    read(file, text)
    assert (texts_of(text), text.pending) == (["new", "100%|####|", "done"], "")


def found(typed: str, text: ConsoleText) -> ConsoleSearch:
    """The search after it has read the whole text."""
    search = ConsoleSearch()
    search.replace_from(0, text.find(pattern(typed)))
    return search


def test_a_search_counts_its_hits_and_goes_round_them() -> None:
    run = console(*(f"12:00:00 step {n} Loss {n / 7:.3f}" for n in range(210)))
    text = read(ConsoleFile(run.console), ConsoleText())
    assert [hit.line for hit in found("loss 1.00", text).hits] == [7]  # finds capitals too
    assert [hit.line for hit in found("*2?9*", text).hits] == [209]  # a glob
    search = found(r"step 1\d0 ", text)
    assert [hit.line for hit in search.hits] == [*range(100, 200, 10)]
    lines = []
    for by, place in ((-1, "match 10 of 10"), (1, "match 1 of 10"), (-1, "match 10 of 10")):
        hit = search.step(by)
        assert hit is not None
        lines.append(hit.line)
        assert place in search.describe()
    assert lines == [190, 100, 190]
    with run.console.open("a") as file:
        file.write("12:00:00 step 1x0 step 170 again\n")
    more = ConsoleText()
    read(ConsoleFile(run.console), more)
    search.replace_from(210, more.find(pattern(r"step 1\d0 "), 210))
    assert "match 10 of 11" in search.describe()


async def test_a_search_that_finds_nothing_says_so() -> None:
    panel = ConsolePanel()
    async with opened(panel) as pilot:
        app_of(pilot).show(look(console("12:00:00 loss 1")))
        panel.enter()
        await until_seen(pilot, "/ search · esc back")
        await pilot.press("slash", *"nowhere")
        await until_seen(pilot, "no match")
        await pilot.press("full_stop", "left_parenthesis")
        await until_seen(pilot, "not a regular expression")
        await pilot.press("escape")
        await until_seen(pilot, "/ search · esc back")


texts = st.text(st.characters(exclude_characters="\n"), max_size=60)


@given(st.lists(texts, min_size=1, max_size=12), st.integers(2, 30))
def test_wrapped_lines_keep_every_word_and_no_row_is_too_wide(
    tmp_path_factory: pytest.TempPathFactory, lines: list[str], width: int
) -> None:
    path = tmp_path_factory.getbasetemp() / "console.log"
    path.write_text("\n".join(lines) + "\n", errors="replace")
    read = ConsoleFile(path).read()
    assert read is not None
    text = ConsoleText()
    text.resize(width)
    text.add(read)
    parts = [""] * len(lines)
    for row in range(text.rows):
        line, start, end = text.at(row)
        assert cell_len(text.lines[line].text[start:end]) <= width
        parts[line] += text.lines[line].text[start:end]
    for part, line in zip(parts, texts_of(text), strict=True):
        assert part.replace(" ", "") == line.replace(" ", "")


async def test_i_gives_the_keys_to_the_console_and_escape_takes_them_back(
    open_watch: Opener,
) -> None:
    run = stage.make_run(name="plays", step=300)
    run.console.write_text("".join(f"12:00:00 line {n}\n" for n in range(300)))
    async with open_watch() as pilot:
        await until_seen(pilot, "Sample")
        await pilot.press("i")
        await until_seen(pilot, "/ search · esc back")
        await pilot.press("slash", *"line 7", "enter")
        await until_seen(pilot, "of 11 · . ,")
        await pilot.press("escape")
        await until(pilot, lambda: pilot.app.focused is None)
        await pilot.press("slash")
        await until(pilot, lambda: getattr(pilot.app.focused, "id", "") == "metric-filter")
