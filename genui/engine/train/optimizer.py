"""Parts of a training step: optimisers, averaged weights, the examples, augmentation."""

import copy
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.optim import Optimizer

from genui.engine.train.task import Player
from genui.recipes import Recipe

# --- Optimisers and the schedule of their rates -----------------------------------------------

RATE = "learning_rate"
"""The key of the base learning rate in force; checkpoints before it was kept have none."""


def rate_factor(step: int, recipe: Recipe) -> float:
    """The share of the full rate at `step`: linear warm-up, flat, then linear to zero."""
    if step < recipe.warmup:
        return (step + 1) / recipe.warmup
    start = recipe.decay_from * recipe.steps
    if step < start:
        return 1.0
    return max(0.0, (recipe.steps - step) / max(1.0, recipe.steps - start))


class Optimizers:
    """Muon (Jordan et al. 2024) on the matrices inside blocks, AdamW on everything else.

    Muon orthogonalises the momentum of a matrix, which suits hidden matrices and not
    embeddings, heads or vectors. With `muon_rate=0` AdamW does it all.

    Every player has its own. `learning_rate` is AdamW's, before the schedule. Setting it scales
    the rates of all optimisers by the same factor, so that what the recipe balanced stays
    balanced.
    """

    def __init__(self, players: Sequence[Player], recipe: Recipe) -> None:
        self._recipe = recipe
        self.learning_rate = recipe.learning_rate
        self._of = {player.name: self._build(player) for player in players}
        self._all = {name: each for of in self._of.values() for name, each in of.items()}

    def _build(self, player: Player) -> dict[str, Optimizer]:
        """The optimisers of a player by name."""
        recipe, model = self._recipe, player.module
        hidden, embeddings, rest = [], [], []
        for name, parameter in model.named_parameters():
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
        return optimizers

    def due(self, step: int) -> float:
        """AdamW's rate at `step`: what the schedule leaves of `learning_rate`."""
        return self.learning_rate * rate_factor(step, self._recipe)

    def step(self, step: int, player: Player) -> None:
        """Apply a player's gradients at the rates due at `step`."""
        factor = rate_factor(step, self._recipe)
        factor *= self.learning_rate / self._recipe.learning_rate
        for optimizer in self._of[player.name].values():
            for group in optimizer.param_groups:
                group["lr"] = group["full"] * factor
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)

    def state(self) -> dict[str, Tensor]:
        """Every state tensor by `<optimiser>.<parameter>.<name>`, and the learning rate."""
        slots = {
            f"{kind}.{index}.{name}": value
            for kind, optimizer in self._all.items()
            for index, slots in optimizer.state_dict()["state"].items()
            for name, value in slots.items()
        }
        return {RATE: torch.tensor(self.learning_rate, dtype=torch.float64), **slots}

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Take back what `state` gave. Raises KeyError or ValueError for another model's."""
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
    """Clip the gradients to a total norm of `limit`; the norm before clipping."""
    return float(nn.utils.clip_grad_norm_(parameters, limit))


# --- A running average of the weights, which generates better than the last ones --------------


class EMA:
    """Exponential moving average; `model` holds it. Short memory at first, `decay` later."""

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self.model = copy.deepcopy(model).eval().requires_grad_(False)

    @torch.no_grad()
    def update(self, model: nn.Module, step: int) -> None:
        """Move towards the model's weights after `step` (counted from 0)."""
        keep = min(self.decay, (1 + step) / (10 + step))
        for own, new in zip(self.model.parameters(), model.parameters(), strict=True):
            own.lerp_(new, 1 - keep)


# --- Which examples a step trains on: each once an epoch, in an order of that epoch's own -----


def examples_of(step: int, batch: int, count: int, seed: int) -> NDArray[np.int64]:
    """The numbers of a step's `batch` examples, of 0 to `count` - 1."""
    epochs, places = np.divmod(np.arange(step * batch, (step + 1) * batch), count)
    chosen = np.empty(batch, np.int64)
    for epoch in np.unique(epochs).tolist():
        rows = epochs == epoch
        chosen[rows] = _order(seed, epoch, count)[places[rows]]
    return chosen


@lru_cache(maxsize=2)  # a step lies in one epoch, or where two meet
def _order(seed: int, epoch: int, count: int) -> NDArray[np.int64]:
    return np.random.default_rng((seed, 0, epoch)).permutation(count)


# --- Images moved, scaled and mirrored at random, so that a network learns kinds and not copies


def augment(rgb: Tensor, rng: np.random.Generator, shift: float, zoom: float, flip: bool) -> Tensor:
    """[B, C, H, W] each in its own place: moved up to `shift` pixels, scaled by 1 ± `zoom`.

    With `flip` half of them are mirrored. What comes in from outside has the border's colour.
    """
    if not (shift or zoom or flip):
        return rgb
    count, _, height, width = rgb.shape
    scale = 1 + rng.uniform(-zoom, zoom, count)
    mirrored = np.where(rng.random(count) < 0.5, -1.0, 1.0) if flip else np.ones(count)
    # affine_grid counts from -1 to 1 over the whole side: a pixel is 2 / side of it.
    moved = rng.uniform(-shift, shift, (count, 2)) * 2 / np.array([width, height])
    theta = np.zeros((count, 2, 3), np.float32)
    theta[:, 0, 0] = mirrored / scale
    theta[:, 1, 1] = 1 / scale
    theta[:, :, 2] = moved
    places = F.affine_grid(
        torch.from_numpy(theta).to(rgb.device), list(rgb.shape), align_corners=False
    )
    return F.grid_sample(rgb, places.to(rgb.dtype), padding_mode="border", align_corners=False)
