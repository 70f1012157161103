"""Norms by layer: of weights, gradients and updates, and the scale of activations."""

import math
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import psutil
import torch
from torch import Tensor, nn

MAX_LAYERS = 64
"""The most layers; of a network with more modules, those that contain several are measured."""

SAMPLED_ROWS = 4096
"""The rows from which the norm of a table with sparse gradients is estimated."""

COPY_SHARE = 0.25
"""The most that copies of the weights may take, as a share of the free memory."""

TIME_SHARE = 0.02
"""The most that measurements may take, as a share of the time of the training."""

WARM_UP = 3
"""The steps before the first measurement, if the steps are chosen."""

RECORDS = 500
"""The steps between two measurements are at least the steps so far divided by this, so that the
file of a long training stays small."""

NormsByKind = dict[str, list[float | None]]
"""Of each layer the norms of its `weights`, `gradients` and `updates`, and the root mean square of
its `activations`; None where there is none. A kind that was not measured is left out."""


def group_parameters(model: nn.Module) -> dict[str, list[nn.Parameter]]:
    """The parameters of each layer, by the name of the module that has them, or of one that
    contains it, if there would be more than MAX_LAYERS; "model" is the model itself."""
    owners = [(name.split(".")[:-1], one) for name, one in model.named_parameters()]
    groups: dict[str, list[nn.Parameter]] = {}
    for depth in range(max((len(path) for path, _ in owners), default=0), -1, -1):
        groups = {}
        for path, parameter in owners:
            groups.setdefault(".".join(path[:depth]) or "model", []).append(parameter)
        if len(groups) <= MAX_LAYERS:
            break
    return groups


class NormMeter:
    """Measures a step of a training: call `begin` before the forward pass, `before_update` when the
    gradients are there, and `after_update` when the weights have changed.

    An update is the difference to a copy of the weights, which exists during the step. Of a table
    with sparse gradients the copy has the rows that the step has read, and the norm of its weights
    is estimated from SAMPLED_ROWS rows. The update of a layer is 0 if one of its matrices has a
    gradient and did not change: Muon rests then (`muon_every`).

    Of a parameter that is divided among processes, the rows of this process are measured.
    """

    def __init__(self, model: nn.Module, activations: bool = True) -> None:
        """With `activations`, the modules have hooks from `begin` to `before_update`."""
        groups = group_parameters(model)
        self.layers = tuple(groups)
        self.seconds = 0.0
        """The time of the last measurement, with the time that it waited for the device."""
        self._parameters = [one for group in groups.values() for one in group]
        self._layer_of = [at for at, group in enumerate(groups.values()) for _ in group]
        self._tables = {id(one.weight) for one in model.modules() if getattr(one, "sparse", False)}
        self._found: NormsByKind = {}
        self._before: list[tuple[Tensor | None, Tensor | None]] = []  # sparse rows, and the copy
        self._squares: list[tuple[int, Tensor]] = []  # of activations: layer, mean square
        self._modules = [
            model if name == "model" else model.get_submodule(name)
            for name in (self.layers if activations else ())
        ]
        self._hooks: list[Any] = []

    def remove(self) -> None:
        """Remove the hooks of the modules."""
        for hook in self._hooks:
            hook.remove()
        self._hooks = []

    @property
    def copied_bytes(self) -> int:
        """The memory that the copies of the weights take, without the rows of tables."""
        weights = [_own(one) for one in self._parameters if id(one) not in self._tables]
        return sum(one.numel() * one.element_size() for one in weights)

    def has_room(self) -> bool:
        """Whether the copies of the weights fit into COPY_SHARE of the free memory."""
        free = psutil.virtual_memory().available
        if self._parameters and self._parameters[0].device.type == "cuda":
            free, _ = torch.cuda.mem_get_info(self._parameters[0].device)
        return self.copied_bytes <= COPY_SHARE * free

    def begin(self) -> None:
        """Begin a measurement: the forward passes from here on give the activations."""
        self.seconds = 0.0
        with self._timing():
            self.remove()
            self._squares.clear()
            self._hooks = [
                module.register_forward_hook(partial(self._listen, layer))
                for layer, module in enumerate(self._modules)
            ]

    @torch.no_grad()
    def before_update(self, copy: bool = True) -> None:
        """Measure gradients and weights; with `copy`, copy the weights to measure the updates."""
        with self._timing():
            self.remove()
            weights, gradients, self._before = [], [], []
            for parameter in self._parameters:
                weight = _own(parameter)
                rows, gradient = _split(parameter.grad)
                gradients.append(None if gradient is None else _norm(gradient))
                weights.append(_norm(weight) if rows is None else _estimate_norm(weight))
                kept = None
                if copy and gradient is not None:
                    kept = weight.clone() if rows is None else weight[rows]
                self._before.append((rows, kept))
            self._found = {"weights": self._sum_up(weights), "gradients": self._sum_up(gradients)}

    @torch.no_grad()
    def after_update(self) -> NormsByKind:
        """Measure the updates, and return all norms of the step."""
        with self._timing():
            updates: list[Tensor | None] = []
            for parameter, (rows, kept) in zip(self._parameters, self._before, strict=True):
                weight = _own(parameter)
                now = weight if rows is None else weight[rows]
                updates.append(None if kept is None else _norm(now - kept))
            gradients = self._found["gradients"]
            if any(kept is not None for _, kept in self._before):
                self._found["updates"] = self._sum_up(updates)
                for layer in self._resting(updates):
                    if gradients[layer]:
                        self._found["updates"][layer] = 0.0
            self._before = []
            if self._squares:
                self._found["activations"] = self._average_squares()
        return self._found

    def _resting(self, updates: Sequence[Tensor | None]) -> set[int]:
        """The layers with a matrix that has not changed."""
        matrices = [
            (layer, update)
            for layer, parameter, update in zip(
                self._layer_of, self._parameters, updates, strict=True
            )
            if update is not None and parameter.ndim >= 2
        ]
        changes = _read([update for _, update in matrices])
        return {layer for (layer, _), change in zip(matrices, changes, strict=True) if not change}

    def _sum_up(self, norms: Sequence[Tensor | None]) -> list[float | None]:
        """The norms of the layers, from those of their parameters."""
        known = [at for at, norm in enumerate(norms) if norm is not None]
        values = _read([norm for norm in norms if norm is not None])
        squares: list[float | None] = [None] * len(self.layers)
        for at, value in zip(known, values, strict=True):
            layer = self._layer_of[at]
            squares[layer] = (squares[layer] or 0.0) + value * value
        return [None if square is None else square**0.5 for square in squares]

    def _listen(self, layer: int, module: nn.Module, inputs: Any, output: Any) -> None:
        """Note the mean square of what a layer returns: the first tensor of several."""
        with torch.no_grad(), self._timing():
            values = output if isinstance(output, Tensor) else next(_tensors(output), None)
            if values is not None and values.is_floating_point() and values.numel():
                square = _norm(values.detach()).square() / values.numel()
                self._squares.append((layer, square))

    def _average_squares(self) -> list[float | None]:
        """The root mean square of each layer, over all of its calls."""
        squares: list[list[float]] = [[] for _ in self.layers]
        values = _read([square for _, square in self._squares])
        for (layer, _), value in zip(self._squares, values, strict=True):
            squares[layer].append(value)
        return [(sum(each) / len(each)) ** 0.5 if each else None for each in squares]

    @contextmanager
    def _timing(self) -> Iterator[None]:
        begin = time.perf_counter()
        try:
            yield
        finally:
            self.seconds += time.perf_counter() - begin


class NormRecorder:
    """Measures the norms of a training at some of its steps: every so many, or as often as takes
    TIME_SHARE of its time.

    Call `begin` before the forward pass of a step, `before_update` and `after_update` around the
    optimiser of each module, `finish` with the time of the step.
    """

    def __init__(
        self,
        modules: Mapping[str, nn.Module],
        every: int,
        write: Callable[[int, dict[str, float]], None],
        print_line: Callable[[str], None],
        multiple: int = 1,
        activations: bool = True,
    ) -> None:
        """`every` is the number of steps between two measurements, 0 to choose it; if more than 1
        is chosen, only multiples of `multiple` are measured. `write` takes a step and its norms by
        `KIND/LAYER`."""
        self._meters = {name: NormMeter(one, activations) for name, one in modules.items()}
        self._write, self._print_line = write, print_line
        self._every, self._multiple = every, multiple
        self._measuring = self._copying = self._said = False
        self._norms: dict[str, float] = {}
        self._last = 0  # step that was measured
        self._costs: deque[float] = deque(maxlen=5)  # of the last measurements, in seconds
        self.spent = 0.0
        """Seconds that all measurements have taken."""
        self._steps, self._seconds = 0, 0.0  # of all steps, without their measurements

    @property
    def copied_bytes(self) -> int:
        """The memory that a measured step takes for copies of the weights."""
        return sum(meter.copied_bytes for meter in self._meters.values())

    def remove(self) -> None:
        """Remove the hooks of the modules."""
        for meter in self._meters.values():
            meter.remove()

    def begin(self, step: int) -> None:
        """Begin the step that is recorded as `step`, counted from 1."""
        self._measuring, self._norms = self._is_due(step), {}
        if self._measuring:
            self._copying = all(meter.has_room() for meter in self._meters.values())
            if not self._copying and not self._said:
                self._said = True
                self._print_line("norms by layer: no memory for the copies that updates need")
            for meter in self._meters.values():
                meter.begin()

    def before_update(self, name: str) -> None:
        """Measure a module whose gradients are there."""
        if self._measuring:
            self._meters[name].before_update(self._copying)

    def after_update(self, name: str) -> None:
        """Measure a module whose weights have changed."""
        if self._measuring:
            meter = self._meters[name]
            found = meter.after_update()
            prefix = f"{name}." if name else ""
            weights = found["weights"]
            for kind, values in found.items():
                for layer, value, weight in zip(meter.layers, values, weights, strict=True):
                    if kind == "updates" and value is not None:
                        value = value / weight if weight else None
                    if value is not None and math.isfinite(value):
                        self._norms[f"{kind}/{prefix}{layer}"] = value

    def finish(self, step: int, seconds: float) -> None:
        """End the step, which has taken so long with its measurement."""
        cost = 0.0
        if self._measuring:
            begin = time.perf_counter()
            self._write(step, self._norms)
            cost = sum(meter.seconds for meter in self._meters.values())
            self._costs.append(cost + time.perf_counter() - begin)
            self.spent += self._costs[-1]
            self._last, self._measuring = step, False
        self._steps += 1
        if self._steps > 1:  # the first one also allocates memory
            self._seconds += seconds - cost

    def _is_due(self, step: int) -> bool:
        """Whether the norms of a step are measured."""
        if self._every:
            return step % self._every == 0
        if self._steps < WARM_UP:
            return False
        every = max(1, step // RECORDS)
        if self._costs:
            cost = sorted(self._costs)[len(self._costs) // 2]
            if self.spent + cost > TIME_SHARE * self._seconds:
                return False
            every = max(every, math.ceil(cost * (self._steps - 1) / self._seconds / TIME_SHARE))
        rests = every > 1 and step % self._multiple != 0
        return not rests and (not self._costs or step - self._last >= every)


def _own(parameter: Tensor) -> Tensor:
    """A parameter without its gradient; of a DTensor the rows of this process."""
    local: Any = parameter.detach()
    return local.to_local() if hasattr(local, "to_local") else local


def _split(gradient: Tensor | None) -> tuple[Tensor | None, Tensor | None]:
    """The rows and the values of a sparse gradient; None and the gradient of a dense one."""
    if gradient is None or not gradient.is_sparse:
        return None, None if gradient is None else _own(gradient)
    whole = gradient.coalesce()
    return whole.indices()[0], whole.values()


def _norm(tensor: Tensor) -> Tensor:
    """The Euclidean norm, in fp32."""
    return torch.linalg.vector_norm(tensor, dtype=torch.promote_types(tensor.dtype, torch.float32))


def _estimate_norm(table: Tensor) -> Tensor:
    """The norm of a table from some of its rows, the same ones each time."""
    if len(table) <= SAMPLED_ROWS:
        return _norm(table)
    generator = torch.Generator().manual_seed(0)  # not torch's own, which the training uses
    rows = torch.randint(len(table), (SAMPLED_ROWS,), generator=generator).to(table.device)
    return _norm(table[rows]) * (len(table) / SAMPLED_ROWS) ** 0.5


def _read(values: Sequence[Tensor]) -> list[float]:
    """The values of scalars; the device is waited for once."""
    if not values:
        return []
    device = values[0].device
    return torch.stack([value.to(device, torch.float32) for value in values]).tolist()


def _tensors(output: Any) -> Iterator[Tensor]:
    """The tensors of a tuple, a list or a dict."""
    values = output.values() if isinstance(output, dict) else output
    if isinstance(output, dict | tuple | list):
        yield from (value for value in values if isinstance(value, Tensor))
