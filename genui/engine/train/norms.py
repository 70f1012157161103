"""Norms by layer: of weights, gradients and updates, and the scale of activations."""

import time
from collections.abc import Iterator, Sequence
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
        """With `activations`, the modules have hooks until `remove`."""
        groups = group_parameters(model)
        self.layers = tuple(groups)
        self.seconds = 0.0
        """The time of the last measurement, with the time that it waited for the device."""
        self._parameters = [one for group in groups.values() for one in group]
        self._layer_of = [at for at, group in enumerate(groups.values()) for _ in group]
        self._found: NormsByKind = {}
        self._before: list[tuple[Tensor | None, Tensor | None]] = []  # sparse rows, and the copy
        self._listening = False
        self._squares: list[tuple[int, Tensor]] = []  # of activations: layer, mean square
        self._hooks: list[Any] = []
        for at, name in enumerate(self.layers if activations else ()):
            module = model if name == "model" else model.get_submodule(name)
            self._hooks.append(module.register_forward_hook(partial(self._listen, at)))

    def remove(self) -> None:
        """Remove the hooks of the modules."""
        for hook in self._hooks:
            hook.remove()

    @property
    def copied_bytes(self) -> int:
        """The most memory that the copies of the weights take, if no gradient is sparse."""
        return sum(one.numel() * one.element_size() for one in map(_own, self._parameters))

    def has_room(self) -> bool:
        """Whether the copies of the weights fit into COPY_SHARE of the free memory."""
        free = psutil.virtual_memory().available
        if self._parameters and self._parameters[0].device.type == "cuda":
            free, _ = torch.cuda.mem_get_info(self._parameters[0].device)
        return self.copied_bytes <= COPY_SHARE * free

    def begin(self) -> None:
        """Begin a measurement: the forward passes from here on give the activations."""
        self.seconds, self._listening = 0.0, True
        self._squares.clear()

    @torch.no_grad()
    def before_update(self, copy: bool = True) -> None:
        """Measure gradients and weights; with `copy`, copy the weights to measure the updates."""
        with self._timing():
            self._listening = False
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
        if not self._listening:
            return
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
