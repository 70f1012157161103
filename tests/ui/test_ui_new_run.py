"""The form of a new run: its keys, completion, errors beside their fields, and what it takes."""

import shlex
from pathlib import Path

import msgspec
import pytest
import stage
from acting import Opener, fault, seen, until, until_seen
from small_gguf import write_gguf
from textual import events
from textual.pilot import Pilot

from genui.base import paths
from genui.base.errors import GenuiError
from genui.hub.records import Record, write_record
from genui.recipes import RECIPES, Recipe, find_recipe
from genui.runs.layout import RunDir
from genui.runs.plan import Plan
from genui.ui import new_run
from genui.ui.home_panes import ModelsPane
from genui.ui.new_run import (
    NewRunScreen,
    complete_setting,
    describe_setting,
    parse_minutes,
)
from genui.ui.widgets.inputs import LineInput, complete_path
from genui.ui.widgets.lists import RowList

QUICK = next(iter(RECIPES))


def form(pilot: Pilot[None]) -> NewRunScreen:
    screen = pilot.app.screen
    assert isinstance(screen, NewRunScreen)
    return screen


def values(pilot: Pilot[None]) -> dict[str, str]:
    return {line.id or "": line.value for line in form(pilot).query(LineInput)}


def burst(pilot: Pilot[None], *keys: str) -> None:
    """Keys that arrive at once, as from a paste or over a slow link."""
    for key in keys:
        pilot.app.post_message(events.Key(key, key if len(key) == 1 else None))


def plans(monkeypatch: pytest.MonkeyPatch, *each: Plan) -> None:
    """Let the process that estimates a training print these."""
    lines = "; ".join(f"echo {shlex.quote(msgspec.json.encode(plan).decode())}" for plan in each)
    monkeypatch.setattr(new_run, "PLANNER", ("sh", "-c", lines))
    monkeypatch.setattr(new_run, "PAUSE_S", 0.0)


async def test_text_after_tab_reaches_the_next_field_in_one_burst(
    shipped, open_app: Opener
) -> None:
    async with open_app(size=(80, 24)) as pilot:
        await pilot.press("n")
        await until_seen(pilot, "New run")
        burst(pilot, "tab", *"mine", "tab", *"300", "enter", *"/no/such", "down", *"width=64")
        wanted = {"name": "mine", "steps": "300", "data": "/no/such", "set": "width=64"}
        expected = {f"field-{key}": value for key, value in ({"recipe": ""} | wanted).items()}
        await until(pilot, lambda: values(pilot) == expected)
        burst(pilot, "shift+tab", "x", "up", "1", "shift+tab", "y")
        wanted |= {"name": "miney", "steps": "3001", "data": "/no/suchx"}
        # A field that gets the focus with text in it is selected: what is typed replaces it.
        await until(pilot, lambda: values(pilot)["field-name"].endswith("y"))
        assert values(pilot)["field-set"] == "width=64"
        assert (values(pilot)["field-data"], values(pilot)["field-steps"]) == ("x", "1")


async def test_an_error_is_seen_beside_its_field_at_80_by_24(shipped, open_app: Opener) -> None:
    async with open_app(size=(80, 24)) as pilot:
        await pilot.press("n")
        await until_seen(pilot, "New run")
        for label in ("recipe", "name", "steps", "data", "settings"):
            assert label in seen(pilot)
        await pilot.press("tab", "tab", *"abc", "tab", *"/no", "tab", *"widht=3")
        await pilot.press("ctrl+s")
        lines = (
            "steps=abc: expected a whole",
            "/no: no such file",
            "widht: the transformer recipe has",
        )
        for line, typed in zip(lines, ("abc", "/no", "widht=3"), strict=True):
            await until_seen(pilot, line)
            rows = seen(pilot).splitlines()
            at = next(y for y, row in enumerate(rows) if line in row)
            assert typed in rows[at - 1]
        assert not form(pilot).query_one(".window").show_vertical_scrollbar
        await pilot.press("2")  # ctrl+s moved the focus to the first error
        await until(pilot, lambda: "steps" not in fault(pilot))
        assert not paths.runs_dir().exists()


async def test_a_recipe_is_found_by_a_part_of_its_name(shipped, open_app: Opener) -> None:
    async with open_app() as pilot:
        await pilot.press("n")
        await until_seen(pilot, QUICK)
        burst(pilot, *"icon")
        await until(pilot, lambda: form(pilot).recipe.name == "icons")
        assert "prose" not in seen(pilot)
        await pilot.press("right")
        await until(pilot, lambda: values(pilot)["field-recipe"] == "icons")
        await pilot.press("down")
        assert form(pilot).recipe is list(RECIPES.values())[list(RECIPES).index("icons") + 1]
        burst(pilot, *"rose", "tab")
        await until(pilot, lambda: values(pilot)["field-recipe"] == "prose")
        await pilot.press("shift+tab", *"prsoe")
        await until(pilot, lambda: "did you mean 'prose'?" in fault(pilot))


async def test_the_form_counts_the_tables_of_n_grams_and_a_lower_terminal_scrolls_to_the_error(
    shipped, open_app: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    plans(monkeypatch)
    async with open_app(size=(80, 24)) as pilot:
        await pilot.press("n")
        await until_seen(pilot, "layers 1")
        assert "up to 8.4M in n-grams" in seen(pilot)
        burst(pilot, *"shakespeare")
        await until(pilot, lambda: form(pilot).recipe.name == "shakespeare")
        await until_seen(pilot, "layers 6")
        assert "n-grams" not in seen(pilot)
        await pilot.press("escape")
        await pilot.resize_terminal(80, 14)
        await pilot.press("n")
        await until_seen(pilot, "New run")
        await pilot.press("up", "tab", "tab", "tab", "tab", *"x", "ctrl+s")
        await until_seen(pilot, "'x': expected KEY=VALUE")
        assert form(pilot).query_one(".window").show_vertical_scrollbar


async def test_a_measurement_says_how_long_it_still_takes(
    shipped, open_app: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    plans(monkeypatch)  # a process that has not answered yet
    monkeypatch.setattr(new_run, "PLANNER", ("sh", "-c", "exec sleep 60"))
    async with open_app(size=(80, 24)) as pilot:
        await pilot.press("n")
        await until_seen(pilot, "checking whether it can start …")
        form(pilot)._show_plan(Plan(measuring=True, left=60))
        await until_seen(pilot, "measuring a few steps, about 1 minute left")
        await until_seen(pilot, "about 55 seconds left")  # it counts down by itself


@pytest.mark.parametrize("steps", ["", "1 min"])
async def test_a_start_that_waits_says_so_takes_no_text_and_can_be_given_up(
    steps: str, shipped, open_app: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    plans(monkeypatch)
    monkeypatch.setattr(new_run, "PLANNER", ("sh", "-c", "exec sleep 60"))  # it never answers
    monkeypatch.setattr(new_run, "PATIENCE_S", 600.0)
    started: list[dict[str, str]] = []

    def start(recipe: Recipe, settings: dict[str, str], *_: str) -> RunDir:
        started.append(settings)
        raise GenuiError("enough")

    monkeypatch.setattr(new_run, "launch", start)
    async with open_app() as pilot:
        await pilot.press("n")
        await until_seen(pilot, "New run")
        await pilot.press("tab", "tab", *steps)
        burst(pilot, "ctrl+s", "o", "x", "0", "backspace")
        await until_seen(pilot, "starts after this: checking whether it can start …")
        await until_seen(pilot, "esc do not start")
        await pilot.press("y", "tab", "z")
        assert values(pilot)["field-steps"] == steps
        assert set(values(pilot).values()) == {"", steps}
        await pilot.press("escape")
        await until_seen(pilot, "its duration is not measured yet")
        await pilot.press("end", "7")  # in the field that was left
        await until(pilot, lambda: values(pilot)["field-steps"] == f"{steps}7")
        assert not started
        if steps:  # a second Ctrl+S does not wait: the steps are planned while it trains
            await pilot.press("backspace", "ctrl+s")
            await until_seen(pilot, "^s start unmeasured")
            await pilot.press("ctrl+s")
            await until_seen(pilot, "enough")
            assert started == [{"minutes": "1"}]


async def test_a_time_in_place_of_steps_starts_what_it_chose(
    shipped, open_app: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = {"steps": "70", "layers": "2"}
    plans(monkeypatch, Plan(measuring=True), Plan(seconds=180, source="now", settings=chosen))
    started: list[tuple[str, dict[str, str]]] = []

    def start(recipe: Recipe, settings: dict[str, str], *_: str) -> RunDir:
        started.append((recipe.name, settings))
        raise GenuiError("enough")

    monkeypatch.setattr(new_run, "launch", start)
    async with open_app() as pilot:
        await pilot.press("n")
        await until_seen(pilot, "or a time such as 3 min")
        await pilot.press("tab", "tab", *"3 min", "tab", "tab", *"width=64")
        await pilot.press("ctrl+s")
        await until_seen(pilot, "enough")
        assert started == [(QUICK, {"width": "64", "minutes": "3", **chosen})]
        await until_seen(pilot, "steps=70 layers=2 · about 3 minutes")


async def test_a_new_run_ends_a_filter_that_would_hide_it(
    shipped, open_app: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    plans(monkeypatch, Plan(seconds=60, source="now"))

    def start(recipe: Recipe, *_: object) -> RunDir:
        return stage.make_run(recipe.name, "first", step=1)

    monkeypatch.setattr(new_run, "launch", start)
    async with open_app() as pilot:
        await pilot.press("slash", *"^image", "down", "n")
        await until_seen(pilot, "New run")
        await pilot.press("ctrl+s")
        rows = pilot.app.screen_stack[0].query_one(RowList)
        await until(pilot, lambda: rows.chosen.startswith("run:first"))
        assert any(row.key == "model:shakespeare" for row in rows.rows)


@pytest.mark.parametrize(
    ("text", "minutes"),
    [("3 min", 3), ("90s", 1.5), ("1.5 hours", 90), ("300", 0), ("1.2.3 s", 0), ("soon", 0)],
)
def test_a_time_is_minutes(text: str, minutes: float) -> None:
    assert parse_minutes(text) == minutes


async def test_what_the_training_takes_is_said_and_what_cannot_start_makes_no_run(
    shipped, open_app: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    plans(monkeypatch, Plan(measuring=True), Plan(seconds=60, now=60, source="20 steps measured"))
    async with open_app(size=(80, 24)) as pilot:
        await pilot.press("n")
        await until_seen(pilot, "about 1 minute on this machine (20 steps measured)")
        await pilot.press("escape")
        plans(monkeypatch, Plan(fault="no NotoColorEmoji.ttf found: install it"))
        await pilot.press("n")
        line = "cannot start: no NotoColorEmoji.ttf found"
        await until_seen(pilot, line)
        await pilot.press("ctrl+s")
        await pilot.app.workers.wait_for_complete()
        await until_seen(pilot, line)
        assert not paths.runs_dir().exists()


def test_settings_are_completed_and_described() -> None:
    recipe = find_recipe("shakespeare")
    assert complete_setting("lay", recipe) == "layers="
    assert complete_setting("layers=8 wid", recipe) == "layers=8 width="
    assert complete_setting("width=", recipe) == f"width={recipe.widest}"
    assert complete_setting("tokenizer=bp", recipe) == "tokenizer=bpe"
    assert complete_setting("nothing", recipe) is None
    assert complete_setting("nothing=", recipe) is None
    assert complete_setting("", recipe) is None
    assert complete_setting("fam", recipe) is None  # the identity of a recipe is fixed
    assert describe_setting("width=3", recipe).startswith("width: features of a token")
    assert describe_setting("layers=2 learn", recipe) == "learning_rate"


def test_paths_are_completed(tmp_path: Path) -> None:
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "one.txt").touch()
    (tmp_path / ".hidden").touch()
    assert complete_path(f"{tmp_path}/le") == f"{tmp_path}/letters/"
    assert complete_path(f"{tmp_path}/letters/") == f"{tmp_path}/letters/one.txt"
    assert complete_path(f"{tmp_path}/") == f"{tmp_path}/letters/"
    assert complete_path(f"{tmp_path}/x") is None
    assert complete_path(f"{tmp_path}/no/such") is None


async def test_n_on_a_model_of_others_trains_on_from_it(
    shipped, open_app: Opener, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "small.gguf"
    write_gguf(file)
    write_record("small", Record(path=str(file)))
    chats = tmp_path / "chats.jsonl"
    chats.write_text("{}")
    commands: list[tuple[str, ...]] = []

    async def record(command: tuple[str, ...]):
        commands.append(command)
        yield Plan(fault="too large")

    monkeypatch.setattr(new_run, "estimates", record)
    monkeypatch.setattr(new_run, "PAUSE_S", 0.0)
    async with open_app() as pilot:
        await until_seen(pilot, "small")
        rows = pilot.app.screen.query_one(ModelsPane).query_one(RowList)
        await until(pilot, lambda: any(row.key.endswith("small") for row in rows.rows))
        rows.chosen = next(row.key for row in rows.rows if row.key.endswith("small"))
        await pilot.press("n")
        await until_seen(pilot, "New run from small")
        assert "Trains adapters (LoRA)" in seen(pilot)
        form(pilot).query_one("#field-data", LineInput).value = str(chats)
        await until(pilot, lambda: bool(commands) and f"data={chats}" in commands[-1])
        assert commands[-1][:2] == ("--from", "small")
        await until_seen(pilot, "cannot start: too large")
