"""A model or a run in a few words: the rows of the list and the cards below it."""

from textual.content import Content

from genui.render import numbers
from genui.render.sanitise import clean, clean_line
from genui.runs.catalog import ModelInfo
from genui.runs.listing import RunSummary
from genui.ui.marks import MARKS, Part, progress
from genui.ui.media import pane_of
from genui.ui.panes.rows import Row

SAMPLE, SAMPLE_LINES = 400, 12  # characters and lines of a card's sample


def run_row(key: str, run: RunSummary) -> Row:
    """The run as a row of the list."""
    sign, kind = MARKS.get(run.state, ("?", "dim"))
    return Row(key, run.info.name, progress(run), sign, kind)


def run_card(run: RunSummary) -> Content:
    """What a run is, how it stands, and what can be done with it."""
    lines: list[list[Part]] = [[(clean_line(run.info.name), "bold"), (f" · {run.state}", "")]]
    if run.fault:
        lines.append([(clean_line(run.fault), "$text-error")])
        return _lines(lines)
    if run.status.error:
        lines.append([(clean_line(run.status.error), "$text-error")])
    lines.append([(_made_of(run), "$text-muted")])
    status = run.status
    of = f" of {numbers.count(status.steps)}" if status.steps else ""
    lines.append([(f"step {numbers.count(status.step)}{of}", "")])
    if status.val is not None:
        lines.append([("validation loss ", "$text-muted"), (numbers.value(status.val), "")])
    machine = run.info.machine
    if machine:
        words = " ".join(str(machine[k]) for k in ("device", "precision") if k in machine)
        lines.append([(clean_line(f"{words} on {run.info.host}"), "$text-muted")])
    hints: list[Part] = [("⏎", "bold $primary"), (" show  ", "$text-muted")]
    if run.info.recipe:
        hints += [("g", "bold $primary"), (" generate", "$text-muted")]
    lines.append(hints)
    return _lines(lines)


def _made_of(run: RunSummary) -> str:
    """What is trained on what; of a script's own run, what it calls itself."""
    recipe = run.info.recipe
    if recipe:
        return clean_line(f"{recipe.get('family', '')} on {run.info.data or recipe.get('dataset')}")
    project = f", project {run.info.project}" if run.info.project else ""
    return clean_line(f"a script's own run{project}")


def model_card(model: ModelInfo) -> Content:
    """What the model is, what it was trained on, how good it is and how far to trust it."""
    card = model.card
    head: list[Part] = [(clean_line(model.name), "bold")]
    head.append((f" · {model.family}, {numbers.short(model.parameters)} parameters", "$text-muted"))
    lines = [head]
    if summary := _text(card.get("summary")):
        lines.append([summary])
    data = card.get("data")
    if isinstance(data, dict):
        words = [_text(data.get("name")), _text(data.get("licence"))]
        lines.append([("data ", "$text-muted"), " · ".join(w for w in words if w)])
    elif model.dataset:
        lines.append([("data ", "$text-muted"), clean_line(model.dataset)])
    trained = card.get("trained")
    if isinstance(trained, dict) and trained.get("minutes") is not None:
        minutes = clean_line(str(trained["minutes"]))
        machine = _text(trained.get("machine"))
        where = f" on {machine}" if machine else ""
        lines.append([("trained ", "$text-muted"), f"{minutes} min{where}"])
    if licence := _text(card.get("licence")):
        lines.append([("licence ", "$text-muted"), f"{licence}, of the weights"])
    quality = card.get("quality")
    if isinstance(quality, dict):
        for label, value in quality.items():
            lines.append([(f"{_text(label)} ", "$text-muted"), (_text(value), "bold")])
    if honesty := _text(card.get("honesty")):
        lines.append([(honesty, "$text-muted italic")])
    hints: list[Part] = []
    if pane_of(model) is not None:
        hints += [("⏎", "bold $primary"), (" open  ", "$text-muted")]
    hints += [("n", "bold $primary"), (" train", "$text-muted")]
    lines += [hints, *_sample(card.get("sample"))]
    return _lines(lines)


def _sample(sample: object) -> list[list[Part]]:
    """The beginning of what it made, or what it is best asked."""
    text = clean(sample).strip() if isinstance(sample, str) else ""
    if not text:
        return []
    shown = text[:SAMPLE].splitlines()[:SAMPLE_LINES]
    return [[("sample", "$text-muted")], *([line] for line in shown)]


def _text(value: object) -> str:
    return clean_line(str(value)) if value is not None else ""


def _lines(lines: list[list[Part]]) -> Content:
    return Content("\n").join(Content.assemble(*line) for line in lines)
