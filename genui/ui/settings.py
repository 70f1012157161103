"""Models, runs and settings as the panes show them: setting rows, and cards."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import msgspec
from textual.content import Content

from genui.base import numbers
from genui.base.config import load_config
from genui.base.late import late_imports
from genui.base.schema import settings_of
from genui.base.text import clean, clean_line
from genui.formats.recipe import TraceRecipe
from genui.hub.catalogue import Entry
from genui.protocol import Axis
from genui.protocol.kinds import kind_of_trace
from genui.runs import facts
from genui.runs.layout import RunDir
from genui.runs.listing import RunSummary
from genui.runs.models import ModelInfo, find_model
from genui.ui.keys import PaneName
from genui.ui.traces.controller import S
from genui.ui.watcher import MARKS, Part, progress
from genui.ui.widgets.lists import ListRow

with late_imports():
    from genui.formats import image as image_files
    from genui.render import image as render_image

if TYPE_CHECKING:
    from rich_pixels import Pixels


def pane_of(model: ModelInfo) -> PaneName | None:
    """Return the pane that shows traces of a model; None for a model that does not generate."""
    return model.kind.pane if model.kind and model.kind.can_generate else None


def pane_of_saved(recipe: TraceRecipe) -> PaneName:
    """Return the pane of a saved trace, also if its model is missing."""
    return kind_of_trace(recipe.kind, recipe.settings).pane


def list_classifiers(models: Sequence[ModelInfo]) -> list[ModelInfo]:
    """Return the models that label samples."""
    return [model for model in models if model.kind and not model.kind.can_generate]


def find_newest_model(run: RunDir) -> ModelInfo:
    """Return the run's newest checkpoint as `run@step`. Reads the disk; raises MisuseError."""
    newest = find_model(run.id)
    return find_model(f"{run.id}@{newest.step}")


def format_step(model: ModelInfo) -> str:
    """Format the step of a run's checkpoint: ` @1,240`; "" for other models."""
    return f" @{numbers.count(model.step)}" if model.source == "run" else ""


def describe_model(model: ModelInfo) -> str:
    """Format the step and, if it is known, the number of parameters: ` @1,240 · 4.8M`."""
    size = f" · {numbers.parameters(model.parameters)}" if model.parameters else ""
    return format_step(model) + size


# --- The settings of a generation -------------------------------------------------------------


def describe_setting(settings: Any, name: str) -> str:
    """Return the description of a setting, and its range or choices."""
    help = settings_of(type(settings))[name].help
    return help[0].upper() + help[1:]


def varied_along(grid: Sequence[Axis]) -> dict[str, str]:
    """For each setting that varies in a grid, `along x →` or `along y ↓`."""
    return {axis.name: along for axis, along in zip(grid, ("along x →", "along y ↓"), strict=False)}


def describe_change(old: S, new: S, joint: str = "-") -> str:
    """Describe the fields that differ: "temperature 0.9"; `joint` joins the words of a name."""
    before = msgspec.structs.asdict(old)
    changed = [
        f"{name.replace('_', joint)} {value:g}"
        if isinstance(value, int | float)
        else f"no {name}"
        if value in (None, "none")
        else f"{value}"
        for name, value in msgspec.structs.asdict(new).items()
        if before.get(name) != value
    ]
    return ", ".join(changed) or "the same settings"


# --- Rows and cards of models and runs --------------------------------------------------------

SAMPLE, SAMPLE_LINES, FEW_LINES = 400, 12, 3  # characters and lines of a card's sample
THUMBNAIL = "sample.png"
BRIEF_FACTS = ("needs", "size", "memory", "context", "licence", "kept by")
"""Facts about other people's models that are shown without details."""


def run_row(key: str, run: RunSummary, curve: str = "") -> ListRow:
    sign, kind = MARKS.get(run.state, ("?", "dim"))
    right = progress(run)
    brief = right.partition(" ")[2]  # the sign stands for the state
    return ListRow(key, run.info.name, right, sign, kind, curve=curve, brief=brief)


def run_card(run: RunSummary, has_checkpoint: bool = False, with_error: bool = True) -> Content:
    """Return the name, state and progress of a run, and its keys.

    Without `with_error`, its error is left out: it is shown elsewhere.
    """
    lines: list[list[Part]] = [[(clean_line(run.info.name), "bold"), (f" · {run.state}", "")]]
    if with_error and (why := facts.describe_cause(run) or run.error):
        lines.append([(clean_line(why), "$text-error")])
    if run.fault:
        return _lines(lines)
    lines.append([(clean_line(facts.summarise_training(run.info)), "$text-muted")])
    if run.labels.tags:
        lines.append([("tags ", "$text-muted"), " ".join(run.labels.tags)])
    if run.labels.note:
        lines.append([(run.labels.note, "italic")])
    status = run.status
    lines.append([(f"step {facts.count_steps(status.step, status.steps, ' of ')}", "")])
    if val := facts.figure(status.val):
        lines.append([("validation loss ", "$text-muted"), (val, "")])
    if energy := status.energy.describe(load_config().grid):
        lines.append([("energy ", "$text-muted"), energy])
    if run.info.machine:
        machine = facts.summarise_machine(run.info.machine, run.info.host)
        lines.append([(clean_line(machine), "$text-muted")])
    hints: list[Part] = [("⏎", "bold $primary"), (" show  ", "$text-muted")]
    if has_checkpoint:
        hints += [("G", "bold $primary"), (" generate", "$text-muted")]
    lines.append(hints)
    return _lines(lines)


def model_row(key: str, model: ModelInfo) -> ListRow:
    """Return a model as a row of a list: the first line of its sample and its quality in a word.

    Other people's models have their summary and size instead.
    """
    line = next((line for line in _sample_of(model) if len(line.split()) > 1), "")
    middle = f"“{clean_line(line)}”" if line else clean_line(_text(model.card.get("summary")))
    right = model.quality or _facts(model).get("size", "" if model.is_usable else "unusable")
    return ListRow(key, model.name, right, middle=middle)


def pull_card(entry: Entry) -> Content:
    """Return the description of a model of the catalogue, before it is fetched."""
    return _lines([
        [(entry.name, "bold"), (f" · {entry.offer}", "")],
        [("licence ", "$text-muted"), entry.licence],
        [("in a shell ", "$text-muted"), (f"genui pull {entry.name}", "bold $primary")],
        [("fetches ", "$text-muted"), numbers.size(entry.size)],
    ])  # fmt: skip


def model_card(model: ModelInfo, details: bool = False) -> Content:
    """Return a sample of a model and three facts; with `details` its whole card.

    The facts are its quality, its network and its data.
    """
    card, kind = model.card, model.kind
    written = kind is not None and kind.streams
    sample: list[list[Part]] = [[line] for line in _sample_of(model)]
    lines: list[list[Part]] = []
    if written and sample:
        lines += [*sample[: SAMPLE_LINES if details else FEW_LINES], []]
    head: list[Part] = [(clean_line(model.name), "bold")]
    if summary := _text(card.get("summary")):
        head.append((f" · {summary}", ""))
    lines.append(head)
    measured = card.get("quality")
    quality = list(measured.items()) if isinstance(measured, dict) else []
    if quality:
        word: list[Part] = [(f"{model.quality}: ", "bold")] if model.quality else []
        lines.append([("quality ", "$text-muted"), *word, _text(quality[0][1])])
    if model.parameters:
        network = f"{numbers.parameters(model.parameters)} parameters"
        lines.append([(f"{model.family} ", "$text-muted"), network])
    data = card.get("data")
    known = data if isinstance(data, dict) else {"name": model.dataset}
    parts = [_text(known.get("name")), _text(known.get("licence")) if details else ""]
    if any(parts):
        lines.append([("data ", "$text-muted"), " · ".join(filter(None, parts))])
    for label, fact in _facts(model).items():
        if details or label in BRIEF_FACTS:
            lines.append([(f"{_text(label)} ", "$text-muted"), _text(fact)])
    if details:
        lines += _trained(model)
        lines += [[(f"{_text(label)} ", "$text-muted"), _text(value)] for label, value in quality]
        if licence := _text(card.get("licence")):
            lines.append([("licence ", "$text-muted"), f"{licence}, of the weights"])
        if limitations := _text(card.get("limitations")):
            lines.append([(limitations, "$text-muted italic")])
        if not written and sample:
            lines += [[("prompts of the sample ", "$text-muted")], *sample[:SAMPLE_LINES]]
    hints: list[Part] = []
    if pane_of(model) is not None and model.is_usable:
        hints += [("⏎", "bold $primary"), (" open  ", "$text-muted")]
    elif kind is not None and not kind.can_generate:
        hints += [("⏎", "bold $primary"), (" label  ", "$text-muted")]
    if model.trains:
        hints += [("n", "bold $primary"), (" train  ", "$text-muted")]
    hints += [("i", "bold $primary"), (" less" if details else " details", "$text-muted")]
    return _lines([*lines, hints])


def _facts(model: ModelInfo) -> dict[str, str]:
    """Return the facts in the files of somebody else's model, by label."""
    facts = model.card.get("facts")
    return facts if isinstance(facts, dict) else {}


def _trained(model: ModelInfo) -> list[list[Part]]:
    """Return for how long and where a model was trained, if its card says so."""
    trained = model.card.get("trained")
    if not isinstance(trained, dict) or trained.get("minutes") is None:
        return []
    machine = _text(trained.get("machine"))
    where = f" on {machine}" if machine else ""
    return [[("trained ", "$text-muted"), f"{clean_line(str(trained['minutes']))} min{where}"]]


def _sample_of(model: ModelInfo) -> list[str]:
    """Return the lines of a model's sample or, for images and sounds, its prompts."""
    sample = model.card.get("sample")
    text = clean(sample).strip()[:SAMPLE] if isinstance(sample, str) else ""
    kind = model.kind
    if kind is not None and kind.streams:
        return text.splitlines()
    return [prompt.strip() for prompt in text.split(";")] if text else []


def read_thumbnail(model: ModelInfo, columns: int, rows: int) -> "Pixels | None":
    """Read the image of a model's samples beside its file, in half-blocks; None without one."""
    path = model.path.with_name(THUMBNAIL)
    if not path.is_file():
        return None
    from PIL import Image
    from rich_pixels import Pixels

    try:
        pixels = image_files.read_still(path)
        if render_image.is_spectrogram(pixels):
            pixels = render_image.recolour_spectrogram(pixels, "truecolor")
        image = Image.fromarray(pixels)
    except ValueError:
        return None
    share = min(columns / image.width, 2 * rows / image.height)
    size = max(1, int(image.width * share)), max(2, 2 * (int(image.height * share) // 2))
    return Pixels.from_image(image.resize(size, Image.Resampling.BOX))


def _text(value: object) -> str:
    return clean_line(str(value)) if value is not None else ""


def _lines(lines: list[list[Part]]) -> Content:
    return Content("\n").join(Content.assemble(*line) for line in lines)
