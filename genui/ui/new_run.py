"""The form that starts a training, from a recipe or from a checkpoint.

Before a run is made it says how long the training takes on this machine, its memory and its
download, and why it cannot start. The app computes nothing: `genui train --dry-run` measures it in
a process.
"""

import asyncio
import contextlib
import dataclasses
import os
import re
import sys
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from functools import partial
from typing import ClassVar, NamedTuple

import msgspec
from textual import events, on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.suggester import Suggester
from textual.widget import Widget
from textual.widgets import Label, Static

from genui.base.errors import GenuiError, MisuseError, did_you_mean
from genui.base.schema import Setting, settings_of
from genui.base.text import clean_line
from genui.recipes import FIXED, RECIPES, Recipe, override, parse_settings
from genui.runs.launch import launch
from genui.runs.layout import RunDir, check_name, state_steps
from genui.runs.models import Origin, find_fork, find_origin
from genui.runs.plan import Plan
from genui.ui.lifecycle import is_usable
from genui.ui.processes import running
from genui.ui.widgets.dialogs import Form
from genui.ui.widgets.inputs import Completer, LineInput, complete_path
from genui.ui.widgets.lists import ListRow, RowList

PLANNER = (sys.executable, "-m", "genui", "train")
"""The command that estimates a training; recipe and settings are added."""

PAUSE_S = 0.5
"""The time that the form must stay unchanged before the training is measured."""

PATIENCE_S = 15.0
"""The time that a start waits for the answer whether it can start."""

BUDGET_S = 120.0
"""The time that a start waits for the size that suits a budget of time."""

POLL_S = 0.05

NAME_HINT = "the recipe's name if empty"
DATA_HINT = "your own text file, or a folder of images with captions"
CHATS_HINT = "chats or prompts with completions (.jsonl), or text"
SETTINGS_HINT = "other settings, e.g. width=384 layers=8"
SETTINGS_FROM_HINT = "e.g. learning_rate=3e-4 batch=32"

_SIZES = frozenset({"layers", "width", "context", "batch", "tokenizer", "patch"})
"""Settings that the description of a recipe shows."""


class Beginning(NamedTuple):
    """What `genui train --from` takes; with `keeps_state` the new run is a fork."""

    ref: str
    keeps_state: bool = False

    @property
    def words(self) -> tuple[str, ...]:
        """The arguments of the shell."""
        return ("--from", self.ref, *(["--keep-state"] if self.keeps_state else []))

    def find(self) -> Origin:
        """Raises MisuseError if there is no such model or state."""
        return find_fork(self.ref) if self.keeps_state else find_origin(self.ref)


class Source(NamedTuple):
    """The start of a training: one of several rows, such as the checkpoints of a run."""

    name: str
    recipe: Recipe
    rows: tuple[ListRow, ...]
    origins: Mapping[str, Beginning]  # by the key of a row
    chosen: str  # the key of the row that is chosen at first
    label: str  # of the list
    about: str
    data_hint: str


def source_of_run(
    run: RunDir, name: str, recipe: Recipe, steps: Sequence[int], chosen: int
) -> Source:
    """The checkpoints of a run, those with a state also to fork it; `chosen` is the step that is
    chosen at first."""
    rows: list[ListRow] = []
    origins: dict[str, Beginning] = {}
    states = set(state_steps(run))
    for step in reversed(steps):
        key, label = str(step), f"step {step:,}"
        origins[key] = Beginning(str(run.checkpoint(step)))
        rows.append(ListRow(key, label, "newest" if step == steps[-1] else ""))
        if step in states:
            origins[f"{key}+"] = Beginning(f"{run.id}@{step}", keeps_state=True)
            rows.append(ListRow(f"{key}+", f"{label} with its state", "a fork of the run"))
    return Source(
        name=name,
        recipe=recipe,
        rows=tuple(rows),
        origins=origins,
        chosen=str(chosen),
        label="step",
        about=f"Fixed by the weights: {', '.join(recipe.ARCHITECTURE)}. All other settings may be "
        "changed. A fork keeps the optimiser and the schedule.",
        data_hint=DATA_HINT,
    )


def source_of_model(ref: str) -> Source:
    """A model that others trained. Raises MisuseError if it cannot be trained on."""
    origin = find_origin(ref)
    name = clean_line(origin.recipe.name, 40)
    return Source(
        name=name,
        recipe=origin.recipe,
        rows=(ListRow(ref, name, "fine-tuned"),),
        origins={ref: Beginning(ref)},
        chosen=ref,
        label="model",
        about="Trains adapters (LoRA), or the whole model with mode=full. Give data.",
        data_hint=CHATS_HINT,
    )


# --- Completion ---------------------------------------------------------------------------------


def changeable_settings(recipe: Recipe) -> dict[str, Setting]:
    """The settings of a recipe that the form's line of settings may change."""
    known = settings_of(type(recipe))
    return {name: one for name, one in known.items() if name not in FIXED | {"summary"}}


def complete_setting(value: str, recipe: Recipe) -> str | None:
    """The settings with the last one completed, by its name or by the value that it has now."""
    last = value.rpartition(" ")[2]
    name, sign, _ = last.partition("=")
    known = changeable_settings(recipe)
    if not sign:
        choices = [f"{name}=" for name in known] if last else []
    elif name in known:
        current = getattr(recipe, name)
        choices = [f"{name}={each}" for each in (current, *(known[name].choices or ()))]
        choices = choices if isinstance(current, str | int | float) else []
    else:
        choices = []
    match = next((choice for choice in choices if choice.startswith(last) and choice != last), None)
    return value[: len(value) - len(last)] + match if match else None


def describe_setting(value: str, recipe: Recipe) -> str:
    """The help of the setting that is typed last, or the names that begin like it."""
    last = value.rpartition(" ")[2].partition("=")[0]
    known = changeable_settings(recipe)
    if last in known:
        return f"{last}: {known[last].help}"
    return " ".join(name for name in known if name.startswith(last))


# --- The form -----------------------------------------------------------------------------------


class FormField(Vertical):
    """A labelled line, with its error or its help below it."""

    def __init__(self, key: str, label: str, placeholder: str, suggester: Suggester | None) -> None:
        super().__init__(classes="form-field")
        self._line = LineInput(
            placeholder=placeholder, id=f"field-{key}", compact=True, suggester=suggester
        )
        self._label = label

    def compose(self) -> ComposeResult:
        with Horizontal(classes="field"):
            yield Label(self._label)
            yield self._line
        yield Static(classes="fault", markup=False)
        yield Static(classes="hint", markup=False)

    def show_fault(self, fault: str) -> None:
        """Show why the value is invalid, and scroll to it; "" removes it."""
        line = self.query_one(".fault", Static)
        line.update(clean_line(fault))
        self.set_class(bool(fault), "-faulty")
        if fault:
            self.call_after_refresh(self.scroll_visible, animate=False)

    def show_hint(self, hint: str) -> None:
        self.query_one(".hint", Static).update(clean_line(hint))
        self.set_class(bool(hint), "-hinted")


FIELDS = ("recipe", "name", "steps", "data", "set")
"""The fields in order, by the last part of their ids."""


class NewRunScreen(Form[RunDir | None]):
    """Starts a trainer. Dismissed with its run, or None.

    With a `source` it lists what that has instead of the recipes. The first field filters the
    list, and ↑↓ move in it.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", "Cancel", show=False),
        Binding("ctrl+s", "start", "Start", show=False),
        Binding("pagedown", "page(1)", "Page down", show=False),
        Binding("pageup", "page(-1)", "Page up", show=False),
    ]

    def __init__(self, recipe: str = "", source: Source | None = None) -> None:
        super().__init__()
        self.VERTICAL_BREAKPOINTS = [(0, "-short"), (34, "-high")]  # lines, class of the screen
        self._first = recipe
        self._source = source
        self._starting = False
        self._waits = False  # for an answer, before the run is made; no field takes text then
        self._left_field: Widget | None = None  # that had the focus before it waited
        self._at_once = False  # Ctrl+S was pressed again
        self._shown: tuple[Plan, float] = (Plan(), 0.0)  # and when it came
        self._plans: dict[tuple[str, ...], Plan] = {}  # the newest for each command
        self._measured: tuple[str, ...] = ()  # the command that is measured now

    def compose(self) -> ComposeResult:
        source = self._source
        with VerticalScroll(classes="window new-run", can_focus=False):
            label = source.label if source else "recipe"
            yield FormField("recipe", label, "", Completer(self._complete_row))
            rows = RowList(id="recipes")
            rows.can_focus = False
            yield rows
            yield Static(id="about", markup=False)
            yield Static(id="plan", markup=False)
            yield FormField("name", "name", NAME_HINT, None)
            yield FormField("steps", "steps", "", None)
            data_hint = source.data_hint if source else DATA_HINT
            yield FormField("data", "data", data_hint, Completer(complete_path, on_thread=True))
            hint = SETTINGS_FROM_HINT if source else SETTINGS_HINT
            yield FormField("set", "settings", hint, None)

    def on_mount(self) -> None:
        source = self._source
        self._show_keys()
        self.set_interval(1.0, self._count_down)
        rows = self.query_one(RowList)
        if source is not None:
            rows.chosen = source.chosen
        elif self._first in RECIPES:
            rows.chosen = self._first
        self._list("")
        self.begin_typing()

    def _show_keys(self) -> None:
        title = f"New run from {self._source.name}" if self._source else "New run"
        keys = "⏎ next, then start · → completes · ^s start now · esc cancel"
        if self._waits:
            keys = "^s start unmeasured · esc do not start" if self._minutes else "esc do not start"
        self.set_titles(title, keys)

    # --- the list ---------------------------------------------------------------------

    def _all_rows(self) -> list[ListRow]:
        if (source := self._source) is not None:
            return list(source.rows)
        return [ListRow(r.name, r.name, r.summary) for r in RECIPES.values()]

    def _list(self, text: str) -> str:
        """List the rows with the text in them: those that begin with it first, the shortest name
        before its variants. Returns why there is none, and then lists all."""
        rows, text = self._all_rows(), text.strip().lower()
        matches = [row for row in rows if text in f"{row.left} {row.right}".lower()]
        if text:
            matches.sort(key=lambda row: (not row.left.startswith(text), len(row.left)))
        known = self.query_one(RowList)
        if text in {row.key for row in matches}:
            known.chosen = text
        known.set_rows(matches or rows, "")
        if matches:
            return ""
        if self._source is not None:
            return f"no {self._source.label} {clean_line(text, 40)!r} in the list"
        return f"no recipe '{clean_line(text, 40)}': {did_you_mean(text, RECIPES)}"

    def _complete_row(self, text: str) -> str | None:
        """Complete the text with the name of the first row that begins like it."""
        keys = (row.key for row in self.query_one(RowList).rows)
        return min((key for key in keys if key.startswith(text)), key=len, default=None)

    @property
    def recipe(self) -> Recipe:
        """The recipe under the cursor, or the recipe of the source."""
        return self._source.recipe if self._source else RECIPES[self.query_one(RowList).chosen]

    @on(RowList.Chosen)
    def _describe(self) -> None:
        recipe = self.recipe
        self._line("recipe").placeholder = self.query_one(RowList).chosen
        self._line("steps").placeholder = f"{recipe.steps:,}, or a time such as 3 min"
        self._line("set").suggester = Completer(partial(complete_setting, recipe=recipe))
        if self._source is not None:
            about = self._source.about
        else:
            values = dataclasses.asdict(recipe).items()
            sizes = [f"{name} {value}" for name, value in values if name in _SIZES]
            sizes = " · ".join((*sizes, *recipe.more_sizes))
            about = f"{recipe.family} on {recipe.dataset} · {sizes}"
        self.query_one("#about", Static).update(about)
        self._ask_plan()

    def action_page(self, direction: int) -> None:
        self.query_one(RowList).action_page(direction)

    @on(events.DescendantBlur)
    def _left(self, event: events.DescendantBlur) -> None:
        """Show the whole name that was found by a part of it, and check the field that is left."""
        field = event.widget
        if not isinstance(field, LineInput) or not is_usable(self):
            return
        key = (field.id or "").removeprefix("field-")
        if key == "recipe" and field.value and not self._list(field.value):
            field.value = self.query_one(RowList).chosen
        self._field("set").show_hint("")
        self._field(key).show_fault(self._faults().get(key, "") if field.value else "")

    @on(events.DescendantFocus)
    def _entered(self, event: events.DescendantFocus) -> None:
        if event.widget is self._line("set"):
            self._show_setting()

    def _show_setting(self) -> None:
        line = self._line("set")
        self._field("set").show_hint(describe_setting(line.value, self.recipe))

    # --- values -----------------------------------------------------------------------

    def _line(self, key: str) -> LineInput:
        return self.query_one(f"#field-{key}", LineInput)

    def _field(self, key: str) -> FormField:
        field = self._line(key).query_ancestor(FormField)
        assert isinstance(field, FormField)
        return field

    def _value(self, key: str) -> str:
        return self._line(key).value.strip()

    def _typed_settings(self, *keys: str) -> dict[str, str]:
        """The settings that these fields change. Raises MisuseError, one line."""
        settings = parse_settings(self._value("set").split()) if "set" in keys else {}
        if "steps" in keys and (steps := self._value("steps")) and not self._minutes:
            settings["steps"] = steps.replace(",", "")
        if "data" in keys and (data := self._value("data")):
            settings["data"] = data
        return settings

    @property
    def _minutes(self) -> float:
        """The budget of time that is typed in place of steps; 0 without one."""
        return parse_minutes(self._value("steps"))

    def settings(self) -> dict[str, str]:
        """All settings but those that a budget of time chooses. Raises MisuseError, one line."""
        settings = self._typed_settings("set", "steps", "data")
        override(self.recipe, settings)
        return settings

    def _faults(self) -> Mapping[str, str]:
        """Why fields are invalid, by field."""
        checks = {
            "recipe": lambda: _raise(self._list(self._value("recipe"))),
            "name": lambda: check_name(self._value("name") or self.recipe.name),
            "steps": lambda: override(self.recipe, self._typed_settings("steps")),
            "data": lambda: _check_path(self._value("data")),
            "set": lambda: override(self.recipe, self._typed_settings("set")),
        }
        faults = {}
        for key, check in checks.items():
            try:
                check()
            except MisuseError as error:
                faults[key] = str(error).replace("--set ", "")
        return faults

    @on(LineInput.Changed)
    def _typed(self, event: LineInput.Changed) -> None:
        key = (event.input.id or "").removeprefix("field-")
        self._field(key).show_fault(self._list(event.value) if key == "recipe" else "")
        if key == "set" and event.input.has_focus:
            self._show_setting()
        if key in {"steps", "data", "set"}:
            self._ask_plan()

    # --- what it takes ----------------------------------------------------------------

    def _command(self) -> tuple[str, ...]:
        """The recipe and settings as arguments of the shell. Raises MisuseError."""
        pairs = [
            part for key, value in self.settings().items() for part in ("--set", f"{key}={value}")
        ]
        if minutes := self._minutes:
            pairs += ["--minutes", f"{minutes:g}"]
        if self._source is None:
            return (self.recipe.name, *pairs)
        return (*self._source.origins[self.query_one(RowList).chosen].words, *pairs)

    def _ask_plan(self) -> None:
        """Show the known part of the plan, and measure it once it is unchanged."""
        if self._faults():
            self._show_plan(None)
            return
        command = self._command()
        self._show_plan(self._plans.get(command, Plan(measuring=True)))
        self._measure(command)

    @work(group="plan", exclusive=True, exit_on_error=False)
    async def _measure(self, command: tuple[str, ...]) -> None:
        known = self._plans.get(command)
        if known is not None and not known.measuring:
            return
        self._measured = command
        await asyncio.sleep(PAUSE_S)
        plan = Plan()
        async for plan in estimates(command):
            self._plans[command] = plan
            self._show_plan(plan)
        plan = self._plans[command] = msgspec.structs.replace(plan, measuring=False)
        self._show_plan(plan)

    def _show_plan(self, plan: Plan | None) -> None:
        if not is_usable(self):
            return
        self._shown = plan or Plan(), time.monotonic()
        text = "" if plan is None else plan.describe()
        if plan is not None and plan.fault:
            text = f"cannot start: {plan.fault}"
        elif self._waits:
            text = f"starts after this: {text}"
        line = self.query_one("#plan", Static)
        line.update(clean_line(text, 400))
        line.set_class(plan is not None and bool(plan.fault), "-fault")

    def _count_down(self) -> None:
        """Show the remaining time of a measurement, as its process last reported it."""
        plan, came = self._shown
        if plan.measuring and plan.left > 0:
            left = max(1.0, plan.left - (time.monotonic() - came))
            self._show_plan(msgspec.structs.replace(plan, left=left))

    # --- keys -------------------------------------------------------------------------

    @on(LineInput.Submitted)
    def _submitted(self) -> None:
        self.action_start()

    def action_move(self, by: int) -> None:
        """Move in the list if the first field has the focus, else to another field."""
        if self.focused is not self._line("recipe"):
            super().action_move(by)
            return
        with self.prevent(LineInput.Changed):
            self._line("recipe").value = ""
        self._field("recipe").show_fault("")
        self._list("")
        self.query_one(RowList).action_move(by)

    def action_leave(self) -> None:
        """Close the form; while a start waits for an answer, give up the start and the measurement
        and return to the form."""
        if not self._waits:
            self.leave()
            return
        for group in ("launch", "plan"):
            self.workers.cancel_group(self, group)

    def _wait(self, waits: bool) -> None:
        """Wait for an answer before the start, or no longer: meanwhile no field takes keys."""
        if waits == self._waits or not is_usable(self):
            return
        self._waits = waits
        if waits:
            self._left_field = self.focused
        for line in self.query(LineInput):
            line.disabled = waits
        self.set_focus(None if waits else self._left_field)
        self._show_keys()

    def action_start(self) -> None:
        if self._starting:
            self._at_once = self._waits
            return
        faults = self._faults()
        for key in FIELDS:
            self._field(key).show_fault(faults.get(key, ""))
        if faults:
            self.set_focus(self._line(next(iter(faults))))
            return
        self._starting, self._at_once = True, False
        command = self._command()
        if not self._is_answered(command):  # now, so that the next key reaches no field
            self._wait(True)
            self._show_plan(self._plans.get(command, Plan(measuring=True)))
        start_from = None
        if self._source is not None:
            start_from = self._source.origins[self.query_one(RowList).chosen]
        self._launch(self.recipe, self.settings(), self._value("name"), start_from)

    def _show_error(self, key: str, error: GenuiError | str) -> None:
        self._starting = False
        if is_usable(self):
            self._field(key).show_fault(str(error).replace("--set ", ""))

    @work(group="launch", exit_on_error=False)
    async def _launch(
        self, recipe: Recipe, settings: dict[str, str], name: str, start_from: Beginning | None
    ) -> None:
        command, minutes = self._command(), self._minutes
        try:
            plan = await self._answer(command)
        except asyncio.CancelledError:
            self._starting, self._measured = False, ()
            self._wait(False)
            self._show_plan(Plan())
            raise
        self._wait(False)
        if minutes:
            settings = {**settings, "minutes": f"{minutes:g}", **plan.settings}
        if plan.fault:
            self._starting = False
            self._show_plan(plan)
            if is_usable(self):
                self.query_one("#plan").scroll_visible(animate=False)
            return
        try:
            origin = "" if start_from is None else await asyncio.to_thread(start_from.find)
            run = await asyncio.to_thread(launch, recipe, settings, name, origin)
        except GenuiError as error:
            self._show_error("set", error)
        else:
            self.leave(run)

    def _is_answered(self, command: tuple[str, ...]) -> bool:
        """Whether it is known if the training can start and, for a budget of time, which size suits
        it."""
        plan = self._plans.get(command)
        return plan is not None and (bool(plan.fault) or not (plan.measuring and self._minutes))

    async def _answer(self, command: tuple[str, ...]) -> Plan:
        """The plan once it is answered; or the known part after a while, or when the user asked for
        a start at once."""
        if not self._is_answered(command) and self._measured != command:
            self._measure(command)
        end = time.monotonic() + (BUDGET_S if self._minutes else PATIENCE_S)
        while not (self._is_answered(command) or self._at_once) and time.monotonic() < end:
            await asyncio.sleep(POLL_S)
        return self._plans.get(command, Plan())


async def estimates(command: Sequence[str]) -> AsyncIterator[Plan]:
    """The plans that a process prints, better each time. It is killed when none is awaited."""
    with contextlib.suppress(OSError):  # the form works without an estimate
        async with running((*PLANNER, *command, "--dry-run", "--json")) as process:
            assert process.stdout is not None
            async for line in process.stdout:
                with contextlib.suppress(msgspec.DecodeError):
                    yield msgspec.json.decode(line, type=Plan)
            await process.wait()


_TIME = re.compile(r"([\d.]+)\s*(s|sec|seconds?|m|min|minutes?|h|hours?)")
_MINUTES = {"s": 1 / 60, "m": 1.0, "h": 60.0}


def parse_minutes(text: str) -> float:
    """The minutes of a time such as `3 min`, `90 s` or `1.5 h`; 0 for anything else."""
    match = _TIME.fullmatch(text.strip().lower())
    try:
        return float(match[1]) * _MINUTES[match[2][0]] if match else 0.0
    except ValueError:  # `1.2.3 s`
        return 0.0


def _raise(fault: str) -> None:
    if fault:
        raise MisuseError(fault)


def _check_path(data: str) -> None:
    if data and not os.path.exists(os.path.expanduser(data)):
        raise MisuseError(f"{data}: no such file or folder; give a text file or a folder")
