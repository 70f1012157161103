"""The choice of the precision, by what products take here."""

import time

import pytest
import torch

from genui.engine import device


@pytest.mark.parametrize(("slow", "chosen"), [(torch.bfloat16, "fp32"), (torch.float32, "bf16")])
def test_a_slow_precision_is_found_out(
    slow: torch.dtype, chosen: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If bf16 is far too slow, before all of its products: on a busy machine they take minutes."""
    products: list[torch.dtype] = []

    def multiply(a: torch.Tensor, b: torch.Tensor) -> None:
        products.append(a.dtype)
        end = time.thread_time() + (0.02 if a.dtype == slow else 0.001)
        while time.thread_time() < end:
            pass

    monkeypatch.setattr(torch, "mm", multiply)
    assert device.choose_precision("auto", "cpu", 256) == chosen
    if chosen == "fp32":
        assert products.count(torch.bfloat16) <= 2
    assert device.choose_precision("auto", "cpu", 64) == "fp32"  # casts would take longer
