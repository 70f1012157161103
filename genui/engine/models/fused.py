"""Parts of a network with backward passes of their own, for CPUs.

Autograd's backward passes read and write memory several times as often. The functions compute what
the docstrings say; `attend` and `modulate` differ in the last bits.
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

EPS = torch.finfo(torch.float32).eps  # that of F.rms_norm


def relu_square(x: Tensor) -> Tensor:
    """`F.relu(x).square()` of x of any shape, to the same bits."""
    return _ReluSquare.apply(x)  # pyright: ignore[reportReturnType]


def modulate(x: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    """`F.rms_norm(x, x.shape[-1:]) * (1 + scale) + shift` of x [B, T, C], and scale and shift
    [B, 1, C], in the precision of the CPU's autocast."""
    is_cast = torch.is_autocast_enabled("cpu")
    dtype = torch.get_autocast_dtype("cpu") if is_cast else x.dtype
    return _Modulate.apply(x, scale, shift, dtype)  # pyright: ignore[reportReturnType]


def attend(qkv: Tensor, heads: int) -> Tensor:
    """`dit.attend`: queries, keys and values [B, T, 3C] to the mixed values [B, T, C]."""
    return _Attend.apply(qkv, heads)  # pyright: ignore[reportReturnType]


class _ReluSquare(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        h = x.relu()
        ctx.save_for_backward(h)
        return h.square()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        (h,) = ctx.saved_tensors
        return (grad * h).mul_(2)


class _Modulate(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, scale: Tensor, shift: Tensor, dtype: torch.dtype) -> Tensor:
        inverse = _inverse_rms(x)
        h, gain = x * inverse, 1 + scale
        ctx.save_for_backward(h, inverse, gain)
        return torch.addcmul(shift, h, gain).to(dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        h, inverse, gain = ctx.saved_tensors
        d_shift = grad.sum(1, keepdim=True, dtype=h.dtype)
        product = grad * h
        d_scale = product.sum(1, keepdim=True)
        along = product @ gain.transpose(1, 2) / -h.shape[-1]  # [B, T, 1]
        d_x = torch.mul(grad, gain, out=product).addcmul_(h, along).mul_(inverse)
        return d_x, d_scale, d_shift, None


class _Attend(Function):
    @staticmethod
    def forward(ctx: Any, qkv: Tensor, heads: int) -> Tensor:
        B, T, C3 = qkv.shape
        D = C3 // 3 // heads
        parts = qkv.view(B, T, 3, heads, D).permute(2, 0, 3, 1, 4)  # [3, B, H, T, D]
        queries_keys = parts.new_empty((2, B * heads, T, D), dtype=torch.float32)
        queries_keys.view(2, B, heads, T, D).copy_(parts[:2])
        inverse = _inverse_rms(queries_keys)
        normed = queries_keys.mul_(inverse)
        qk, v = normed.to(qkv.dtype), parts[2].reshape(-1, T, D)
        weights = (qk[0] @ qk[1].transpose(1, 2)).float().mul_(D**-0.5).softmax(-1).to(v.dtype)
        ctx.save_for_backward(qk, v, weights, normed, inverse)
        return (weights @ v).view(B, heads, T, D).transpose(1, 2).reshape(B, T, C3 // 3)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:  # pyright: ignore[reportIncompatibleMethodOverride]
        qk, v, weights, normed, inverse = ctx.saved_tensors
        (B, T, C), D = grad.shape, v.shape[-1]
        grad = grad.view(B, T, C // D, D).transpose(1, 2).reshape(-1, T, D)
        parts = torch.empty(3, *v.shape, dtype=grad.dtype)  # of q, k and v, [3, B·H, T, D]
        torch.bmm(weights.transpose(1, 2), grad, out=parts[2])
        d_weights = (grad @ v.transpose(1, 2)).float()
        softmax_backward = torch.ops.aten._softmax_backward_data
        d_scores = softmax_backward(d_weights, weights.float(), -1, torch.float32)
        d_scores = d_scores.mul_(D**-0.5).to(grad.dtype)
        torch.bmm(d_scores, qk[1], out=parts[0])
        torch.bmm(d_scores.transpose(1, 2), qk[0], out=parts[1])
        d_normed = parts[:2].float()
        along = (d_normed * normed).mean(-1, keepdim=True)
        parts[:2] = d_normed.addcmul_(normed, along, value=-1).mul_(inverse)
        return parts.view(3, B, -1, T, D).permute(1, 3, 0, 2, 4).reshape(B, T, 3 * C), None


def _inverse_rms(x: Tensor) -> Tensor:
    """The reciprocal of the root mean square over the last dimension: [..., C] to [..., 1]."""
    norm = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
    return norm.square_().div_(x.shape[-1]).add_(EPS).rsqrt_()
