"""Which models there are to generate from: shipped ones, runs' checkpoints, files."""

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import msgspec

from genui import paths
from genui.errors import GenuiError, MisuseError, did_you_mean
from genui.recipes import KINDS
from genui.runs.checkpoints import Header, checkpoint_steps, newest_checkpoint, read_header
from genui.runs.disk import plain, read_small, shown
from genui.runs.layout import RunDir
from genui.runs.listing import RunSummary, find_run, list_runs, matching, names_of, summarise

_MEDIA = ("text", "code", "image", "music", "audio", "video", "points")
_FAMILIES = tuple(dict.fromkeys(family for family, _ in KINDS))


@dataclass(frozen=True, kw_only=True)
class ModelInfo:
    """A model as the list shows it. `ref` finds it again with `find_model`."""

    ref: str
    name: str
    family: str
    medium: str
    dataset: str
    parameters: int
    step: int
    summary: str  # how good it is, measured, e.g. "1.44 nats/char"; may be empty
    path: Path  # the safetensors file
    source: Literal["shipped", "run", "file"]
    guided: bool = False  # whether it has a weaker copy of itself to be led away from
    card: dict[str, Any] = field(default_factory=dict)  # of a shipped model


def list_models() -> list[ModelInfo]:
    """Shipped models by medium and family, then the newest whole checkpoint of each run, newest
    run first.

    Never raises: what cannot be read is left out, and `find_model` says what is wrong with it.
    """
    models: list[ModelInfo] = []
    for name in _shipped_names():
        try:
            models.append(_shipped(name))
        except GenuiError:
            continue
    models.sort(key=lambda model: (*group_rank(model), model.name))
    try:
        runs = list_runs()
    except GenuiError:
        return models
    for summary in runs:
        try:
            header = newest_checkpoint(summary.run)
        except GenuiError:
            continue
        if header is not None:
            models.append(_of_run(summary, header, summary.run.id))
    return models


def find_model(ref: str) -> ModelInfo:
    """The model meant by `ref`: a shipped name, a run, run@step, or the path of a safetensors
    file or run folder.

    Raises MisuseError with the nearest name where there is none, or saying what is wrong
    with the file.
    """
    if ref in _shipped_names():
        return _shipped(ref)
    path = Path(os.path.expanduser(ref))
    if ref.endswith(".safetensors") or "/" in ref:
        return _at_path(path)
    name, at, step = ref.partition("@")
    runs = list_runs()
    if matching(name, runs):
        return _checkpoint_of(find_run(name), step if at else None, ref)
    if ref and os.path.exists(path):
        return _at_path(path)
    known = {*_shipped_names(), *names_of(runs)}
    raise MisuseError(f"no model '{plain(ref, 80)}': {plain(did_you_mean(ref, known), 1000)}")


def _shipped_names() -> list[str]:
    return sorted(p.parent.name for p in paths.weights_dir().glob("*/model.safetensors"))


def _shipped(name: str) -> ModelInfo:
    folder = paths.weights_dir() / name
    header = read_header(folder / "model.safetensors")
    try:
        card = msgspec.json.decode(read_small(folder / "card.json"), type=dict[str, Any])
    except msgspec.DecodeError as error:
        raise GenuiError(
            f"{shown(folder / 'card.json')} is damaged ({plain(str(error))}): install genui again"
        ) from None
    return _model(header, ref=name, name=name, source="shipped", card=card, summary=_quality(card))


def _quality(card: dict[str, Any]) -> str:
    """The first measured value of a card, or its summary where nothing was measured."""
    quality = card.get("quality")
    if isinstance(quality, dict) and quality:
        return str(next(iter(quality.values())))
    return str(card.get("summary", ""))


def _of_run(summary: RunSummary, header: Header, ref: str) -> ModelInfo:
    val = summary.status.val
    measured = f"validation loss {val:.3f}" if val is not None else ""
    return _model(header, ref=ref, name=summary.info.name, source="run", summary=measured)


def _checkpoint_of(run: RunDir, step: str | None, ref: str) -> ModelInfo:
    """The model of a run: its newest whole checkpoint, or the one of a given step."""
    steps = checkpoint_steps(run)
    if not steps:
        if summarise(run).info.kind == "script":
            raise MisuseError(
                f"run {run.id} is a script of your own: genui has its metrics, not its weights"
            )
        raise MisuseError(
            f"run {run.id} has no checkpoint yet: wait for one, or ask with "
            f"genui checkpoint {run.id}"
        )
    summary = summarise(run)
    if step is None:
        header = newest_checkpoint(run)
        if header is None:
            read_header(run.checkpoint(steps[-1]))  # says what is wrong with the newest
            raise MisuseError(f"run {run.id} changed while it was read: try again")
        return _of_run(summary, header, ref)
    if not step.isdecimal() or int(step) not in steps:
        some = ", ".join(map(str, steps[-8:]))
        raise MisuseError(
            f"run {run.id} has no checkpoint at step {plain(step, 20)!r}: it has {some}"
        )
    header = read_header(run.checkpoint(int(step)))
    # The status speaks of the newest step, not of this one.
    return _model(header, ref=ref, name=summary.info.name, source="run", summary="")


def _at_path(path: Path) -> ModelInfo:
    """A safetensors file, or the newest checkpoint in a run folder."""
    path = path.absolute()
    if os.path.isdir(path):
        run = RunDir(path)
        if not run.run_json.exists():
            raise MisuseError(f"{shown(path)}: the folder is not a run (no run.json in it)")
        return _checkpoint_of(run, None, str(path))
    if not os.path.exists(path):
        raise MisuseError(
            f"no model file {shown(path)}: check the path, or see genui models for names"
        )
    header = read_header(path)
    return _model(header, ref=str(path), name=path.stem, source="file", summary="")


def _model(
    header: Header,
    *,
    ref: str,
    name: str,
    source: Literal["shipped", "run", "file"],
    summary: str,
    card: dict[str, Any] | None = None,
) -> ModelInfo:
    return ModelInfo(
        ref=ref,
        name=plain(name),
        family=header.recipe.family,
        medium=header.recipe.medium,
        dataset=plain(header.dataset),
        parameters=header.parameters,
        step=header.step,
        summary=summary,
        path=header.path,
        source=source,
        guided="guide" in header.metadata,
        card=card or {},
    )


def group_rank(model: ModelInfo) -> tuple[int, int]:
    """Where its group stands in a list: by its medium, then by its family."""
    return _rank(model.medium, _MEDIA), _rank(model.family, _FAMILIES)


def _rank(word: str, known: tuple[str, ...]) -> int:
    return known.index(word) if word in known else len(known)
