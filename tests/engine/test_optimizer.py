import torch

from genui.engine.models.denoisers import build_denoiser
from genui.engine.models.dit import DiT
from genui.engine.train.optimizer import Optimizers
from genui.engine.train.task import Player
from genui.recipes import find_recipe, override
from genui.recipes.diffusion import DiffusionRecipe


def test_the_words_of_an_image_model_learn_faster_than_the_rest() -> None:
    tiny = {"width": "16", "heads": "1", "layers": "1", "caption_width": "16", "warmup": "0"}
    recipe = override(find_recipe("icons"), tiny | {"muon_rate": "0", "weight_decay": "0"})
    assert isinstance(recipe, DiffusionRecipe)
    model = build_denoiser(recipe, 8)
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
