"""Weights in fewer bits, for shipping: a quarter of the size, or half of it for a smaller loss.

In eight bits each row of a matrix is scaled by its largest magnitude and rounded to int8
(symmetric, per channel; Jacob et al. 2018 without the zero point). Vectors stay fp16.
"""

import torch
from torch import Tensor

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


def halved(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
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
