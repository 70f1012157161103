"""Checkpoints: written whole or not at all, read back without trust, and weights in fewer bits."""

import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from genui.base.errors import GenuiError
from genui.engine.models import frozen
from genui.recipes import Recipe
from genui.runs import models
from genui.runs.layout import RunDir
from genui.runs.models import FORMAT, checkpoint_steps, parse_metadata

# --- Weights in fewer bits, for shipping ------------------------------------------------------
# In eight bits each row of a matrix is scaled by its largest magnitude and rounded to int8
# (symmetric, per channel; Jacob et al. 2018 without the zero point). Vectors stay fp16.

SCALE = ".scale"


def quantise(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """fp32 tensors by name to int8 matrices with fp16 `<name>.scale` columns, and fp16 vectors."""
    small: dict[str, Tensor] = {}
    for name, value in tensors.items():
        if value.ndim < 2:
            small[name] = value.half()
            continue
        rows = value.flatten(1)
        # Rounded to fp16 before it divides, so that reading back multiplies by the same number.
        scale = (rows.abs().amax(dim=1, keepdim=True).clamp(min=1e-8) / 127).half().float()
        scale = scale.clamp(min=float(torch.finfo(torch.float16).tiny))
        small[name] = (rows / scale).round().clamp(-127, 127).to(torch.int8).view(value.shape)
        small[name + SCALE] = scale.half()
    return small


def to_half(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """fp32 tensors by name to fp16, for weights whose last small moves eight bits would undo."""
    return {name: value.half() for name, value in tensors.items()}


def dequantise(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Any checkpoint's tensors as fp32; those that were never quantised are only widened.

    Raises ValueError where a scale is not one number a row.
    """
    wide: dict[str, Tensor] = {}
    for name, value in tensors.items():
        if name.endswith(SCALE) and name.removesuffix(SCALE) in tensors:
            continue
        scale = tensors.get(name + SCALE)
        if scale is None:
            wide[name] = value.float()
        elif value.ndim < 2 or scale.shape != (value.shape[0], 1):
            raise ValueError(f"{name}{SCALE} is {list(scale.shape)} for {list(value.shape)}")
        else:
            wide[name] = (value.flatten(1).float() * scale.float()).view(value.shape)
    return wide


# --- Checkpoints: written aside, synced, renamed; read back without trusting them -------------
# A checkpoint is two files. `step-N.safetensors` is what generates: the (averaged) weights
# and, in its metadata, the recipe and what else the model needs. `step-N.state.safetensors`
# is what training goes on from: the raw weights and the optimisers' state. No random state
# is kept because none is needed: whatever is random in step k is drawn from (seed, k).

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
    path = models.start_files(run)[0] if step is None else run.checkpoint(step)
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
    weights, state = models.start_files(run)
    if not weights.exists():
        return None
    averaged, _ = frozen.split_guide(load_weights(weights)[0])
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


# --- Weights for a network whose vocabulary has grown since they were trained -----------------


def grow_vocabulary(tensors: dict[str, Tensor], model: nn.Module) -> dict[str, Tensor]:
    """The tensors, each that lacks last rows completed by those that `model` begins with.

    New tokens are numbered after the old ones, so an embedding [V, C] and a head [V, C] keep
    every row that was learnt. What differs otherwise is left as it is, to be refused.
    """
    begun = model.state_dict()
    return {name: _add_rows(value, begun.get(name)) for name, value in tensors.items()}


def _add_rows(value: Tensor, begun: Tensor | None) -> Tensor:
    if begun is None or value.ndim < 2 or value.shape[1:] != begun.shape[1:]:
        return value
    if len(value) >= len(begun):
        return value
    whole = begun.clone()
    whole[: len(value)] = value
    return whole
