"""Any character typed on any screen: the app answers it or does nothing, and never ends."""

import ast
import importlib
import inspect
import itertools
import pkgutil
import string
import sys
from collections.abc import Iterator

import pytest
import stage
from acting import Opener, home_of, until, until_seen
from fake_lab_worker import FakeLab
from fake_process import in_process
from fake_worker import FakeWorker
from textual import events
from textual.keys import _character_to_key
from textual.message_pump import MessagePump
from textual.pilot import Pilot
from textual.widgets import Input

from genui import ui
from genui.ui.app import GenuiApp
from genui.ui.keys import PaneName
from genui.ui.lab import LabScreen
from genui.ui.training.screen import TrainingScreen

CALLED_BY_NAME = ("key_", "action_", "on_")
"""Textual calls what begins so, with an event or a key: it must be a method."""
OF_A_REACTIVE = ("watch_", "compute_", "validate_")
"""Textual calls what begins so with a new value of the reactive named after it."""
PANES: tuple[PaneName, ...] = ("models", "text", "canvas", "training")
LEAVING = "12345q"  # of a view, or of the app
TYPED = [c for c in string.printable + "éß字€" if c.isprintable() and c not in LEAVING]


def pumps(of: type = MessagePump) -> Iterator[type]:
    """Every class of the package that takes messages."""
    for kind in of.__subclasses__():
        if kind.__module__.startswith("genui."):
            yield kind
        yield from pumps(kind)


def stored_on_self(kind: type) -> set[str]:
    """The names that the module of a class stores on `self`; a method of another object that is
    bound to an action, as the panes bind those of their controllers, is a method still."""
    stored = set()
    for node in ast.walk(ast.parse(inspect.getsource(sys.modules[kind.__module__]))):
        if not isinstance(node, ast.Assign | ast.AnnAssign | ast.AugAssign):
            continue
        for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
            pairs: list[tuple[ast.expr, ast.expr | None]] = [(target, node.value)]
            if isinstance(target, ast.Tuple):
                values = node.value.elts if isinstance(node.value, ast.Tuple) else []
                pairs = list(itertools.zip_longest(target.elts, values))
            for name, value in pairs:
                if not isinstance(name, ast.Attribute) or ast.unparse(name.value) != "self":
                    continue
                if not (name.attr.startswith("action_") and isinstance(value, ast.Attribute)):
                    stored.add(name.attr)
    return stored


def test_no_name_is_taken_by_textual_for_a_handler() -> None:
    for module in pkgutil.walk_packages(ui.__path__, "genui.ui."):
        importlib.import_module(module.name)
    kinds = set(pumps())
    assert GenuiApp in kinds
    wrong = []
    for kind in kinds:
        for name in {*vars(kind), *stored_on_self(kind)}:
            bare = name.removeprefix("_")
            method = inspect.isfunction(vars(kind).get(name))
            if bare.startswith("key_") or (bare.startswith(CALLED_BY_NAME) and not method):
                wrong.append(f"{kind.__name__}.{name}")
            for prefix in OF_A_REACTIVE:
                reactive = bare.removeprefix(prefix)
                if reactive != bare and reactive not in kind._reactives:  # type: ignore[attr-defined]
                    wrong.append(f"{kind.__name__}.{name}")
    assert not wrong


async def type_all(pilot: Pilot[None]) -> None:
    """Every printable character on the screen at the front; what one opens is left again."""
    app = pilot.app
    front, keys = app.screen, [_character_to_key(c) for c in TYPED]
    for key, character in zip(keys, TYPED, strict=True):
        bound = key in front.active_bindings
        app.post_message(events.Key(key, character))
        if not bound:
            continue
        await pilot.pause()
        assert front in app.screen_stack
        while app.screen is not front:
            app.pop_screen()
            await pilot.pause()
        if isinstance(app.focused, Input):  # else what follows would be typed into the line
            app.post_message(events.Key("escape", None))
            await pilot.pause()
    await pilot.pause()


@pytest.mark.parametrize("view", [*PANES, "lab", "watch"])
async def test_no_character_ends_the_app(
    shipped, open_app: Opener, open_watch: Opener, view: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("genui.runs.launch.resume", lambda run: None)  # a trainer would outlive us
    stage.make_run()
    if view == "watch":
        async with open_watch() as pilot:
            assert isinstance(pilot.app.screen, TrainingScreen)
            await type_all(pilot)
        return
    worker = in_process(FakeLab if view == "lab" else FakeWorker)
    async with open_app((80, 24), worker) as pilot:  # leaving raises what any key raised
        await until_seen(pilot, "plays-2")
        home = home_of(pilot)
        if view == "lab":
            await pilot.press("5")
            await until(pilot, lambda: isinstance(pilot.app.screen, LabScreen))
        elif view in PANES:
            home.action_show_pane(PANES[PANES.index(view)])
            await pilot.pause()
        await type_all(pilot)
