"""Parts of a training step: optimisers, EMA, the order of examples, and augmentation."""

import copy
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, cast

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.optim import Optimizer

from genui.engine.train.task import Player
from genui.recipes import Recipe

# --- Optimisers and the learning rate schedule ------------------------------------------------

RATE = "learning_rate"
"""The key of the base learning rate in checkpoints; old ones do not have it."""


def rate_factor(step: int, recipe: Recipe) -> float:
    """The factor of the learning rate at `step`: linear warm-up, constant, then linear to zero."""
    if step < recipe.warmup:
        return (step + 1) / recipe.warmup
    start = recipe.decay_from * recipe.steps
    if step < start:
        return 1.0
    return max(0.0, (recipe.steps - step) / max(1.0, recipe.steps - start))


def _tables(model: nn.Module) -> list[nn.Parameter]:
    """The embeddings with sparse gradients."""
    kinds = (nn.Embedding, nn.EmbeddingBag)
    parts = [part for part in model.modules() if isinstance(part, kinds) and part.sparse]
    return [cast("nn.Parameter", part.weight) for part in parts]


class RowAdam(Optimizer):
    """Adam (Kingma & Ba 2015) on tables with sparse gradients: only the rows that a step has read.

    A row's moments decay only when it is read, as in `torch.optim.SparseAdam`.
    """

    EPS = 1e-8

    def __init__(self, tables: Sequence[nn.Parameter], lr: float, betas: tuple[float, float]):
        super().__init__(tables, {"lr": lr, "betas": betas})

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        for group in self.param_groups:
            for table in group["params"]:
                if table.grad is not None:
                    self._update(table, group["lr"], *group["betas"])

    def _update(self, table: nn.Parameter, lr: float, beta1: float, beta2: float) -> None:
        assert table.grad is not None
        gradient = table.grad.coalesce()
        rows, values = gradient.indices()[0], gradient.values()
        state = self.state[table]
        if not state:
            state["step"] = torch.zeros((), dtype=torch.float64)
            state["first"], state["second"] = torch.zeros_like(table), torch.zeros_like(table)
        state["step"] += 1
        step = int(state["step"])
        first = state["first"].index_select(0, rows).lerp_(values, 1 - beta1)
        second = state["second"].index_select(0, rows).mul_(beta2)
        second.addcmul_(values, values, value=1 - beta2)
        state["first"].index_copy_(0, rows, first)
        state["second"].index_copy_(0, rows, second)
        deviation = second.div_(1 - beta2**step).sqrt_().add_(self.EPS)
        table.index_add_(0, rows, first.div_(deviation), alpha=-lr / (1 - beta1**step))


class Optimizers:
    """Muon (Jordan et al. 2024) for the matrices inside blocks, RowAdam for tables with sparse
    gradients, AdamW for everything else.

    Muon orthogonalises the momentum of a matrix, which suits hidden matrices but not embeddings,
    heads or vectors. With `muon_rate=0` AdamW trains them all. With `muon_every` of k it takes only
    every k-th step, k times as far: it is a large part of the work of a small network.

    Every player has its own optimisers. `learning_rate` is AdamW's, before the schedule. Setting it
    scales the rates of all optimisers by the same factor.
    """

    def __init__(self, players: Sequence[Player], recipe: Recipe) -> None:
        self._recipe = recipe
        self.learning_rate = recipe.learning_rate
        self._of = {player.name: self._build(player) for player in players}
        self._all = {name: each for of in self._of.values() for name, each in of.items()}

    def _build(self, player: Player) -> dict[str, Optimizer]:
        """Build the optimisers of a player, by name."""
        recipe, model = self._recipe, player.module
        hidden, embeddings, rest = [], [], []
        tables = _tables(model)
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
        groups = [
            {"params": rest, "lr": base, "full": base, "weight_decay": decay},
            {"params": embeddings, "lr": base, "full": base * scale, "weight_decay": 0.0},
        ]
        betas = (recipe.beta1, recipe.beta2)
        optimizers: dict[str, Optimizer] = {
            player.metric("adamw"): torch.optim.AdamW(groups, betas=betas)
        }
        if hidden:
            muon = torch.optim.Muon(
                hidden,
                lr=recipe.muon_rate,
                momentum=0.95,
                weight_decay=recipe.weight_decay,
                adjust_lr_fn="original",
            )
            muon.param_groups[0]["full"] = recipe.muon_rate
            optimizers[player.metric("muon")] = muon
        if tables:
            rate = getattr(recipe, "ngram_rate", base)
            rows = RowAdam(tables, rate, betas)
            rows.param_groups[0]["full"] = rate
            optimizers[player.metric("rows")] = rows
        return optimizers

    def due(self, step: int) -> float:
        """AdamW's learning rate at `step`, by the schedule."""
        return self.learning_rate * rate_factor(step, self._recipe)

    def step(self, step: int, player: Player) -> None:
        """Apply a player's gradients with the learning rates of `step`, and clear them."""
        factor = rate_factor(step, self._recipe)
        factor *= self.learning_rate / self._recipe.learning_rate
        for optimizer in self._of[player.name].values():
            every = self._recipe.muon_every if isinstance(optimizer, torch.optim.Muon) else 1
            for group in optimizer.param_groups:
                group["lr"] = group["full"] * factor * every
            if (step + 1) % every == 0:
                optimizer.step()
            optimizer.zero_grad(set_to_none=True)

    def state(self) -> dict[str, Tensor]:
        """All state tensors by `<optimiser>.<parameter>.<name>`, and the learning rate."""
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
            slots[kind].setdefault(int(index), {})[name] = value
        for kind, optimizer in self._all.items():
            groups = optimizer.state_dict()["param_groups"]
            optimizer.load_state_dict({"state": slots[kind], "param_groups": groups})


def gradient_norm(parameters: Iterable[nn.Parameter], limit: float) -> float:
    """Clip the gradients to a total norm of `limit`. Returns the norm before clipping.

    Sparse gradients are left out: RowAdam does not depend on their scale.
    """
    dense = [p for p in parameters if p.grad is not None and not p.grad.is_sparse]
    return float(nn.utils.clip_grad_norm_(dense, limit))


class EMA:
    """An exponential moving average of the weights, in `model`. It generates better than the raw
    weights. The decay rises to `decay` over the first steps.

    Tables with sparse gradients are not averaged but shared with the model: averaging all of their
    rows would take longer than a step.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        # Without an average a copy would only take memory.
        self.model = copy.deepcopy(model).eval().requires_grad_(False) if decay else model
        for table, average in zip(_tables(model), _tables(self.model), strict=True):
            if average is not table:
                average.data = table.data

    @torch.no_grad()
    def update(self, model: nn.Module, step: int) -> None:
        """Update with the model's weights after `step`, counted from 0."""
        if self.model is model:
            return
        decay = min(self.decay, (1 + step) / (10 + step))
        for average, new in zip(self.model.parameters(), model.parameters(), strict=True):
            if average.data_ptr() != new.data_ptr():
                average.lerp_(new, 1 - decay)


MOST_LISTED = 1 << 26
"""The most examples whose order is listed in memory, 8 bytes each; more are permuted by `permute`,
in another order."""


def examples_of(step: int, batch: int, count: int, seed: int) -> NDArray[np.int64]:
    """The indices [batch] of a step's examples, 0 to `count` - 1: each once per epoch, shuffled."""
    epochs, places = np.divmod(np.arange(step * batch, (step + 1) * batch), count)
    indices = np.empty(batch, np.int64)
    for epoch in np.unique(epochs).tolist():
        rows = epochs == epoch
        if count > MOST_LISTED:
            indices[rows] = permute(places[rows], count, (seed, 0, epoch))
        else:
            indices[rows] = _permutation(seed, epoch, count)[places[rows]]
    return indices


@lru_cache(maxsize=2)  # a step may span two epochs
def _permutation(seed: int, epoch: int, count: int) -> NDArray[np.int64]:
    return np.random.default_rng((seed, 0, epoch)).permutation(count)


_ROUNDS = 6


def permute(places: NDArray[np.int64], count: int, seeds: tuple[int, ...]) -> NDArray[np.int64]:
    """What a random permutation of 0 to `count` - 1 has at these places [B], without listing it.

    A Feistel network (Luby and Rackoff 1988) permutes the numbers of 2k bits, the fewest that
    hold `count`; a result that is too large is permuted again (Black and Rogaway 2002).
    """
    half = np.uint64(max(1, ((count - 1).bit_length() + 1) // 2))
    mask = (np.uint64(1) << half) - np.uint64(1)
    keys = np.random.SeedSequence(seeds).generate_state(_ROUNDS, np.uint64)
    values = places.astype(np.uint64)
    outside = np.arange(len(values))
    while len(outside):
        left, right = values[outside] >> half, values[outside] & mask
        for key in keys:
            left, right = right, left ^ (_mix(right ^ key) & mask)
        values[outside] = left << half | right
        outside = outside[values[outside] >= count]
    return values.astype(np.int64)


def _mix(x: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The finaliser of SplitMix64 (Steele et al. 2014)."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def augment(rgb: Tensor, rng: np.random.Generator, shift: float, zoom: float, flip: bool) -> Tensor:
    """Augment [B, C, H, W]: shift by up to `shift` pixels, scale by 1 ± `zoom`, and mirror half of
    them with `flip`. The border's colour fills what comes in from outside."""
    if not (shift or zoom or flip):
        return rgb
    count, _, height, width = rgb.shape
    scale = 1 + rng.uniform(-zoom, zoom, count)
    mirror = np.where(rng.random(count) < 0.5, -1.0, 1.0) if flip else np.ones(count)
    # Coordinates of affine_grid go from -1 to 1 over a side: a pixel is 2 / side.
    offset = rng.uniform(-shift, shift, (count, 2)) * 2 / np.array([width, height])
    theta = np.zeros((count, 2, 3), np.float32)
    theta[:, 0, 0] = mirror / scale
    theta[:, 1, 1] = 1 / scale
    theta[:, :, 2] = offset
    grid = F.affine_grid(
        torch.from_numpy(theta).to(rgb.device), list(rgb.shape), align_corners=False
    )
    return F.grid_sample(rgb, grid.to(rgb.dtype), padding_mode="border", align_corners=False)
