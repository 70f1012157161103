"""How well a training uses the machine: the FLOPs of a step, the measured peak of matrix products,
and the time of each part of a step.

Model FLOPs utilisation ("mfu", Chowdhery et al. 2022, appendix B) is the FLOPs of the forward and
backward passes, without recomputation and the optimiser, over those that matrix products alone
would do in the same time.
"""

import functools
import time
from collections.abc import Callable, Container, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from typing import Any, Self

import torch
from torch import Tensor
from torch.nn.modules.module import register_module_forward_pre_hook
from torch.utils._python_dispatch import TorchDispatchMode, _get_current_dispatch_mode_stack

from genui.base.numbers import short
from genui.engine.device import Machine, measure_peak

# --- FLOPs of a step --------------------------------------------------------------------------

Formula = Callable[..., int]


@functools.cache
def _formulas() -> dict[Any, Formula]:
    """FLOPs of an operation by its arguments: matrix products, convolutions and attention.

    Attention's backward pass counts as two forward passes on every device: that a fused kernel
    computes the scores again is not the model's work. A causal mask is not taken off.
    """
    from torch.utils import flop_counter  # late: it takes some 10 ms, and generation needs none

    def attention(query: Tensor, key: Tensor, value: Tensor, *rest: Any, **options: Any) -> int:
        return flop_counter.sdpa_flop_count(query.shape, key.shape, value.shape)

    def backward(grad: Tensor, query: Tensor, key: Tensor, value: Tensor, *rest: Any,
                 **options: Any) -> int:  # fmt: skip
        return 2 * attention(query, key, value)

    aten = torch.ops.aten
    fused = ("flash_attention", "efficient_attention", "cudnn_attention", "flash_attention_for_cpu")
    formulas: dict[Any, Formula] = dict(flop_counter.flop_registry)
    for kind in fused:
        name = f"_scaled_dot_product_{kind}"
        formulas[getattr(aten, name)] = attention
        # The CPU's is called …_flash_attention_for_cpu_backward.
        formulas[getattr(aten, f"{name}_backward")] = backward
    return formulas


def format_flops(flops: float) -> str:
    """`2.7 GFLOP`."""
    text = short(flops)
    number = text.rstrip("kMGT")
    return f"{number} {text[len(number) :]}FLOP"


class FlopCounter(TorchDispatchMode):
    """Counts the FLOPs of the operations in its block, forward and backward; 2·m·n·k of a product.

    It runs each operation as it is and draws no random numbers, so the results have the same bits.
    """

    def __init__(self) -> None:
        super().__init__()
        self.flops = 0
        self.is_paused = False

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        formula = _formulas().get(getattr(func, "_overloadpacket", None))
        if formula is not None and not self.is_paused:
            with suppress(Exception):  # a shape that no formula knows must not end a training
                self.flops += int(formula(*args, **kwargs, out_val=result))
        return result


@contextmanager
def not_counting() -> Iterator[None]:
    """Exclude the operations of the block from the counts in progress."""
    modes = _get_current_dispatch_mode_stack()
    counters = [mode for mode in modes if isinstance(mode, FlopCounter)]
    for counter in counters:
        counter.is_paused = True
    try:
        yield
    finally:
        for counter in counters:
            counter.is_paused = False


# --- The share of the peak --------------------------------------------------------------------


class Utilization:
    """The share of the peak that a training reaches.

    The forward and backward passes of a step are done within `counting`. They are counted in the
    first step and where batches get other shapes; `finish` is called after such a step.
    """

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._peak = 0.0
        self.counter: FlopCounter | None = FlopCounter()
        self.flops = 0  # of a step; 0 until it is counted

    def begin(self, step: int, changes: Container[int]) -> None:
        """Count the step that begins, counted from 0, if it is one of `changes`."""
        if step in changes:
            self.counter = FlopCounter()

    def counting(self) -> AbstractContextManager[object]:
        """The block of a forward and backward pass."""
        return self.counter or nullcontext()

    def finish(self) -> str:
        """End the counting after a whole step. Returns a line about it for the console."""
        assert self.counter is not None
        self.flops, self.counter = self.counter.flops, None
        self._peak = self._peak or measure_peak(self._machine)
        return (
            f"a step has {format_flops(self.flops)}; matrix products reach "
            f"{format_flops(self._peak)}/s here in {self._machine.precision}"
        )

    def share(self, seconds: float) -> float | None:
        """The share of the peak, 0 to 1, of a step of `seconds`; None if it is not known."""
        if not self.flops or not self._peak or seconds <= 0:
            return None
        return self.flops / seconds / self._peak


# --- Where the time of a step goes ------------------------------------------------------------

PRODUCTS, ATTENTION, OPTIMIZER = "matrix products", "attention", "optimiser"
ELEMENTWISE, DATA, PYTHON = "elementwise and the rest", "data", "Python and waiting"

_PRODUCTS = frozenset(
    {"mm", "addmm", "bmm", "baddbmm", "addbmm", "_addmm_activation", "mkldnn_linear"}
    | {"mkldnn_convolution", "cudnn_convolution", "thnn_conv2d", "_slow_conv2d_forward"}
    | {"_slow_conv2d_backward", "convolution_backward", "_mps_convolution", "mps_convolution"}
)
_ATTENTION = frozenset({"_softmax", "_softmax_backward_data"})
# The steps of torch's optimisers, the clipping of gradients, and the averaging of weights.
_OPTIMIZER = ("Optimizer.", "aten::_foreach", "aten::lerp_")


def profile_step(
    train_step: Callable[[], object], machine: Machine, steps: int = 5
) -> dict[str, float]:
    """The seconds of each part of a training step, the longest first, over so many steps.

    The kinds of operations are torch.profiler's times. Data is from the start of a step to its
    first layer. The rest of the time of steps without the profiler, which slows them, is Python; on
    a GPU also the time in which it waits.
    """
    from torch.profiler import ProfilerActivity, profile  # late: only for this

    for _ in range(2):  # the first allocates
        train_step()
    on_gpu = machine.device == "cuda"
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if on_gpu else [])]
    kinds = (PRODUCTS, ATTENTION, OPTIMIZER, ELEMENTWISE, DATA)
    seconds: dict[str, float] = dict.fromkeys(kinds, 0.0)
    whole = 0.0
    for _ in range(steps):  # in turns, since other processes may slow both
        taken, to_first_layer = _time_step(train_step)
        whole += taken
        seconds[DATA] += to_first_layer
        with profile(activities=activities) as profiled:
            train_step()
        for event in profiled.events() or ():
            if event.name.startswith(("aten::", "Optimizer.")):
                micros = event.self_device_time_total if on_gpu else event.self_cpu_time_total
                seconds[_kind_of(event)] += micros / 1e6
    seconds[PYTHON] = max(0.0, whole - sum(seconds.values()))
    shares = sorted(seconds.items(), key=lambda item: -item[1])
    return {name: value / steps for name, value in shares}


def _kind_of(event: Any) -> str:
    """The kind of an operation, by its name; those that an optimiser calls are the optimiser's."""
    name = event.name.removeprefix("aten::")
    while event is not None:
        if event.name.startswith(_OPTIMIZER):
            return OPTIMIZER
        event = event.cpu_parent
    if name in _PRODUCTS:
        return PRODUCTS
    return ATTENTION if name in _ATTENTION or "scaled_dot_product" in name else ELEMENTWISE


class DataTimer:
    """Measures the seconds from the start of its block to the first layer: of the batch and its
    augmentation."""

    def __enter__(self) -> Self:
        self.seconds = 0.0
        self._begin = time.perf_counter()
        self._hook = register_module_forward_pre_hook(self._note)
        return self

    def _note(self, *_: object) -> None:
        self.seconds = time.perf_counter() - self._begin
        self._hook.remove()

    def __exit__(self, *_: object) -> None:
        self._hook.remove()


def _time_step(train_step: Callable[[], object]) -> tuple[float, float]:
    """Seconds of a step, and of its data."""
    begin = time.perf_counter()
    with DataTimer() as data:
        train_step()
    return time.perf_counter() - begin, data.seconds
