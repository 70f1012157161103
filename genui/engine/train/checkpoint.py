"""Checkpoints: written aside, synced, renamed; read back without trusting them.

A checkpoint is two files. `step-N.safetensors` is what generates: the (averaged) weights
and, in its metadata, the recipe and what else the model needs. `step-N.state.safetensors`
is what training goes on from: the raw weights and the optimisers' state. No random state
is kept because none is needed: whatever is random in step k is drawn from (seed, k).
"""

import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
from torch import Tensor, nn

from genui.engine.models import guiding
from genui.engine.train.quantise import dequantise
from genui.errors import GenuiError
from genui.recipes import Recipe
from genui.runs import origin
from genui.runs.checkpoints import FORMAT, checkpoint_steps, parse_metadata
from genui.runs.layout import RunDir

KEEP_STATES = 2
KEEP_WEIGHTS = 8

_RAW = "model."  # before the names of the weights as they were trained
_OPTIMIZER = "optimizer."


def write_tensors(path: Path, tensors: dict[str, Tensor], metadata: dict[str, str]) -> None:
    """One safetensors file, whole or not at all. Raises GenuiError where it cannot be written."""
    aside = path.with_name(path.name + ".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        body = safetensors.torch.save({k: v.contiguous() for k, v in tensors.items()}, metadata)
        with open(aside, "wb") as file:
            file.write(body)
            file.flush()
            os.fsync(file.fileno())
        aside.replace(path)
    except OSError as error:
        aside.unlink(missing_ok=True)
        raise GenuiError(
            f"{path}: the checkpoint cannot be written ({error.strerror}); "
            "free some space and resume: earlier checkpoints are whole"
        ) from None


def write_model(path: Path, tensors: dict[str, Tensor], described: dict[str, Any]) -> None:
    """The file of a model and what it says of itself. Raises GenuiError as `write_tensors`."""
    write_tensors(path, tensors, {"genui": json.dumps(described)})


def model_metadata(recipe: Recipe, step: int, model: nn.Module, extra: dict[str, Any]) -> dict:
    """What a checkpoint says of itself."""
    return {
        "format": FORMAT,
        "recipe": asdict(recipe),
        "step": step,
        "parameters": sum(p.numel() for p in model.parameters()),
        **extra,
    }


def save(
    run: RunDir,
    step: int,
    recipe: Recipe,
    averaged: nn.Module,
    model: nn.Module,
    optimizers: dict[str, Tensor],
    extra: dict[str, Any],
) -> Path:
    """Write both files, the weights last: where they are, the checkpoint is whole."""
    state = {f"{_RAW}{k}": v for k, v in model.state_dict().items()}
    state |= {f"{_OPTIMIZER}{k}": v for k, v in optimizers.items()}
    write_tensors(run.checkpoint_state(step), state, {"genui-state": str(FORMAT)})
    described = model_metadata(recipe, step, averaged, extra)
    target = run.checkpoint(step)
    write_model(target, dict(averaged.state_dict()), described)
    _prune(run.checkpoints)
    return target


def _prune(folder: Path) -> None:
    """Old states go first: they are large and only the newest is ever resumed."""
    states = sorted(folder.glob("step-*.state.safetensors"))
    weights = sorted(set(folder.glob("step-*.safetensors")) - set(states))
    for path in states[:-KEEP_STATES] + weights[:-KEEP_WEIGHTS]:
        path.unlink(missing_ok=True)


def newest_whole(run: RunDir) -> int | None:
    """The step of the newest checkpoint that training can go on from."""
    for step in reversed(checkpoint_steps(run)):
        try:
            for path in (run.checkpoint_state(step), run.checkpoint(step)):
                with safetensors.safe_open(path, framework="pt"):
                    pass  # opening checks the header and the length
            return step
        except (safetensors.SafetensorError, OSError):
            continue
    return None


def newest_metadata(run: RunDir) -> dict[str, Any] | None:
    """What the newest whole checkpoint says of itself, or what the run starts from.

    None where there is neither.
    """
    step = newest_whole(run)
    path = origin.placed(run)[0] if step is None else run.checkpoint(step)
    return load_weights(path)[1] if path.exists() else None


def load_state(run: RunDir, step: int) -> tuple[dict, dict, dict, dict[str, Any]]:
    """(averaged weights, raw weights, optimiser state, metadata) of a whole checkpoint."""
    state = safetensors.torch.load_file(run.checkpoint_state(step))
    raw, kept = (
        {k.removeprefix(p): v for k, v in state.items() if k.startswith(p)}
        for p in (_RAW, _OPTIMIZER)
    )
    averaged, described = load_weights(run.checkpoint(step))
    return averaged, raw, kept, described


def load_start(run: RunDir) -> tuple[dict[str, Tensor], dict[str, Tensor]] | None:
    """(averaged weights, raw weights) that the run was told to start from, if it was.

    Where the raw weights are gone, or were never there, the averaged ones stand in for them.
    Raises GenuiError naming the file that is damaged.
    """
    weights, state = origin.placed(run)
    if not weights.exists():
        return None
    averaged, _ = guiding.apart(load_weights(weights)[0])
    if not state.exists():
        return averaged, averaged
    try:
        with safetensors.safe_open(state, framework="pt") as file:
            names = [n for n in file.keys() if n.startswith(_RAW)]  # noqa: SIM118
            raw = {name.removeprefix(_RAW): file.get_tensor(name) for name in names}
    except (safetensors.SafetensorError, OSError) as error:
        raise GenuiError(
            f"{state}: cannot be read ({error}); remove it to start from the averaged weights"
        ) from None
    return averaged, raw


def load_weights(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors (fp32, whether they were quantised or not) and metadata of a genui checkpoint.

    Raises GenuiError naming the file where it is missing, truncated or not ours.
    """
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            if "genui" not in metadata:
                raise GenuiError(f"{path}: not a genui checkpoint (it names no recipe)")
            described = parse_metadata(path, metadata["genui"]).metadata
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        return dequantise(tensors), described
    except OSError as error:
        raise GenuiError(f"{path}: cannot be read ({error.strerror or error})") from None
    except (safetensors.SafetensorError, ValueError) as error:
        raise GenuiError(f"{path}: truncated or not a safetensors file ({error})") from None
