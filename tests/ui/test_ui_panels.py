"""Beside the curves: the settings of the runs, and what their machine did."""

import dataclasses
import re

import numpy as np
import pytest
import stage
from acting import seen, until, until_seen
from panel_stage import app_of, look, opened, points, with_info

from genui.ui.training.config import ConfigPanel, flatten
from genui.ui.training.system import Clock, SystemPanel
from genui.ui.watcher import RunView

# --- settings ---------------------------------------------------------------------------


async def test_settings_are_listed_and_those_that_were_changed_are_marked() -> None:
    async with opened(ConfigPanel(), size=(60, 60)) as pilot:
        app_of(pilot).show(look(stage.make_run(steps=4000, step=10)))
        await until_seen(pilot, "• steps")
        lines = [line.strip("│ ") for line in seen(pilot).splitlines()]
        assert any(re.fullmatch(r"• steps +4000", line) for line in lines)
        assert any(re.fullmatch(r"learning_rate +0.003", line) for line in lines)
        assert any(re.fullmatch(r"sample_prompt +'ROMEO:\\n'", line) for line in lines)


async def test_a_long_value_of_wide_characters_is_whole() -> None:
    async with opened(ConfigPanel()) as pilot:
        prompt = "".join(map(chr, range(0x4E00, 0x4E00 + 60)))
        app_of(pilot).show(look(stage.make_run(step=10), config={"prompt": prompt}))
        await until_seen(pilot, "prompt")
        assert all(character in seen(pilot) for character in prompt)


async def test_of_several_runs_what_differs_comes_first() -> None:
    a, b = look(stage.make_run(name="a", step=10)), look(stage.make_run(name="b", step=10))
    views = (
        dataclasses.replace(a, config={"same": 1, "model": {"width": 256, "heads": 4}, "x": None}),
        dataclasses.replace(b, config={"same": 1, "model": {"width": 512, "heads": 4}}),
    )
    async with opened(ConfigPanel()) as pilot:
        app_of(pilot).show(*views)
        await until_seen(pilot, "model.width")
        rows = [line.strip("│ ").split() for line in seen(pilot).splitlines()[1:]]
        assert rows[:7] == [
            ["a", "b"], ["differs"], ["model.width", "256", "512"], ["x", "none", "–"],
            ["same"], ["same", "1", "1"], ["model.heads", "4", "4"],
        ]  # fmt: skip
        assert "2 of 4 differ" in seen(pilot)


async def test_runs_whose_settings_have_no_room_are_counted() -> None:
    names = [f"a-sweep-of-shakespeare.{number}" for number in range(12)]
    views = [look(stage.make_run(name=name, step=10), config={"seed": name}) for name in names]
    async with opened(ConfigPanel()) as pilot:
        app_of(pilot).show(*views)
        await until_seen(pilot, "more runs without room")
        heads, hidden = (line.strip("│ ") for line in seen(pilot).splitlines()[1:3])
        assert [head[-2:] for head in heads.split()] == [
            f".{number}" for number in range(12 - int(hidden.split()[0]))
        ]


async def test_settings_are_filtered_by_key_or_value() -> None:
    panel = ConfigPanel()
    async with opened(panel) as pilot:
        app_of(pilot).show(look(stage.make_run(step=10)))
        panel.enter()
        await until_seen(pilot, "/ filter")
        await pilot.press("slash", *"beta", "enter")
        await until_seen(pilot, "2 of ")
        assert "beta1" in seen(pilot)
        assert "weight_decay" not in seen(pilot)
        await pilot.press("slash", *"xyz", "enter")
        await until_seen(pilot, "No setting matches")
        await pilot.press("slash", "escape")
        await until_seen(pilot, "batch")


def test_a_configuration_of_any_shape_is_flat_text() -> None:
    deep: dict[str, object] = {}
    inner = deep
    for _ in range(50):
        inner["k"] = {}
        inner = inner["k"]  # type: ignore[assignment]
    table = flatten({"a": {"b": [1, 2.5, True]}, "e": {}, "e\x1b[31mvil": "x\x1b[0m", "deep": deep})
    assert table["a.b"] == "1, 2.5, yes"
    assert table["evil"] == "x"
    assert len(table) == 4
    assert len(flatten({str(n): n for n in range(20_000)})) == 2000
    assert flatten({}) == {}


async def test_a_run_without_settings_says_so() -> None:
    async with opened(ConfigPanel()) as pilot:
        first, second = (look(stage.make_run(name=name, step=10), config={}) for name in "ab")
        app_of(pilot).show(first)
        await until_seen(pilot, "No settings are known for this run")
        app_of(pilot).show(first, second)
        await until(pilot, lambda: "set by you" not in seen(pilot))
        assert "differ" not in seen(pilot)


# --- the machine ------------------------------------------------------------------------

NOW = 1.7e9


def measured(**system: object) -> RunView:
    """A run with a record a second from step 0 to 100, and some measures."""
    view = look(stage.make_run(step=100))
    steps = range(101)
    series = {"loss": points(steps, [1.0] * 101, [NOW + step for step in steps])}
    return dataclasses.replace(view, series=series, system=system)


async def test_the_machine_is_told_with_units_and_at_the_cursor() -> None:
    view = measured(
        **{
            "cpu cores": points([0, 1, 2], [0.5, 1.5, 1.9], [NOW, NOW + 50, NOW + 100]),
            "machine cpu cores": points([0], [2.0], [NOW + 100]),
            "gpu0 °C": points([0], [61.0], [NOW + 100]),
            "gpu0 %": points([0], [93.0], [NOW + 100]),
            "disk free GB": points([0], [41.2], [NOW + 100]),
        }
    )
    async with opened(SystemPanel(), size=(60, 30)) as pilot:
        app_of(pilot).show(view)
        await until_seen(pilot, "cpu  run 1.90  machine 2 cores")
        screen = seen(pilot)
        for text in ("gpu busy  gpu0 93 %", "gpu temperature  gpu0 61 °C", "disk free  41.2 GB"):
            assert text in screen
        assert screen.index("gpu busy") < screen.index("cpu")
        app_of(pilot).show(view, cursor=49)
        await until_seen(pilot, "cpu  run 1.50")


async def test_a_value_that_does_not_fit_is_left_out_whole() -> None:
    view = measured(**{f"gpu{n} %": points([0], [90.0 + n], [NOW + 9]) for n in range(8)})
    async with opened(SystemPanel(), size=(40, 10)) as pilot:
        app_of(pilot).show(view)
        await until_seen(pilot, "gpu busy  gpu0 90  gpu1 91  gpu2 92 % │")


async def test_percentages_of_many_gpus_are_a_heat_map() -> None:
    gpus = {f"gpu{n} %": points([0, 1], [100.0 * (n % 2)] * 2, [NOW, NOW + 100]) for n in range(8)}
    async with opened(SystemPanel(), size=(60, 30)) as pilot:
        app_of(pilot).show(measured(**gpus))
        await until_seen(pilot, "gpu7 ████████")
        assert "gpu6 ········" in seen(pilot)
        app_of(pilot).show(measured(**dict(list(gpus.items())[:4])))
        await until_seen(pilot, "┤")
        assert "█" not in seen(pilot)


async def test_measurements_are_filtered_by_their_group_or_their_own_name() -> None:
    names = ["gpu0 %", "gpu1 %", "gpu0 °C", "cpu cores", "machine cpu cores", "disk free GB"]
    view = measured(**{name: points([0, 1], [7.0, 8.0], [NOW, NOW + 9]) for name in names})
    panel = SystemPanel()
    async with opened(panel, size=(60, 30)) as pilot:
        app_of(pilot).show(view)
        panel.enter()
        await until_seen(pilot, "/ filter · esc back")
        await pilot.press("slash", *"cpu", "enter")
        await until_seen(pilot, "1 of 4 · / filter")
        assert "cpu  run 8  machine 8 cores" in seen(pilot)
        assert "gpu busy" not in seen(pilot)
        await pilot.press("slash", *("backspace",) * 3, *"gpu1", "enter")
        await until_seen(pilot, "gpu busy  gpu1 8 %")  # of the group, the one that matches
        assert "gpu temperature" not in seen(pilot)
        await pilot.press("slash", "(")
        await until_seen(pilot, "not a regular expression")
        assert "gpu busy  gpu1 8 %" in seen(pilot)
        await pilot.press("escape", "slash", *"xyz", "enter")
        await until_seen(pilot, "No measurement matches")
        await pilot.press("slash", "escape")
        await until_seen(pilot, "gpu temperature")


@pytest.mark.parametrize(
    ("state", "format", "line"),
    [
        ("paused", "genui", "This run has no measurements"),  # its trainer is gone
        ("stopped", "genui", "This run has no measurements"),
        ("stopped", "csv", "A log of another tool"),
    ],
)
async def test_where_nothing_was_recorded_that_is_said(state: str, format: str, line: str) -> None:
    run = stage.make_run(step=10, state=state)
    async with opened(SystemPanel()) as pilot:
        app_of(pilot).show(with_info(look(run), format))
        await until_seen(pilot, line)


def test_measures_lie_at_the_steps_that_were_trained_then() -> None:
    view = measured()
    clock = Clock(view, "step")
    x = clock.places(np.array([NOW - 5, NOW, NOW + 25.5, NOW + 500]))
    assert x is not None
    assert np.isnan(x[0])  # before the first step
    np.testing.assert_allclose(x[1:], [0, 25.5, 100])
    assert clock.extent() == (0, 100)


def test_a_clock_that_is_not_known_or_was_set_back_breaks_nothing() -> None:
    untimed = {"loss": points([1, 2], [1, 1], [np.nan, np.nan])}
    clock = Clock(dataclasses.replace(measured(), series=untimed), "step")
    assert clock.places(np.array([NOW])) is None
    back = {"loss": points([1, 2, 3], [1, 1, 1], [NOW, NOW + 9, NOW - 50])}
    x = Clock(dataclasses.replace(measured(), series=back), "step").places(np.array([NOW, NOW + 9]))
    assert x is not None
    assert np.isfinite(x).all()
    nothing = Clock(dataclasses.replace(measured(), series={}), "step")
    assert nothing.places(np.array([NOW])) is None
    assert nothing.extent() is None


def test_a_million_records_say_the_same_in_a_few_thousand() -> None:
    steps = np.arange(1_000_001)
    series = {"loss": (steps, np.ones(len(steps)), NOW + steps / 10)}
    clock = Clock(dataclasses.replace(measured(), series=series), "step")
    x = clock.places(np.array([NOW + 12345.6, NOW + 100_000]))
    assert x is not None
    np.testing.assert_allclose(x, [123456, 1_000_000])
