"""Probes: what a model is measured by. `python -m genui.engine.probes MODEL` prints them all."""

from collections.abc import Mapping

from genui.engine.generate.diffusion import DiffusionGenerator
from genui.engine.generate.load import find_and_load
from genui.engine.generate.text import TextGenerator
from genui.recipes import DiffusionRecipe, Recipe, TransformerRecipe
from genui.runs.catalog import ModelInfo


def measure(info: ModelInfo, recipe: Recipe) -> Mapping[str, str]:
    """Label to value with its unit, the most telling one first."""
    generator = find_and_load(str(info.path))
    if isinstance(generator, DiffusionGenerator) and isinstance(recipe, DiffusionRecipe):
        from genui.engine.probes.pictures import measure_pictures

        return measure_pictures(generator, recipe)
    if isinstance(generator, TextGenerator) and isinstance(recipe, TransformerRecipe):
        from genui.engine.probes.text import measure_text

        return measure_text(generator, recipe)
    raise TypeError(f"{type(generator).__name__} does not generate {type(recipe).__name__}")
