"""The optimisers of a training, the schedule of their rates, and the average of the weights."""

import copy
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.autograd.profiler import record_function

from genui.engine.train.schedule import Schedule
from genui.engine.train.task import Player
from genui.engine.utilization import OPTIMIZER_STEP
from genui.recipes import Recipe

# --- Optimisers and the learning rate schedule ------------------------------------------------

RATE = "learning_rate"
"""The key of the base learning rate in checkpoints; old ones do not have it."""


def rate_factor(step: float, recipe: Recipe) -> float:
    """The factor of the learning rate at a place of the schedule: linear warm-up, constant, then
    linear to zero."""
    if step < recipe.warmup:
        return (step + 1) / recipe.warmup
    start = recipe.decay_from * recipe.steps
    if step < start:
        return 1.0
    return max(0.0, (recipe.steps - step) / max(1.0, recipe.steps - start))


# --- Parameters that are shared out over processes --------------------------------------------
# `genui.engine.train.shard` makes them DTensors, of which each rank has some consecutive rows. What
# belongs to a parameter (its gradient, its moments, its average) is shared out in the same way.


def is_shared(tensor: Tensor) -> bool:
    """Whether a tensor is a DTensor. A single process does not import their module."""
    return hasattr(tensor, "to_local")


def local(tensor: Tensor) -> Tensor:
    """This rank's rows of a tensor that is shared out, which have its memory; else the tensor."""
    return _dtensor(tensor).to_local() if is_shared(tensor) else tensor


def rows_of(count: int, rank: int, size: int) -> slice:
    """Which of `count` rows a rank has, as `torch.chunk` cuts them."""
    most = -(-count // size)
    return slice(min(count, rank * most), min(count, (rank + 1) * most))


def own_rows(like: Tensor, whole: Tensor) -> Tensor:
    """A copy of this rank's rows of a whole tensor that belongs to the parameter `like`; the tensor
    itself if it has no rows or the parameter is not shared out."""
    if not whole.ndim or not is_shared(like):
        return whole
    mesh = _dtensor(like).device_mesh
    return whole[rows_of(len(whole), mesh.get_local_rank(), mesh.size())].clone()


def join_rows(like: Tensor, rows: Tensor) -> Tensor:
    """The DTensor of which these are the rows of this rank; it belongs to the parameter `like`. The
    tensor itself if it has no rows or the parameter is not shared out."""
    if not rows.ndim or not is_shared(like):
        return rows
    parameter, shape = _dtensor(like), torch.Size((len(like), *rows.shape[1:]))
    return type(parameter.data).from_local(
        rows,
        parameter.device_mesh,
        parameter.placements,
        run_check=False,
        shape=shape,
        stride=torch.empty(shape, device="meta").stride(),
    )


def gather_whole(tensor: Tensor) -> Tensor:
    """All rows of a tensor, on every rank: all of them call it."""
    return _dtensor(tensor).full_tensor() if is_shared(tensor) else tensor


def _dtensor(tensor: Tensor) -> Any:
    return tensor


# --- Optimisers -------------------------------------------------------------------------------

Map = Callable[
    [Callable[[Tensor], Tensor], Iterable[Tensor], Sequence[torch.Size]], Iterable[Tensor]
]
"""Computes a function of matrices, of which it gets this rank's rows and the whole shapes; returns
this rank's rows of the results. It may spread the work over processes."""


def compute_here(
    function: Callable[[Tensor], Tensor], values: Iterable[Tensor], shapes: Sequence[torch.Size]
) -> Iterable[Tensor]:
    """The Map of a single process."""
    return map(function, values)


@dataclass(eq=False)
class Group:
    """Parameters with the same settings. `rate` is their learning rate before the schedule."""

    parameters: list[nn.Parameter]
    rate: float
    weight_decay: float = 0.0


class Entry(NamedTuple):
    """A parameter that has a gradient. Of one that is shared out these are the rows of this rank,
    apart from `shape`."""

    weights: Tensor
    gradient: Tensor
    state: dict[str, Tensor]  # empty at first
    shape: torch.Size


class Optimizer:
    """The base of the optimisers here: parameters in groups, and a state for each of them.

    Those of `torch.optim` compute the same, but their first use imports torch's compiler, which
    takes as long as importing torch: in a training of ten seconds, one of them.
    """

    def __init__(self, groups: Sequence[Group]) -> None:
        self.groups = groups
        self.parameters = [each for group in groups for each in group.parameters]
        self.state: list[dict[str, Tensor]] = [{} for _ in self.parameters]

    @torch.no_grad()
    def step(self, factor: float, step: int) -> None:
        """Apply the gradients of step `step` with `factor` times the rates of the groups."""
        states = iter(self.state)
        for group in self.groups:
            entries = [
                Entry(local(each), local(each.grad), state, each.shape)
                for each, state in zip(group.parameters, states, strict=False)
                if each.grad is not None
            ]
            if entries:
                self.update(group, factor * group.rate, entries)

    def update(self, group: Group, rate: float, entries: list[Entry]) -> None:
        """Update parameters and their states."""
        raise NotImplementedError

    def zero_grad(self) -> None:
        for parameter in self.parameters:
            parameter.grad = None

    def load(self, state: Mapping[int, dict[str, Tensor]]) -> None:
        """Restore the states by index. Raises KeyError or ValueError for another model's."""
        for index, slots in state.items():
            if index >= len(self.parameters):
                raise KeyError(index)
            parameter = self.parameters[index]
            for name, value in slots.items():
                if value.ndim and value.shape[0] != parameter.shape[0]:
                    raise ValueError(f"{name} {list(value.shape)} for {list(parameter.shape)}")
            self.state[index] = {
                name: own_rows(parameter, value).to(parameter.device)
                for name, value in slots.items()
            }


class AdamW(Optimizer):
    """AdamW (Loshchilov & Hutter 2019), to the bits of `torch.optim.AdamW` on a CPU."""

    EPS = 1e-8

    def __init__(self, groups: Sequence[Group], betas: tuple[float, float]) -> None:
        super().__init__(groups)
        self.betas = betas

    def update(self, group: Group, rate: float, entries: list[Entry]) -> None:
        for weights, _, state, _ in entries:
            if not state:
                state["step"] = torch.zeros((), device=weights.device)
                state["exp_avg"] = torch.zeros_like(weights)
                state["exp_avg_sq"] = torch.zeros_like(weights)
        if entries[0].weights.is_cuda:
            self._fused(group, rate, entries)
            return
        beta1, beta2 = self.betas
        for weights, gradient, state, _ in entries:
            first, second = state["exp_avg"], state["exp_avg_sq"]
            state["step"] += 1
            step = float(state["step"])
            if group.weight_decay:
                weights.mul_(1 - rate * group.weight_decay)
            first.lerp_(gradient, 1 - beta1)
            second.mul_(beta2).addcmul_(gradient, gradient, value=1 - beta2)
            deviation = (second.sqrt() / (1 - beta2**step) ** 0.5).add_(self.EPS)
            weights.addcdiv_(first, deviation, value=-(rate / (1 - beta1**step)))

    def _fused(self, group: Group, rate: float, entries: list[Entry]) -> None:
        """One kernel for all parameters. Never run on a GPU so far."""
        from torch.optim.adamw import adamw  # late: only where its compiler matters little

        for each in entries:
            each.state["step"] = each.state["step"].to(each.weights.device)
        adamw(
            [each.weights for each in entries],
            [each.gradient for each in entries],
            [each.state["exp_avg"] for each in entries],
            [each.state["exp_avg_sq"] for each in entries],
            [],
            [each.state["step"] for each in entries],
            fused=True,
            amsgrad=False,
            beta1=self.betas[0],
            beta2=self.betas[1],
            lr=rate,
            weight_decay=group.weight_decay,
            eps=self.EPS,
            maximize=False,
        )


class Muon(Optimizer):
    """Muon (Jordan et al. 2024) with Nesterov momentum, to the bits of `torch.optim.Muon` with
    `adjust_lr_fn="original"`.

    With `every` of k the matrices change at every k-th step only, k times as far; the momentum
    takes in all gradients.
    """

    MOMENTUM = 0.95
    EPS = 1e-7
    ITERATIONS = 5
    COEFFICIENTS = (3.4445, -4.7750, 2.0315)

    def __init__(
        self, groups: Sequence[Group], every: int = 1, share_out: Map = compute_here
    ) -> None:
        """`share_out` may spread the matrices over processes."""
        super().__init__(groups)
        self.every, self._rests = every, False
        self._share_out = share_out

    def step(self, factor: float, step: int) -> None:
        self._rests = (step + 1) % self.every != 0
        super().step(factor, step)

    def update(self, group: Group, rate: float, entries: list[Entry]) -> None:
        rate *= self.every
        for _, gradient, state, _ in entries:
            if not state:
                state["momentum_buffer"] = torch.zeros_like(gradient)
            state["momentum_buffer"].lerp_(gradient, 1 - self.MOMENTUM)
        if self._rests:
            return
        directions = (
            gradient.lerp(state["momentum_buffer"], self.MOMENTUM).bfloat16()
            for _, gradient, state, _ in entries
        )
        shapes = [each.shape for each in entries]
        updates = self._share_out(self.orthogonalize, directions, shapes)
        for (matrix, _, _, (rows, columns)), update in zip(entries, updates, strict=True):
            matrix.mul_(1 - rate * group.weight_decay)
            matrix.add_(update, alpha=-(rate * math.sqrt(max(1, rows / columns))))

    def orthogonalize(self, matrix: Tensor) -> Tensor:
        """A matrix with the same singular vectors and singular values of about one, bf16: Newton
        and Schulz's iteration, which is cheaper than a decomposition."""
        a, b, c = self.COEFFICIENTS
        tall = matrix.shape[0] > matrix.shape[1]
        x = matrix.bfloat16()
        x = x.T if tall else x
        x = x / x.norm().clamp(min=self.EPS)
        for _ in range(self.ITERATIONS):
            gram = x @ x.T
            x = torch.addmm(x, torch.addmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
        return x.T if tall else x


class RowRMSProp(Optimizer):
    """RMSProp (Tieleman & Hinton 2012) on tables with sparse gradients, with one scale for a row.

    Only the rows that a step has read change, and their scales.
    """

    EPS = 1e-8

    def __init__(self, groups: Sequence[Group], decay: float) -> None:
        super().__init__(groups)
        self.decay = decay

    def update(self, group: Group, rate: float, entries: list[Entry]) -> None:
        for table, gradient, state, _ in entries:
            gradient = gradient.coalesce()
            rows, values = gradient.indices()[0], gradient.values()
            if not state:
                state["step"] = torch.zeros((), dtype=torch.float64, device=table.device)
                state["square"] = torch.zeros(len(table), device=table.device)
            state["step"] += 1
            square = state["square"][rows].lerp_(values.square().mean(dim=1), 1 - self.decay)
            state["square"][rows] = square
            scale = (square / (1 - self.decay ** float(state["step"]))).sqrt_().add_(self.EPS)
            table.index_add_(0, rows, values / scale[:, None], alpha=-rate)


def sparse_tables(model: nn.Module) -> list[nn.Parameter]:
    """The embeddings with sparse gradients."""
    kinds = (nn.Embedding, nn.EmbeddingBag)
    parts = [part for part in model.modules() if isinstance(part, kinds) and part.sparse]
    return [cast("nn.Parameter", part.weight) for part in parts]


class Optimizers:
    """Muon for the matrices inside blocks, RowRMSProp for tables with sparse gradients, AdamW for
    everything else.

    Muon orthogonalises the momentum of a matrix, which suits hidden matrices but not embeddings,
    heads or vectors. With `muon_rate=0` AdamW trains them all.

    Every player has its own optimisers. `learning_rate` is AdamW's, before the schedule. Setting it
    scales the rates of all optimisers by the same factor.
    """

    def __init__(
        self,
        players: Sequence[Player],
        recipe: Recipe,
        share_out: Map = compute_here,
        schedule: Schedule | None = None,
    ) -> None:
        """`share_out` as in Muon; without a `schedule` it is that of the recipe."""
        self._recipe, self._share_out = recipe, share_out
        self._schedule = schedule or Schedule(recipe)
        self.learning_rate = recipe.learning_rate
        self._of = {player.name: self._build(player) for player in players}
        self._all = {name: each for of in self._of.values() for name, each in of.items()}

    def _build(self, player: Player) -> dict[str, Optimizer]:
        """Build the optimisers of a player, by name."""
        recipe, model = self._recipe, player.module
        hidden, embeddings, rest = [], [], []
        tables = sparse_tables(model)
        for name, parameter in model.named_parameters():
            if any(parameter is table for table in tables):
                continue
            if recipe.muon_rate > 0 and parameter.ndim == 2 and "blocks." in name:
                hidden.append(parameter)
            elif "embedding" in name:
                embeddings.append(parameter)
            else:
                rest.append(parameter)
        scale = max(getattr(part, "EMBEDDING_RATE", 1.0) for part in model.modules())
        base, decay = recipe.learning_rate, recipe.weight_decay
        groups = [Group(rest, base, decay), Group(embeddings, base * scale)]
        betas = (recipe.beta1, recipe.beta2)
        optimizers: dict[str, Optimizer] = {player.metric("adamw"): AdamW(groups, betas)}
        if hidden:
            group = Group(hidden, recipe.muon_rate, decay)
            optimizers[player.metric("muon")] = Muon([group], recipe.muon_every, self._share_out)
        if tables:
            group = Group(tables, getattr(recipe, "ngram_rate", base))
            optimizers[player.metric("rows")] = RowRMSProp([group], recipe.beta2)
        return optimizers

    def due(self, step: int) -> float:
        """AdamW's learning rate at `step`, by the schedule."""
        return self.learning_rate * rate_factor(self._schedule.place(step), self._recipe)

    def step(self, step: int, player: Player) -> None:
        """Apply a player's gradients with the learning rates of `step`, and clear them."""
        factor = rate_factor(self._schedule.place(step), self._recipe)
        factor *= self.learning_rate / self._recipe.learning_rate
        with record_function(OPTIMIZER_STEP):  # for `genui bench --profile`
            for optimizer in self._of[player.name].values():
                optimizer.step(factor, step)
                optimizer.zero_grad()

    def state(self) -> dict[str, Tensor]:
        """All state tensors by `<optimiser>.<parameter>.<name>`, and the learning rate. Those of a
        parameter that is shared out are DTensors."""
        slots = {
            f"{kind}.{index}.{name}": join_rows(optimizer.parameters[index], value)
            for kind, optimizer in self._all.items()
            for index, slots in enumerate(optimizer.state)
            for name, value in slots.items()
        }
        return {RATE: torch.tensor(self.learning_rate, dtype=torch.float64), **slots}

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Restore what `state` returned. Raises KeyError or ValueError for another model's."""
        slots: dict[str, dict[int, dict[str, Tensor]]] = {kind: {} for kind in self._all}
        for key, value in state.items():
            if key == RATE:
                self.learning_rate = float(value)
                continue
            kind, index, name = key.split(".")
            slots[kind].setdefault(int(index), {})[name] = value
        for kind, optimizer in self._all.items():
            optimizer.load(slots[kind])


def gradient_norm(parameters: Iterable[nn.Parameter], limit: float) -> float:
    """Clip the gradients to a total norm of `limit`. Returns the norm before clipping.

    Sparse gradients are left out: RowRMSProp does not depend on their scale.
    """
    dense = [p for p in parameters if p.grad is not None and not p.grad.is_sparse]
    return float(nn.utils.clip_grad_norm_(dense, limit))


class EMA:
    """An exponential moving average of the weights, in `model`. It generates better than the raw
    weights. The decay rises to `decay` over the first steps.

    Tables with sparse gradients are not averaged but shared with the model: averaging all of their
    rows would take longer than a step.
    """

    def __init__(self, model: nn.Module, decay: float, average: nn.Module | None = None) -> None:
        """`average` is a copy of the model that gets the average, one with this rank's rows if the
        model is shared out; else one is made."""
        self.decay = decay
        # Without an average a copy would only take memory.
        self.model = model
        if average is not None or decay:
            self.model = copy.deepcopy(model) if average is None else average
        if self.model is not model:
            self.model.eval().requires_grad_(False)
        for table, average_table in zip(
            sparse_tables(model), sparse_tables(self.model), strict=True
        ):
            if average_table is not table:
                average_table.data = table.data

    @torch.no_grad()
    def update(self, model: nn.Module, step: int) -> None:
        """Update with the model's weights after `step`, counted from 0."""
        if self.model is model:
            return
        decay = min(self.decay, (1 + step) / (10 + step))
        for average, new in zip(self.model.parameters(), model.parameters(), strict=True):
            rows = local(new)
            if average.data_ptr() != rows.data_ptr():
                average.lerp_(rows, 1 - decay)
