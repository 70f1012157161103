"""Backward passes of the project's own compute what autograd's do."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from genui.base.errors import MisuseError
from genui.engine.models import dit, fused
from genui.recipes import find_recipe, override


def _random(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(sum(shape)))


def _with_gradients(function, *inputs: Tensor) -> list[Tensor]:
    """The output, and the gradients of a weighted sum of it by each input."""
    leaves = [each.clone().requires_grad_() for each in inputs]
    out = function(*leaves)
    return [out.detach(), *torch.autograd.grad((out * _random(*out.shape)).sum(), leaves)]


@pytest.mark.parametrize(
    ("own", "plain", "inputs"),
    [
        (lambda x: fused.attend(x, 2), lambda x: dit.attend(x, 2), (_random(3, 5, 48),)),
        (
            fused.modulate,
            dit.modulate,
            (_random(3, 5, 16), 0.3 * _random(3, 1, 16), _random(3, 1, 16)),
        ),
    ],
    ids=["attend", "modulate"],
)
def test_fused_parts_equal_plain_ones(own, plain, inputs) -> None:
    for ours, autograds in zip(
        _with_gradients(own, *inputs), _with_gradients(plain, *inputs), strict=True
    ):
        assert torch.allclose(ours, autograds, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_square_of_relu_has_the_same_bits(dtype: torch.dtype) -> None:
    x = _random(64, 33).to(dtype)
    own = _with_gradients(fused.relu_square, x)
    plain = _with_gradients(lambda x: F.relu(x).square(), x)
    assert all(map(torch.equal, own, plain))


def test_fused_parts_take_the_precision_of_autocast() -> None:
    x, scale, shift = _random(2, 3, 8), _random(2, 1, 8), _random(2, 1, 8)
    with torch.autocast("cpu", torch.bfloat16):
        assert fused.modulate(x, scale, shift).dtype == torch.bfloat16
    assert fused.modulate(x, scale, shift).dtype == torch.float32


def test_the_unet_has_no_fused_blocks() -> None:
    with pytest.raises(MisuseError, match="fused=false"):
        override(find_recipe("fashion"), {"fused": "true"})
