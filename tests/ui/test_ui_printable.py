"""Any character typed on any screen: the app answers it or does nothing, and never ends."""

import ast
import importlib
import inspect
import itertools
import pkgutil
import sys
from collections.abc import Iterator

import pytest
import stage
from acting import Opener, home_of, type_all, until_seen
from textual.message_pump import MessagePump

from genui import ui
from genui.ui.app import GenuiApp
from genui.ui.keys import PaneName
from genui.ui.training.screen import TrainingScreen

CALLED_BY_NAME = ("key_", "action_", "on_")
"""Textual calls what begins so, with an event or a key: it must be a method."""
OF_A_REACTIVE = ("watch_", "compute_", "validate_")
"""Textual calls what begins so with a new value of the reactive named after it."""
PANES: tuple[PaneName, ...] = ("models", "text", "canvas", "training")


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


@pytest.mark.parametrize("view", [*PANES, "watch"])
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
    async with open_app((80, 24)) as pilot:  # leaving raises what any key raised
        await until_seen(pilot, "plays-2")
        home = home_of(pilot)
        home.action_show_pane(view)
        await pilot.pause()
        await type_all(pilot)
