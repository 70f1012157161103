"""Open language models: chat, and fine-tuning."""

from typing import TYPE_CHECKING

from msgspec.structs import replace

from genui.kinds.text import SAMPLED_TEXT
from genui.protocol.kinds import PRETRAINED, Recipes

if TYPE_CHECKING:
    from genui.recipes import FineTuneRecipe


def _recipes() -> Recipes:
    from genui.recipes.finetune import FineTuneRecipe

    return Recipes(FineTuneRecipe)  # one is made when a model is named


def _check(recipe: "FineTuneRecipe") -> str:
    from genui.engine.train.finetune import check_rows  # late: it imports torch

    return check_rows(recipe)


def _prepares() -> object:
    from genui.engine.estimate import plan_fine_tuning
    from genui.engine.kinds import Prepares

    return Prepares(check=_check, plan=plan_fine_tuning)


def _trains() -> object:
    from genui.engine.kinds import Trains
    from genui.engine.train.finetune import FineTuneTask, measure_fine_tuned

    return Trains(task=FineTuneTask, measure=measure_fine_tuned)


def _generates() -> object:
    from genui.engine.convert.llama import write_gguf, write_llama_folder
    from genui.engine.convert.peft import write_adapter
    from genui.engine.kinds import Generates
    from genui.engine.train.finetune import load_fine_tuned

    converts = {"hf": write_llama_folder, "gguf": write_gguf, "peft": write_adapter}
    return Generates(load=load_fine_tuned, converts=converts)


KINDS = (
    replace(
        SAMPLED_TEXT,
        family=PRETRAINED,
        place=15,
        limitations="Others trained it: its own card says on what, and what it cannot do.",
        recipes=_recipes,
        prepares=_prepares,
        trains=_trains,
        generates=_generates,
        edits=(*SAMPLED_TEXT.edits, "say"),
        options=("chat", "system", "say"),
        takers="open models with a chat template",
    ),
)
