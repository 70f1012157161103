import numpy as np
import pytest
import torch
from networks import random_network, small_recipe

from genui.engine.models.denoisers import build_image_denoiser
from genui.engine.models.dit import DiT
from genui.engine.train.batches import examples_of
from genui.engine.train.optimizer import Optimizers
from genui.engine.train.task import Player
from genui.recipes import TransformerRecipe, find_recipe, override
from genui.recipes.diffusion import DiffusionRecipe


@pytest.mark.parametrize(("bf16", "tolerance"), [(True, 1e-6), (False, 3e-3)])
def test_between_its_steps_muon_gathers_momentum_and_goes_as_far(
    bf16: bool, tolerance: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """torch's own Muon computes in bf16, which rounds; its steps are 0.01 long here."""
    monkeypatch.setattr("genui.engine.train.optimizer.multiplies_bf16", lambda device: bf16)
    sizes = {"layers": 1, "width": 16, "dropout": 0, "warmup": 0}
    recipe = small_recipe("transformer", **sizes, muon_every=2)
    model, reference = (random_network("transformer", 28, **sizes) for _ in range(2))
    player = Player("", model, lambda step: torch.tensor(0.0))
    optimizers = Optimizers([player], recipe)
    inner, expected = (
        [p for name, p in each.named_parameters() if "blocks." in name]
        for each in (model, reference)
    )
    before = [p.detach().clone() for p in inner]
    muon = torch.optim.Muon(expected, lr=2 * recipe.muon_rate, momentum=0.95)
    tokens = torch.arange(36).view(4, 9) % 28
    gradients: list[list[torch.Tensor]] = []
    for step in range(2):
        model.loss(tokens[:, :-1], tokens[:, 1:]).backward()
        gradients.append([p.grad.clone() for p in inner if p.grad is not None])
        optimizers.step(step, player)
        if step == 0:
            assert all(map(torch.equal, inner, before))
    for parameter, first, second in zip(expected, *gradients, strict=True):
        muon.state[parameter]["momentum_buffer"] = 0.05 * first
        parameter.grad = second
    muon.step()
    for parameter, other in zip(inner, expected, strict=True):
        torch.testing.assert_close(parameter, other, atol=tolerance, rtol=0)


def test_of_a_table_only_the_rows_that_were_read_change() -> None:
    recipe = small_recipe("ngrams", warmup=0)
    assert isinstance(recipe, TransformerRecipe)
    model = random_network("ngrams", 28)
    table = model.get_parameter("ngram_embedding.weight")
    before = table.detach().clone()
    player = Player("", model, lambda step: torch.tensor(0.0))
    model.loss(torch.tensor([[1, 2, 3]]), torch.tensor([[2, 3, 4]])).backward()
    Optimizers([player], recipe).step(0, player)
    changed = (table != before).any(dim=1)
    assert changed.sum() == 9  # a 2-, a 3- and a 4-gram end at each token
    assert changed[: 29**2].sum() == 3
    torch.testing.assert_close(  # the first step of a row is as long for all of them
        (table - before)[changed].square().mean(dim=1).sqrt(), torch.full((9,), recipe.ngram_rate)
    )


def test_the_words_of_an_image_model_learn_faster_than_the_rest() -> None:
    tiny = {"width": "16", "heads": "1", "layers": "1", "caption_width": "16", "warmup": "0"}
    recipe = override(find_recipe("icons"), tiny | {"muon_rate": "0", "weight_decay": "0"})
    assert isinstance(recipe, DiffusionRecipe)
    model = build_image_denoiser(recipe, 8)
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    side = Player("", model, lambda step: torch.tensor(0.0))
    Optimizers([side], recipe).step(0, side)
    moved = {
        name: float((p.detach() - before[name]).abs().mean())
        for name, p in model.named_parameters()
    }
    words = [by for name, by in moved.items() if "embedding" in name]
    others = [by for name, by in moved.items() if "embedding" not in name]
    assert min(words) > 0.9 * DiT.EMBEDDING_RATE * max(others)


def test_steps_take_each_example_once_an_epoch_in_another_order() -> None:
    order = np.concatenate([examples_of(step, 4, 10, seed=3) for step in range(5)])
    assert sorted(order[:10]) == sorted(order[10:]) == list(range(10))
    assert order[:10].tolist() != order[10:].tolist()
