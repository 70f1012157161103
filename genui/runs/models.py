"""Models to generate from and to start from: shipped ones, checkpoints of runs, and files.

Only headers are read here, and sizes are checked before memory is taken; the engine reads tensors.
"""

import hashlib
import math
import os
import re
import shutil
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from genui.base import numbers
from genui.base.config import load_config
from genui.base.errors import GenuiError, MisuseError, did_you_mean
from genui.base.files import (
    cannot_read,
    cannot_use,
    read_json,
    sanitize,
    show,
    writing,
)
from genui.base.late import late_imports
from genui.hub.catalogue import CATALOGUE
from genui.hub.find import FRESH_FOR, LocalModel, find_local, list_recent
from genui.hub.formats import (
    FORMATS,
    OpenModel,
    describe,
    fingerprint,
    format_of,
    missing_package,
)
from genui.hub.memory import describe_all
from genui.hub.records import Record, list_records, record_file
from genui.hub.safetensors import read_tensors
from genui.protocol import kinds
from genui.protocol.kinds import KINDS, Kind, first_models, list_families, list_media
from genui.runs import control, facts
from genui.runs.layout import RunDir, checkpoint_steps, read_info, state_steps, write_info
from genui.runs.listing import RunSummary, find_run, list_runs, match_runs, names_of, summarise

with late_imports():  # with the first header, so that the app paints sooner
    from genui import recipes

FORMAT = 1
"""The version of our own metadata this code reads."""

_Size = Annotated[int, Meta(ge=0, lt=2**62)]


class _Guide(Struct, frozen=True):
    """The metadata of the weaker model in a file."""

    recipe: dict[str, Any]
    step: _Size = 0


class _Metadata(Struct, frozen=True):
    """genui's part of a header: the fields that are read, for all kinds of models."""

    format: int
    recipe: dict[str, Any]
    step: _Size = 0
    parameters: _Size = 0
    fingerprint: str = ""
    dataset: str = ""
    licence: str = ""
    tokenizer: dict[str, str] = {}
    words: list[str] = []
    captions: list[str] = []
    labels: list[str] = []
    averaged: list[str] = []
    guide: _Guide | None = None


class Header(Struct, frozen=True):
    """The metadata of a checkpoint."""

    path: Path
    recipe: "recipes.Recipe"
    step: int
    parameters: int
    dataset: str
    fingerprint: str  # of the data it was trained on
    metadata: dict[str, Any]  # all fields, as the trainer wrote them


def read_header(path: Path) -> Header:
    """The header of a checkpoint; tensors are not read.

    Raises MisuseError, one line that names the file, if it is truncated, hostile, not safetensors
    or not written by genui; GenuiError if it cannot be read.
    """
    tensors, texts = read_tensors(path, _REMEDY)
    if "genui" not in texts:
        raise cannot_use(path, "it was not written by genui (no genui metadata)", _REMEDY)
    return parse_metadata(path, texts["genui"], sum(tensor.count for tensor in tensors.values()))


def newest_checkpoint(run: RunDir) -> Header | None:
    """The newest complete checkpoint; damaged ones are skipped."""
    for step in reversed(checkpoint_steps(run)):
        with suppress(MisuseError):
            return read_header(run.checkpoint(step))
    return None


def parse_metadata(path: Path, text: str, counted: int = 0) -> Header:
    """The header from genui's metadata in the file `path`, a JSON text; `counted` is the number of
    parameters if the metadata has none.

    All reading of metadata goes through here, where types and the bounds of the recipe are checked.
    Raises MisuseError, one line that names the file, if they are wrong.
    """
    try:
        meta = msgspec.json.decode(text, type=_Metadata)
        fields = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError, UnicodeError) as error:
        raise _damaged(path, error) from None
    if meta.format != FORMAT:
        reads = f"it has format {meta.format} and this genui reads {FORMAT}"
        raise cannot_use(path, reads, "upgrade")
    try:
        recipe = recipes.recipe_from_dict(meta.recipe)
        recipe.check()
        for name in recipe.METADATA.keys() & fields.keys():
            msgspec.convert(fields[name], recipe.METADATA[name])
    except MisuseError as error:
        raise cannot_use(path, sanitize(str(error)), _REMEDY) from None
    except msgspec.ValidationError as error:
        raise _damaged(path, error) from None
    return Header(
        path=path,
        recipe=recipe,
        step=meta.step,
        parameters=meta.parameters or counted,
        dataset=meta.dataset or recipe.dataset,
        fingerprint=meta.fingerprint,
        metadata=fields,
    )


_REMEDY = "use a checkpoint written by genui"


def _damaged(path: Path, error: Exception) -> MisuseError:
    reason = sanitize(str(error)).replace("`", "'")
    return cannot_use(path, f"its genui metadata is damaged ({reason})", _REMEDY)


def weights_fingerprint(path: Path) -> str:
    """The first 16 hexadecimal digits of the SHA-256 of a file of weights. Raises OSError."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]


# --- Models for generation: shipped ones, checkpoints of runs, files ----------------------------


OPEN_SOURCES = ("added", "found")
"""The sources of other people's models in a list."""


@dataclass(frozen=True, kw_only=True)
class ModelInfo:
    """A model in a list; `find_model(ref)` finds it again."""

    ref: str
    name: str
    family: str
    medium: str
    dataset: str = ""
    parameters: int = 0
    step: int = 0
    summary: str = ""  # a measurement of its quality, such as "1.44 nats/char"
    path: Path  # the safetensors file; of another format the file or folder
    source: Literal["shipped", "run", "file", "added", "found"]
    format: str = ""  # of models that others made: a row of `genui.hub.formats.FORMATS`
    chat: bool = False  # whether it has a chat template
    trains: bool = True  # whether a training can start from it
    guided: bool = False  # whether it has a weaker copy of itself for autoguidance
    card: dict[str, Any] = field(default_factory=dict)  # of a shipped model
    settings: dict[str, Any] = field(default_factory=dict)  # recommended by its own files

    @property
    def kind(self) -> Kind | None:
        """Its kind; None if that is not here."""
        return KINDS.get((self.family, self.medium))

    @property
    def defaults(self) -> Any:
        """The settings that apply unless others are given; None for a kind that has none."""
        if self.kind is None or self.kind.defaults is None:
            return None
        return msgspec.structs.replace(self.kind.defaults, **self.settings)

    @property
    def is_usable(self) -> bool:
        """Whether genui can use it; its summary says why not."""
        return self.source not in OPEN_SOURCES or bool(self.format)

    @property
    def quality(self) -> str:
        """The quality in a word, by `rate_quality`; "" without a measured figure that it rates."""
        return rate_quality(self.summary) if _measurements(self.card) else ""

    @property
    def training_cost(self) -> str:
        """What its training took in energy and how that is known, a sentence; "" if it is not."""
        parts = [self.card.get(name) for name in ("facts", "trained")]
        known = [part.get("energy") for part in parts if isinstance(part, dict)]
        return next((f"Its training took {cost}." for cost in known if cost), "")


QUALITIES = ("good", "fair", "weak")
"""Words for the quality of a model, the best first."""


def rate_quality(measured: str) -> str:
    """Return the word of QUALITIES for a measured figure; "" for a figure that has no scale.

    - A share of samples that are right, relative to that of real data if it is stated: good from
      90 %, fair from 70 %.
    - Held-out text: good up to 1.5 bits a character, fair up to 2.2. A recurrent network reaches
      about 1.4 on text8; a small Transformer 2.1 on Shakespeare.
    - In a unit of a kind of model, by its `scales`.
    """
    scales = {unit: scale for kind in KINDS.values() for unit, scale in kind.scales.items()}
    units = "|".join(map(re.escape, ("%", "bits/char", "nats/char", *scales)))
    number = re.match(rf"([\d.]+) ?({units})", measured)
    if number is None:
        return ""
    value = float(number[1])
    match number[2]:
        case "%":
            real = re.search(r"right of ([\d.]+)% of real", measured)
            share = value / float(real[1]) if real else value / 100
            return _word_for(-share, -0.9, -0.7)
        case unit if unit in scales:
            return _word_for(value, *scales[unit])
        case unit:
            return _word_for(value / (math.log(2) if unit == "nats/char" else 1), 1.5, 2.2)


def _word_for(value: float, good: float, fair: float) -> str:
    """Return the word for a value; less is better."""
    return QUALITIES[(value > good) + (value > fair)]


def list_models(patience: float = math.inf) -> list[ModelInfo]:
    """Shipped models by medium and family, those that were added, those of other programs, then the
    newest complete checkpoint of each run, newest run first.

    Never raises: unreadable models are left out, and `find_model` gives the reason; models of other
    programs have the reason as their summary. After `patience` seconds no more headers of other
    people's models are read: the rest is listed next time.
    """
    models: list[ModelInfo] = []
    first = first_models()
    for name in _shipped_names():
        with suppress(GenuiError):
            models.append(_shipped(name))
    models.sort(key=lambda model: (*group_rank(model), model.name not in first, model.name))
    models += _list_open(patience)
    with suppress(GenuiError):
        for summary in list_runs():
            with suppress(GenuiError):
                if (header := newest_checkpoint(summary.run)) is not None:
                    models.append(_of_run(summary, header, summary.run.id))
    return models


def own_recipe(ref: str) -> "recipes.Recipe":
    """The recipe of a model of genui's own. Raises MisuseError for another's, and what `find_model`
    raises."""
    model = find_model(ref)
    if model.format:
        raise MisuseError(f"{ref}: others trained it, and its files do not hold the data")
    return read_header(model.path).recipe


def find_model(ref: str) -> ModelInfo:
    """The model that `ref` names: a shipped name, a name that was added, a run, run@step, the path
    of a file or folder, or the `ref` of a kind.

    Raises MisuseError with the nearest name if there is none, or with the fault of the file.
    """
    without_file = {kind.ref: kind for kind in KINDS.values() if kind.ref}
    if kind := without_file.get(ref):
        return ModelInfo(
            ref=ref, name=ref, family=kind.family, medium=kind.medium, path=Path(), source="shipped"
        )
    if ref in _shipped_names():
        return _shipped(ref)
    path = Path(os.path.expanduser(ref))
    if ref.endswith(".safetensors") or "/" in ref:
        by_program = not os.path.exists(path) and load_config().find_models
        if by_program and (model := find_local(ref)) is not None:
            return _of_program(model, describe(model.path))
        return _at_path(path)
    records = list_records()
    if ref in records:  # also if a run that was fine-tuned from it has its name
        return _added(ref, records[ref], describe(_record_path(ref, records[ref])))
    name, at, step = ref.partition("@")
    runs = list_runs()
    if match_runs(name, runs):
        return _checkpoint_of(find_run(name), step if at else None, ref)
    if ref and os.path.exists(path):
        return _at_path(path)
    local = list_recent() if load_config().find_models else []
    if (model := find_local(ref, local)) is not None:
        return _of_program(model, describe(model.path))
    if ref in recipes.RECIPES:
        raise MisuseError(f"no model '{ref}' yet: genui train {ref} trains it")
    known = {*_shipped_names(), *without_file, *records, *(model.name for model in local)}
    known |= {run.info.name for run in runs}
    listed = did_you_mean(ref, known, lists="genui models")
    near = did_you_mean(ref, known | names_of(runs), otherwise=listed)
    raise MisuseError(f"no model '{sanitize(ref, 80)}': {sanitize(near, 1000)}")


def _shipped_names() -> list[str]:
    folders = kinds.weights_folders()
    return sorted(p.parent.name for f in folders for p in f.glob("*/model.safetensors"))


def _shipped(name: str) -> ModelInfo:
    folder = kinds.find_weights(name)
    header = read_header(folder / "model.safetensors")
    card = read_json(folder / "card.json", dict[str, Any], "install genui again")
    return _model(header, ref=name, name=name, source="shipped", card=card, summary=_quality(card))


def _quality(card: dict[str, Any]) -> str:
    """The first measurement on a card, or its summary if there is none."""
    measured = _measurements(card)
    return str(next(iter(measured.values()))) if measured else str(card.get("summary", ""))


def _measurements(card: dict[str, Any]) -> dict[str, Any]:
    """The measurements on a card, the most important first."""
    quality = card.get("quality")
    return quality if isinstance(quality, dict) else {}


def _of_run(summary: RunSummary, header: Header, ref: str) -> ModelInfo:
    val = summary.status.val
    measured = f"validation loss {val:.3f}" if val is not None else ""
    card = {"facts": dict(facts.energy(summary.status, summary.info.scale))}
    return _model(
        header, ref=ref, name=summary.info.name, source="run", summary=measured, card=card
    )


def _checkpoint_of(run: RunDir, step: str | None, ref: str) -> ModelInfo:
    """The model of a run: its newest complete checkpoint, or the one of a given step."""
    steps = checkpoint_steps(run)
    if not steps:
        summary = summarise(run)
        if summary.info.kind == "script":
            raise MisuseError(
                f"run {run.id} belongs to a script: genui has its metrics, not its weights"
            )
        if not summary.alive:
            raise MisuseError(
                f"run {run.id} is {summary.state} and has no checkpoint: train it again"
            )
        raise MisuseError(
            f"run {run.id} has no checkpoint yet: wait for one, or write one with "
            f"genui checkpoint {run.id}"
        )
    summary = summarise(run)
    if step is None:
        header = newest_checkpoint(run)
        if header is None:
            read_header(run.checkpoint(steps[-1]))  # raises the fault of the newest
            raise MisuseError(f"run {run.id} changed while it was read: try again")
        return _of_run(summary, header, ref)
    if not step.isdecimal() or int(step) not in steps:
        some = ", ".join(map(str, steps[-8:]))
        raise MisuseError(
            f"run {run.id} has no checkpoint at step {sanitize(step, 20)!r}: it has {some}"
        )
    header = read_header(run.checkpoint(int(step)))
    # Without a summary: the status describes the newest step.
    return _model(header, ref=ref, name=summary.info.name, source="run")


def _at_path(path: Path) -> ModelInfo:
    """A safetensors file, the newest checkpoint in a run folder, or a model of another format."""
    path = path.absolute()
    if format_of(path):
        return _open(describe(path), ref=str(path), name=path.stem, source="file")
    if os.path.isdir(path):
        run = RunDir(path)
        if not run.run_json.exists():
            raise MisuseError(f"{show(path)}: the folder is not a run (no run.json in it)")
        return _checkpoint_of(run, None, str(path))
    if not os.path.exists(path):
        raise MisuseError(
            f"no model file {show(path)}: check the path, or see genui models for names"
        )
    header = read_header(path)
    return _model(header, ref=str(path), name=path.stem, source="file")


def is_open_model(ref: str) -> bool:
    """Whether `ref` is the name of somebody else's model: one that was added, or of a program."""
    if ref in list_records():
        return True
    return load_config().find_models and find_local(ref) is not None


def _list_open(patience: float) -> list[ModelInfo]:
    """Other people's models: those with a record, then those of other programs."""
    records = {name: (each, _record_path(name, each)) for name, each in list_records().items()}
    named = {os.path.realpath(path) for _, path in records.values()}
    try:
        local = list_recent() if load_config().find_models else []
    except GenuiError:  # the file of settings is damaged; others say so
        local = []
    local = [model for model in local if model.real not in named]
    known = {
        **describe_all((path for _, path in records.values()), patience),
        **describe_all((model.path for model in local), patience, trust=FRESH_FOR),
    }
    added = [_added(n, one, known[path]) for n, (one, path) in records.items() if path in known]
    return added + [_of_program(m, known[m.path]) for m in local if m.path in known]


def _record_path(name: str, record: Record) -> Path:
    """The file or folder that a record names, or the record itself for a model without one."""
    return Path(record.path) if record.path else record_file(name)


def _added(name: str, record: Record, model: OpenModel) -> ModelInfo:
    """The model that a record names, as its files or the record itself describe it."""
    return _open(model, ref=name, name=name, source="added", licence=record.licence)


def _of_program(local: LocalModel, model: OpenModel) -> ModelInfo:
    """The model of another program, as its files describe it."""
    return _open(
        model,
        ref=local.name,
        name=local.short_name,
        source="found",
        licence=local.licence,
        program=local.program,
    )


def _open(
    model: OpenModel,
    *,
    ref: str,
    name: str,
    source: Literal["file", "added", "found"],
    licence: str = "",
    program: str = "",
) -> ModelInfo:
    """Somebody else's model in a list."""
    entry = CATALOGUE.get(ref)
    known_file = entry is not None and Path(entry.file).name == model.path.name
    summary = entry.summary if entry is not None and known_file else model.summary
    missing = missing_package(model.format, model.trains)
    if missing:
        summary = f"{missing.partition(':')[0]}; {summary}"
    facts = {
        "needs": missing.removeprefix("needs "),
        "architecture": model.architecture,
        "stored as": model.stored,
        "size": numbers.size(model.size) if model.size else "",
        "memory": _memory(model),
        "context": f"{model.context:,} tokens" if model.context else "",
        "chat": "has a chat template" if model.chat else "",
        "licence": model.licence or licence,
        "kept by": program,
    }
    known = {label: sanitize(text) for label, text in facts.items() if text}
    return ModelInfo(
        ref=ref,
        name=sanitize(name),
        family=model.family,
        medium=model.medium,
        parameters=model.parameters,
        summary=sanitize(summary),
        path=model.path,
        source=source,
        format=model.format,
        chat=model.chat,
        trains=model.trains,
        card={"summary": sanitize(summary, 400), "facts": known},
        settings=dict(model.settings),
    )


def _memory(model: OpenModel) -> str:
    """The memory that the weights take once they are loaded; "" if they are used as they are."""
    row = FORMATS.get(model.format)  # none if it cannot be used
    if row is None or not row.converts or not model.parameters:
        return ""
    try:
        config = load_config()
    except GenuiError:  # the settings report it where they are used
        return ""
    needed = model.parameters * (2 if config.precision == "bf16" else 4)
    return f"{numbers.size(needed)} in {config.precision}"


def _model(
    header: Header,
    *,
    ref: str,
    name: str,
    source: Literal["shipped", "run", "file"],
    summary: str = "",
    card: dict[str, Any] | None = None,
) -> ModelInfo:
    return ModelInfo(
        ref=ref,
        name=sanitize(name),
        family=header.recipe.family,
        medium=header.recipe.medium,
        dataset=sanitize(header.dataset),
        parameters=header.parameters,
        step=header.step,
        summary=summary,
        path=header.path,
        source=source,
        chat=_base_chats(header.recipe),
        guided="guide" in header.metadata,
        card=card or {},
    )


def _base_chats(recipe: "recipes.Recipe") -> bool:
    """Whether a fine-tuned model has the chat template of its base."""
    with suppress(GenuiError):
        return bool(recipe.base_model) and find_model(recipe.base_model).chat
    return False


CLASSIFIERS = "classifiers"


def group_models(models: Iterable[ModelInfo]) -> dict[str, list[ModelInfo]]:
    """Models by medium, the best of each first, then other people's; classifiers are a group of
    their own, the last.

    The media of `first_models` precede the others.
    """
    first = first_models()

    def place(model: ModelInfo) -> int:
        return first.index(model.name) if model.name in first else len(first)

    def others(model: ModelInfo) -> tuple[bool, bool]:
        return model.source in OPEN_SOURCES, not model.is_usable

    def quality(model: ModelInfo) -> int:
        return _rank(model.quality, QUALITIES)

    models = sorted(models, key=lambda m: (place(m), others(m), quality(m), m.name))
    groups: dict[str, list[ModelInfo]] = {}
    for model in models:
        kind = model.kind
        is_classifier = kind is not None and not kind.can_generate
        groups.setdefault(CLASSIFIERS if is_classifier else model.medium, []).append(model)

    def group_place(name: str) -> tuple[bool, int, int]:
        return name == CLASSIFIERS, place(groups[name][0]), _rank(name, list_media())

    return {name: groups[name] for name in sorted(groups, key=group_place)}


def group_rank(model: ModelInfo) -> tuple[int, int]:
    """The sort key of its group in a list: medium, then family."""
    return _rank(model.medium, list_media()), _rank(model.family, list_families())


def _rank(word: str, known: Sequence[str]) -> int:
    return known.index(word) if word in known else len(known)


# --- The weights of another model from which a training starts ----------------------------------
# They are linked or copied into the folder of the new run, since the other run may prune its
# checkpoints and a trainer that dies before its first checkpoint needs them again. They are removed
# after the first checkpoint.

_ORIGIN_FILE = ".safetensors"
_STATE = ".state.safetensors"


@dataclass(frozen=True)
class Origin:
    """A model that a training can start from."""

    ref: str  # as the user named it
    recipe: "recipes.Recipe"
    step: int
    weights: Path  # for generation: averaged, and quantised in a shipped model
    state: Path | None = None  # with the raw weights, if a run still has them
    run: str = ""  # the id of the run it is a checkpoint of
    is_base: bool = False  # whether others made it; the recipe then names it
    keeps_state: bool = False
    """Whether step, optimiser and schedule continue too: a fork of the run."""

    def describe(self) -> str:
        """Its name in a message: "run plays-… at step 400", or as the user named it."""
        return f"run {self.run} at step {self.step}" if self.run else f"model {sanitize(self.ref)}"


def find_origin(ref: str) -> Origin:
    """The model that `ref` names, as in `find_model`, to start a training from.

    Raises MisuseError as `find_model` does.
    """
    model = find_model(ref)
    if model.format:
        recipe = _fine_tuning(model)
        return Origin(ref=ref, recipe=recipe, step=0, weights=model.path, is_base=True)
    header = read_header(model.path)
    folder = model.path.parent
    state = folder / f"{model.path.name.removesuffix(_ORIGIN_FILE)}{_STATE}"
    of_a_run = folder.name == "checkpoints" and (folder.parent / "run.json").exists()
    return Origin(
        ref=ref,
        recipe=header.recipe,
        step=header.step,
        weights=model.path,
        state=state if state.is_file() else None,
        run=folder.parent.name if of_a_run else "",
    )


def find_fork(ref: str) -> Origin:
    """The state that a fork of a run continues from: RUN@STEP, or RUN for its newest one.

    Raises MisuseError if there is no such run, or with the steps whose states it keeps.
    """
    name, _, step = ref.partition("@")
    run = find_run(name)
    kept = [str(each) for each in state_steps(run)]
    if not kept or (step and step not in kept):
        what = f"state of step {sanitize(step, 20)}" if step else "state"
        steps = f"only those of {', '.join(kept)}" if kept else "none"
        raise MisuseError(f"--keep-state: run {run.id} keeps no {what}: it has {steps}")
    return replace(find_origin(f"{run.id}@{step or kept[-1]}"), keeps_state=True)


def _fine_tuning(model: ModelInfo) -> "recipes.Recipe":
    """The recipe that trains on from somebody else's model. Raises MisuseError if none does."""
    own = KINDS[model.family, model.medium].recipes
    if own is None or not model.trains:
        remedy = FORMATS[model.format].train_instead.replace("NAME", model.ref)
        raise MisuseError(f"{model.ref}: cannot be trained on; {remedy}")
    try:
        digest = fingerprint(model.path)
    except OSError as error:
        raise cannot_read(model.path, error) from None
    slug = re.sub(r"[^A-Za-z0-9._-]+", "-", model.name).strip("-._") or "model"
    return own().recipe(name=slug[:40], base=model.ref, base_fingerprint=digest)


def check_fits(recipe: "recipes.Recipe", origin: Origin) -> None:
    """Raises MisuseError with the settings of `recipe` that do not fit the weights."""
    if recipe.family != origin.recipe.family:
        raise MisuseError(
            f"{origin.describe()} is of the family {origin.recipe.family} and recipe {recipe.name} "
            f"of {recipe.family}: leave RECIPE out, or start from another model"
        )
    if origin.keeps_state and recipe.steps <= origin.step:
        raise MisuseError(
            f"{origin.describe()} has done {origin.step} of {recipe.steps} steps: give more, "
            f"--steps {2 * origin.step}"
        )
    if origin.is_base:
        return
    wrong = [name for name in recipe.ARCHITECTURE if not _same(name, recipe, origin.recipe)]
    if wrong:
        given = ", ".join(f"{name}={getattr(recipe, name)}" for name in wrong)
        remedy = " ".join(f"--set {name}={getattr(origin.recipe, name)}" for name in wrong)
        raise MisuseError(
            f"{given} does not fit the weights of {origin.describe()}: give {remedy}, or train "
            "from scratch without --from"
        )


def _same(setting: str, one: "recipes.Recipe", other: "recipes.Recipe") -> bool:
    """Whether both recipes build the same part of a network."""
    a, b = getattr(one, setting), getattr(other, setting)
    if setting in ("ngram_rows", "ngram_width") and getattr(one, "ngrams", 1) == 1:
        return True  # no such tables, or `ngrams` itself differs
    if setting == "canvas_batch":
        return (a > 0) == (b > 0)  # only whether there is a canvas matters
    if setting == "vocab_size" and getattr(one, "tokenizer", "") != "bpe":
        return True  # it applies only to a trained vocabulary
    return a == b


def install_weights(run: RunDir, origin: Origin) -> None:
    """Puts the weights into the folder of a new run and records their source in its run.json.

    Raises GenuiError if they are missing or cannot be written.
    """
    weights, _ = start_files(run)
    if origin.keeps_state:
        weights = run.checkpoint(origin.step)
        _install_state(run, origin)
    else:
        link_weights(run, origin)
    if origin.is_base:
        digest = str(getattr(origin.recipe, "base_fingerprint", ""))
    else:
        try:
            digest = weights_fingerprint(weights)
        except OSError as error:
            raise cannot_read(weights, error) from None
    start_from = {
        "ref": origin.ref,
        "run": origin.run,
        "step": origin.step,
        "path": str(origin.weights),
        "fingerprint": digest,
    }
    info = read_info(run)
    if origin.keeps_state:
        parent = read_info(RunDir(origin.weights.parent.parent))
        before = parent.start_from
        start_from["age"] = before.get("age", before.get("step", 0))
        if not info.overrides.keys() & {"device", "precision", "threads"}:
            info = msgspec.structs.replace(info, machine=parent.machine)  # the same bits
    write_info(run, msgspec.structs.replace(info, start_from=start_from))


def _install_state(run: RunDir, origin: Origin) -> None:
    """Puts the state into the folder of a fork as its first checkpoint, with the changes of the
    number of steps before it. Raises GenuiError if it is missing or cannot be written."""
    assert origin.state is not None
    with writing(run.checkpoints):
        run.checkpoints.mkdir(exist_ok=True)
    _link(origin.state, run.checkpoint_state(origin.step))
    _link(origin.weights, run.checkpoint(origin.step))
    for event in control.read_events(RunDir(origin.weights.parent.parent)):
        if event.event == control.PLANNED and event.step <= origin.step:
            control.record(run, event.step, event.event, event.text)


def link_weights(run: RunDir, origin: Origin) -> None:
    """Puts the weights into a folder; a model of others stays where it is, and the recipe has its
    fingerprint. Raises GenuiError if they are missing or cannot be written."""
    if not origin.is_base:
        weights, state = start_files(run)
        _link(origin.weights, weights)
        if origin.state is not None and origin.state.exists():  # else the averaged ones are used
            _link(origin.state, state)


def start_files(run: RunDir) -> tuple[Path, Path]:
    """The paths of the weights that a run starts from, and of their training state."""
    return run.path / f"start{_ORIGIN_FILE}", run.path / f"start{_STATE}"


def remove_start_weights(run: RunDir) -> None:
    """Removes the weights that a run started from, after its first checkpoint."""
    for path in start_files(run):
        with suppress(OSError):
            path.unlink()


def _link(source: Path, target: Path) -> None:
    """A hard link to the file, or a copy of it.

    Raises GenuiError naming `source` if it is missing, else `target`.
    """
    try:
        os.link(os.path.realpath(source), target)
    except FileNotFoundError as error:
        raise cannot_read(source, error) from None
    except OSError:  # another file system, or one without links
        with writing(target):
            shutil.copyfile(source, target)
