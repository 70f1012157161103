"""The optimisers of a training, the schedule of their rates, and the average of the weights."""

import copy
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn

from genui.engine.device import multiplies_bf16
from genui.engine.train.schedule import Schedule
from genui.engine.train.task import Player
from genui.engine.train.world import World
from genui.recipes import Recipe

# --- Optimisers and the learning rate schedule ------------------------------------------------

RATE = "learning_rate"
"""The key of the base learning rate in checkpoints."""


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
# `genui.engine.train.shard` makes them DTensors, of which each rank has some consecutive rows. The
# gradient, the moments and the average of a parameter are divided in the same way.


def is_shared(tensor: Tensor) -> bool:
    """Whether a tensor is a DTensor. A single process does not import their module."""
    return hasattr(tensor, "full_tensor")


def share_like(parameter: Tensor, whole: Tensor) -> Tensor:
    """The DTensor with this rank's rows of a whole tensor that belongs to a parameter; the tensor
    itself if it has no rows or the parameter is not shared out."""
    if not whole.ndim or not is_shared(parameter):
        return whole
    from torch.distributed.tensor import (
        distribute_tensor,  # late: a process alone has no use for it
    )

    like: Any = parameter
    own = whole.to(parameter.device)
    return distribute_tensor(own, like.device_mesh, like.placements, src_data_rank=None)


def gather_whole(tensor: Tensor) -> Tensor:
    """All rows of a tensor, on every rank: all of them call it."""
    shared: Any = tensor
    return shared.full_tensor() if is_shared(tensor) else tensor


# --- Optimisers -------------------------------------------------------------------------------


class Muon(torch.optim.Muon):
    """Muon (Jordan et al. 2024) that may rest: then the momentum takes in the gradients, and the
    matrices do not change.

    Of several ranks that have whole matrices each orthogonalises some of them.
    """

    def __init__(self, groups: Any, world: World) -> None:
        super().__init__(groups)
        self._world = world
        self._matrices = [each for group in self.param_groups for each in group["params"]]
        costs = [each.numel() * min(each.shape) for each in self._matrices]
        self._owners = deal(costs, world.size)
        device = self._matrices[0].device.type
        # It is measured: on a busy machine ranks may find otherwise, and exchange other bytes.
        self._in_bf16 = world.broadcast(lambda: multiplies_bf16(device))

    def rest(self, matrices: Iterable[Tensor] | None = None) -> None:
        """Let the momentum of the matrices, by default of all, take in their gradients."""
        for matrix in self._matrices if matrices is None else matrices:
            if matrix.grad is not None:
                state = self.state[matrix]
                if not state:
                    state["momentum_buffer"] = torch.zeros_like(matrix.grad)
                state["momentum_buffer"].lerp_(matrix.grad, 1 - self.defaults["momentum"])

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:
        if self._world.size == 1 or is_shared(self._matrices[0]):
            self._change()
            return
        changed = [(m, of) for m, of in zip(self._matrices, self._owners, strict=True)
                   if m.grad is not None]  # fmt: skip
        others = [matrix for matrix, owner in changed if owner != self._world.rank]
        self.rest(others)
        for matrix in others:
            matrix.grad = None  # the step leaves it out
        self._change()
        self._world.spread([matrix.detach() for matrix, _ in changed], [of for _, of in changed])

    def _change(self) -> None:
        """torch's step. It orthogonalises in bf16, which takes a processor without instructions
        for it some 70 times as long as fp32: there the same is done in fp32."""
        if self._in_bf16:
            super().step()
            return
        for group in self.param_groups:
            changed = [matrix for matrix in group["params"] if matrix.grad is not None]
            self.rest(changed)
            for matrix in changed:
                momentum = self.state[matrix]["momentum_buffer"]
                update = matrix.grad.lerp(momentum, group["momentum"])
                update = orthogonalise(
                    update, group["ns_coefficients"], group["ns_steps"], group["eps"]
                )
                matrix.mul_(1 - group["lr"] * group["weight_decay"])
                stretch = max(1, matrix.shape[0] / matrix.shape[1]) ** 0.5
                matrix.sub_(update, alpha=group["lr"] * stretch)


def orthogonalise(
    matrix: Tensor, coefficients: tuple[float, float, float], steps: int, eps: float
) -> Tensor:
    """The nearest orthogonal matrix, about: singular values become 0.7 to 1.2 (Newton–Schulz
    iterations of the quintic of Jordan et al. 2024), in the dtype of the matrix."""
    a, b, c = coefficients
    is_tall = matrix.shape[0] > matrix.shape[1]
    x = matrix.T if is_tall else matrix
    x = x / x.norm().clamp(min=eps)
    for _ in range(steps):
        gram = x @ x.T
        x = torch.addmm(x, torch.addmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x.T if is_tall else x


def deal(costs: Sequence[float], count: int) -> list[int]:
    """Assign tasks to `count` workers, the costliest first, each to the least busy (the LPT rule of
    Graham 1969); returns the worker of each task."""
    busy = [0.0] * count
    owners = [0] * len(costs)
    for task in sorted(range(len(costs)), key=lambda task: -costs[task]):
        owners[task] = busy.index(min(busy))
        busy[owners[task]] += costs[task]
    return owners


class RowRMSProp(torch.optim.Optimizer):
    """RMSProp (Tieleman & Hinton 2012) on tables with sparse gradients, with one scale for a row.

    Only the rows that a step has read change, and their scales.
    """

    EPS = 1e-8

    def __init__(self, groups: Any, decay: float) -> None:
        super().__init__(groups, {"decay": decay})

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            for table in group["params"]:
                if table.grad is not None:
                    self._update(table, group["lr"], group["decay"])

    def _update(self, table: Tensor, rate: float, decay: float) -> None:
        assert table.grad is not None
        gradient, state = table.grad.coalesce(), self.state[table]
        rows, values = gradient.indices()[0], gradient.values()
        if not state:
            state["step"] = torch.zeros((), dtype=torch.float64)
            state["square"] = torch.zeros(len(table), device=table.device)
        state["step"] += 1
        square = state["square"][rows].lerp_(values.square().mean(dim=1), 1 - decay)
        state["square"][rows] = square
        scale = (square / (1 - decay ** float(state["step"]))).sqrt_().add_(self.EPS)
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
        world: World | None = None,
        schedule: Schedule | None = None,
    ) -> None:
        """Without a `schedule` it is the recipe's."""
        self._recipe, self._world = recipe, world or World()
        self._schedule = schedule or Schedule(recipe)
        self.learning_rate = recipe.learning_rate
        self._of = {player.name: self._build(player) for player in players}
        self._all = {name: each for of in self._of.values() for name, each in of.items()}

    def _build(self, player: Player) -> dict[str, torch.optim.Optimizer]:
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
        groups = [_group(rest, base, decay), _group(embeddings, base * scale)]
        betas = (recipe.beta1, recipe.beta2)
        optimizers: dict[str, torch.optim.Optimizer] = {
            player.metric("adamw"): torch.optim.AdamW(groups, betas=betas)
        }
        if hidden:
            group = _group(hidden, recipe.muon_rate * recipe.muon_every, decay)
            optimizers[player.metric("muon")] = Muon([group], self._world)
        if tables:
            group = _group(tables, getattr(recipe, "ngram_rate", base))
            optimizers[player.metric("rows")] = RowRMSProp([group], recipe.beta2)
        return optimizers

    def due(self, step: int) -> float:
        """AdamW's learning rate at `step`, by the schedule."""
        return self.learning_rate * rate_factor(self._schedule.place(step), self._recipe)

    def step(self, step: int, player: Player) -> None:
        """Apply a player's gradients with the learning rates of `step`, and clear them. Muon's
        matrices change at every `muon_every`-th step only, so many times as far."""
        factor = self.due(step) / self._recipe.learning_rate
        rests = (step + 1) % self._recipe.muon_every != 0
        for optimizer in self._of[player.name].values():
            for group in optimizer.param_groups:
                group["lr"] = factor * group["initial_lr"]
            if rests and isinstance(optimizer, Muon):
                optimizer.rest()
            else:
                optimizer.step()
            optimizer.zero_grad()

    def state(self) -> dict[str, Tensor]:
        """All state tensors by `<optimiser>.<parameter>.<name>`, and the learning rate. The tensors
        of a parameter that is divided among processes are DTensors."""
        slots = {
            f"{kind}.{index}.{name}": value
            for kind, optimizer in self._all.items()
            for index, slots in optimizer.state_dict()["state"].items()
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
            parameters = [each for of in self._all[kind].param_groups for each in of["params"]]
            if int(index) >= len(parameters):
                raise KeyError(key)
            parameter = parameters[int(index)]
            if value.ndim and value.shape[0] != parameter.shape[0]:
                raise ValueError(f"{name} {list(value.shape)} for {list(parameter.shape)}")
            slots[kind].setdefault(int(index), {})[name] = share_like(parameter, value)
        for kind, optimizer in self._all.items():
            optimizer.load_state_dict({**optimizer.state_dict(), "state": slots[kind]})


def _group(parameters: list[nn.Parameter], rate: float, weight_decay: float = 0.0) -> dict:
    """Parameters with the same settings; `rate` is their learning rate before the schedule."""
    return {"params": parameters, "lr": rate, "initial_lr": rate, "weight_decay": weight_decay}


def gradient_norm(parameters: Iterable[nn.Parameter], limit: float) -> float:
    """Clip the gradients to a total norm of `limit`. Returns the norm before clipping.

    Sparse gradients are left out: RowRMSProp does not depend on their scale.
    """
    dense = [p for p in parameters if p.grad is not None and not p.grad.is_sparse]
    return float(gather_whole(nn.utils.clip_grad_norm_(dense, limit)))


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
        tables = sparse_tables(model)
        for table, average_table in zip(tables, sparse_tables(self.model), strict=True):
            if average_table is not table:
                average_table.data = table.data
        self._averages = [
            (new, of)
            for new, of in zip(model.parameters(), self.model.parameters(), strict=True)
            if decay and not any(new is table for table in tables)
        ]

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Update with the model's weights after `step`, counted from 0."""
        decay = min(self.decay, (1 + step) / (10 + step))
        for new, average in self._averages:
            average.lerp_(new, 1 - decay)
