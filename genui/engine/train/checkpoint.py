"""Checkpoints: written atomically, read without trusting them, and quantised for shipping."""

import json
import os
import struct
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from genui.base.errors import GenuiError
from genui.base.files import atomic_path
from genui.engine.models import frozen
from genui.engine.train.optimizer import gather_whole
from genui.recipes import Recipe
from genui.runs import models
from genui.runs.layout import (
    KEEP_WEIGHTS,
    RunDir,
    checkpoint_steps,
    choose_states,
    state_steps,
)
from genui.runs.models import FORMAT, parse_metadata

# --- Quantised weights, for shipping ----------------------------------------------------------
# Symmetric int8 per channel: each row of a matrix is scaled by its largest magnitude and rounded
# (Jacob et al. 2018 without the zero point). Vectors are fp16.

SCALE = ".scale"


def quantise(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Quantise fp32 matrices to int8, with fp16 columns `<name>.scale`, and vectors to fp16."""
    quantised: dict[str, Tensor] = {}
    for name, value in tensors.items():
        if value.ndim < 2:
            quantised[name] = value.half()
            continue
        rows = value.flatten(1)
        # Rounded to fp16 before the division: dequantising multiplies by the same number.
        scale = (rows.abs().amax(dim=1, keepdim=True).clamp(min=1e-8) / 127).half().float()
        scale = scale.clamp(min=float(torch.finfo(torch.float16).tiny))
        quantised[name] = (rows / scale).round().clamp(-127, 127).to(torch.int8).view(value.shape)
        quantised[name + SCALE] = scale.half()
    return quantised


def to_half(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """fp32 tensors to fp16, for weights whose last fine adjustments int8 would lose."""
    return {name: value.half() for name, value in tensors.items()}


def dequantise(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of any checkpoint, quantised or not, as fp32.

    Raises ValueError if a scale does not have one number per row.
    """
    dequantised: dict[str, Tensor] = {}
    for name, value in tensors.items():
        if name.endswith(SCALE) and name.removesuffix(SCALE) in tensors:
            continue
        scale = tensors.get(name + SCALE)
        if scale is None:
            dequantised[name] = value.float()
        elif value.ndim < 2 or scale.shape != (value.shape[0], 1):
            raise ValueError(f"{name}{SCALE} is {list(scale.shape)} for {list(value.shape)}")
        else:
            dequantised[name] = (value.flatten(1).float() * scale.float()).view(value.shape)
    return dequantised


# --- Checkpoints ------------------------------------------------------------------------------
# A checkpoint is two files. `step-N.safetensors` is for generating: the averaged weights and, in
# its metadata, the recipe and whatever else the model needs. `step-N.state.safetensors` is for
# resuming: the raw weights and the state of the optimisers. There is no random state to save:
# random numbers of step k are seeded by (seed, k).

_RAW = "model."  # prefix of the raw weights, as opposed to the averaged ones
_OPTIMIZER = "optimizer."


def write_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: dict[str, str]) -> None:
    """Write a safetensors file atomically. Raises GenuiError if it cannot be written.

    Tensors are gathered, if they are divided among processes, and written one after another, so the
    extra memory is the size of the largest. `safetensors.torch.save` makes the whole file in
    memory, and `save_file` may leave a part under a name of its own.
    """
    with atomic_path(path) as aside:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with aside.open("wb") as file:
                for chunk in _chunks(tensors, metadata):
                    file.write(chunk)
                file.flush()
                os.fsync(file.fileno())  # here, so that a full disk is this error
        except OSError as error:
            raise GenuiError(
                f"{path}: the checkpoint cannot be written ({error.strerror}); "
                "free some space and resume: earlier checkpoints are whole"
            ) from None


_TYPES = {
    torch.int64: "I64", torch.float64: "F64", torch.float32: "F32", torch.int32: "I32",
    torch.bfloat16: "BF16", torch.float16: "F16", torch.int16: "I16", torch.int8: "I8",
    torch.uint8: "U8", torch.bool: "BOOL",
}  # fmt: skip
"""Names of types in a safetensors file, in the order in which their tensors follow."""

_ALIGNMENT = 8  # bytes, of the header


def _in_order(tensors: Mapping[str, Tensor]) -> list[str]:
    """The names of tensors in the order in which a file has them."""
    order = list(_TYPES)
    return sorted(tensors, key=lambda name: (order.index(tensors[name].dtype), name))


def _chunks(
    tensors: Mapping[str, Tensor], metadata: dict[str, str]
) -> Iterator[bytes | memoryview]:
    """The content of a safetensors file, as `safetensors.torch.save` makes it: the length of the
    header, the header, and the tensors."""
    names = _in_order(tensors)
    header: dict[str, Any] = {"__metadata__": metadata}
    end = 0
    for name in names:
        value = tensors[name]
        begin, end = end, end + value.numel() * value.element_size()
        header[name] = {
            "dtype": _TYPES[value.dtype],
            "shape": list(value.shape),
            "data_offsets": [begin, end],
        }
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % _ALIGNMENT)
    yield struct.pack("<Q", len(text))
    yield text
    for name in names:
        flat = gather_whole(tensors[name]).detach().reshape(-1).cpu()
        yield flat.view(torch.uint8).numpy().data


def write_model(path: Path, tensors: Mapping[str, Tensor], described: dict[str, Any]) -> None:
    """Write a model's file with its metadata. Raises GenuiError as `write_tensors`."""
    write_tensors(path, tensors, {"genui": json.dumps(described)})


def model_metadata(recipe: Recipe, step: int, model: nn.Module, extra: dict[str, Any]) -> dict:
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
    writes: bool = True,
    alerts: Sequence[int] = (),
) -> Path:
    """Write both files, the weights last: if they exist, the checkpoint is complete. Earlier ones
    make room, but those before the steps of `alerts` are kept.

    If the tensors are shared out over processes all ranks call it, and one of them `writes`.
    """
    state = {f"{_RAW}{k}": v for k, v in model.state_dict().items()}
    state |= {f"{_OPTIMIZER}{k}": v for k, v in optimizers.items()}
    target, tensors = run.checkpoint(step), averaged.state_dict()
    if not writes:
        for part in (state, tensors):
            for name in _in_order(part):
                gather_whole(part[name])
        return target
    write_tensors(run.checkpoint_state(step), state, {"genui-state": str(FORMAT)})
    write_model(target, tensors, model_metadata(recipe, step, model, extra))
    _prune(run, recipe, alerts)
    return target


def _prune(run: RunDir, recipe: Recipe, alerts: Sequence[int]) -> None:
    """Thin the states out, which are large, as far as `recipe.states_gb` asks; delete the other
    states, and weights that are neither new nor have a state."""
    steps, states = checkpoint_steps(run), state_steps(run)
    newest = states[-1]
    one = size_of(run.checkpoint_state(newest)) + size_of(run.checkpoint(newest))
    room = recipe.states_gb * 1e9 - sum(map(size_of, models.start_files(run)))
    kept = choose_states(states, alerts, recipe.steps, int(room / max(1, one)))
    for step in states:
        if step not in kept:
            run.checkpoint_state(step).unlink(missing_ok=True)
    for step in steps[:-KEEP_WEIGHTS]:
        if step not in kept:
            run.checkpoint(step).unlink(missing_ok=True)
    if room < 0:
        models.remove_start_weights(run)


def size_of(path: Path) -> int:
    """The bytes of a file; 0 if it is not there."""
    with suppress(OSError):
        return path.stat().st_size
    return 0


def newest_whole(run: RunDir) -> int | None:
    """The step of the newest checkpoint that training can resume from."""
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
    """The metadata of the newest complete checkpoint, or of the weights that the run starts from;
    None if there is neither."""
    step = newest_whole(run)
    path = models.start_files(run)[0] if step is None else run.checkpoint(step)
    return load_weights(path)[1] if path.exists() else None


def load_state(run: RunDir, step: int) -> tuple[dict, dict, dict, dict[str, Any]]:
    """(averaged weights, raw weights, optimiser state, metadata) of a complete checkpoint. Raises
    GenuiError, naming the file, if it is damaged."""
    path = run.checkpoint_state(step)
    try:
        state = safetensors.torch.load_file(path)
    except (safetensors.SafetensorError, OSError) as error:
        raise GenuiError(f"{path}: cannot be read ({error}); remove it") from None
    raw, optimizers = (
        {k.removeprefix(p): v for k, v in state.items() if k.startswith(p)}
        for p in (_RAW, _OPTIMIZER)
    )
    averaged, described = load_weights(run.checkpoint(step))
    return averaged, raw, optimizers, described


def has_other_data(described: Mapping[str, Any], extra: Mapping[str, Any]) -> bool:
    """Whether a checkpoint with this metadata was trained on other data than a task has."""
    before = described.get("fingerprint")
    return bool(before) and before != extra.get("fingerprint")


def load_start(run: RunDir) -> tuple[dict[str, Tensor], dict[str, Tensor]] | None:
    """(averaged weights, raw weights) that the run starts from, or None if it starts from none.

    If there are no raw weights the averaged ones are used for both. Raises GenuiError, naming the
    file, if it is damaged.
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
    """The tensors, as fp32, and the metadata of a genui checkpoint.

    Raises GenuiError, naming the file, if it is missing, truncated or not a genui checkpoint.
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


def grow_vocabulary(tensors: dict[str, Tensor], model: nn.Module) -> dict[str, Tensor]:
    """Fit tensors to a model with a larger vocabulary: append the model's own last rows.

    New tokens have the highest ids, so an embedding [V, C] and a head [V, C] keep every trained
    row. Tensors that differ in other ways are left as they are, so that loading refuses them.
    """
    initial = model.state_dict()
    grown = dict(tensors)
    for name, value in tensors.items():
        new = initial.get(name)
        if new is None or value.ndim < 2 or value.shape[1:] != new.shape[1:]:
            continue
        if len(value) < len(new):
            grown[name] = gather_whole(new).clone()
            grown[name][: len(value)] = value
    return grown
