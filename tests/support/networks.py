"""Small networks of tokens of every family, with weights that no training made."""

from typing import TYPE_CHECKING

from genui.recipes import TextRecipe, find_recipe, override

if TYPE_CHECKING:
    from genui.engine.models.language_model import TokenNetwork

RECIPES = {
    "transformer": "shakespeare",
    "recurrent": "shakespeare-gru",
    "ngrams": "shakespeare",  # bigrams exact, longer ones hashed
}
NETWORKS = tuple(family for family in RECIPES if family != "ngrams")  # an option of the first
"""For tests of what every network that writes does. A new one adds its row to RECIPES."""

LAYERED = ("transformer", "recurrent")
"""Those that show their layers (`LayeredModel`) and have a decoder of NumPy: for tests of both."""

TRANSFORMER = ("transformer",)
"""For tests of what only that network has."""


def small_recipe(family: str, **settings: object) -> TextRecipe:
    """One of RECIPES at a very small size."""
    recipe = find_recipe(RECIPES[family])
    sizes: dict[str, object] = {"layers": 2, "width": 32, "context": 32}
    if hasattr(recipe, "heads"):
        sizes["heads"] = 2
    if family == "ngrams":
        sizes |= {"ngrams": 4, "ngram_rows": 1024, "ngram_width": 24}
    texts = {key: str(value) for key, value in (sizes | settings).items()}
    recipe = override(recipe, texts)
    assert isinstance(recipe, TextRecipe)
    return recipe


def random_network(
    family: str, vocab_size: int, seed: int = 0, spread: float = 0.3, **settings: object
) -> "TokenNetwork":
    """One of RECIPES. Heads start at zero, which would make every token equal."""
    import torch

    from genui.engine.kinds import build_network

    torch.manual_seed(seed)
    model = build_network(small_recipe(family, **settings), vocab_size)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(std=spread)
    return model
