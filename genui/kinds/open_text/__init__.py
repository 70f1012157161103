"""Open language models of others: GGUF files and Hugging Face folders, chat, and fine-tuning.

- `gguf`, `folder`, `peft`: what a file or a folder says of its model
- `llama`, `transformers_model`: the networks; `gguf_network`, `folder_network` fill them
- `decoder`: a token at a time with NumPy
- `tokenizer`: their vocabularies
- `load`: their generators; `lora`, `adapter`: those with adapters
- `recipe`, `data`, `plan`, `task`: fine-tuning
- `convert`: files and folders for other programs
- `catalogue`: small ones to fetch
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec.structs import replace

from genui.base.manual import Page
from genui.kinds.text import FOLDER, SAMPLED_TEXT
from genui.protocol.kinds import PRETRAINED, Recipes, Target

if TYPE_CHECKING:
    from genui.engine.data.preparation import Preparation
    from genui.kinds.open_text.recipe import FineTuneRecipe


def _recipes() -> Recipes:
    from genui.kinds.open_text.recipe import FineTuneRecipe

    return Recipes(FineTuneRecipe)  # one is made when a model is named


def _check(recipe: "FineTuneRecipe", preparation: "Preparation") -> str:
    from genui.kinds.open_text.task import check_rows  # late: it imports torch

    return check_rows(recipe, preparation)


def _prepares() -> object:
    from genui.engine.kinds import Prepares
    from genui.kinds.open_text.plan import plan_fine_tuning

    return Prepares(check=_check, plan=plan_fine_tuning)


def _trains() -> object:
    from genui.engine.kinds import Trains
    from genui.kinds.open_text.task import FineTuneTask, measure_fine_tuned

    return Trains(task=FineTuneTask, measure=measure_fine_tuned)


def _generates() -> object:
    from genui.engine.kinds import Generates
    from genui.kinds.open_text.adapter import write_adapter
    from genui.kinds.open_text.convert import write_gguf, write_llama_folder
    from genui.kinds.open_text.task import load_fine_tuned

    converts = {"hf": write_llama_folder, "gguf": write_gguf, "peft": write_adapter}
    return Generates(load=load_fine_tuned, converts=converts)


def _formats() -> Mapping[str, object]:
    from genui.hub.formats import ModelFormat
    from genui.kinds.open_text import folder, gguf, peft

    of_file = ModelFormat(
        title="a GGUF file",
        recognise=gguf.recognise,
        describe=gguf.describe,
        suffix=".gguf",
        converts=True,
    )
    of_folder = ModelFormat(
        title="a Hugging Face folder",
        recognise=folder.recognise,
        describe=folder.describe,
        needs=("transformers", "hf"),
        converts=True,
    )
    of_adapter = ModelFormat(
        title="a folder of an adapter (peft)",
        recognise=peft.recognise,
        describe=peft.describe,
        train_instead="merge it first (genui convert NAME --to hf --out FOLDER) and train from "
        "that folder",
        files=peft.files,
        converts=True,
    )
    return {"gguf": of_file, "huggingface": of_folder, "peft": of_adapter}


def _opens_file() -> object:
    from genui.engine.load import Loader
    from genui.kinds.open_text.gguf_network import load_tokenizer
    from genui.kinds.open_text.load import load_gguf_model

    return Loader(load_gguf_model, load_tokenizer)


def _opens_folder() -> object:
    from genui.engine.load import Loader
    from genui.kinds.open_text.folder_network import load_tokenizer
    from genui.kinds.open_text.load import load_hugging_face_model

    return Loader(load_hugging_face_model, load_tokenizer)


def _opens_adapter() -> object:
    from genui.engine.load import Loader
    from genui.kinds.open_text.adapter import load_adapter, load_base_tokenizer

    return Loader(load_adapter, load_base_tokenizer)


def _catalogue() -> Sequence[object]:
    from genui.kinds.open_text.catalogue import CATALOGUE

    return CATALOGUE


KINDS = (
    replace(
        SAMPLED_TEXT,
        family=PRETRAINED,
        place=15,
        help=Page(
            "open-text",
            "GGUF files, Hugging Face folders, fine-tuning, adapters",
            Path(__file__).with_name("help.md"),
        ),
        limitations="Others trained it: its own card says on what, and what it cannot do.",
        recipes=_recipes,
        prepares=_prepares,
        trains=_trains,
        generates=_generates,
        formats=_formats,
        opens={"gguf": _opens_file, "huggingface": _opens_folder, "peft": _opens_adapter},
        catalogue=_catalogue,
        targets={
            "hf": FOLDER,
            "gguf": Target(
                title="a GGUF file",
                reader="llama.cpp",
                suffix=".gguf",
                dtypes=("fp16", "fp32", "q8_0"),
            ),
            "peft": Target(title="a folder of an adapter", reader="peft"),
        },
        edits=(*SAMPLED_TEXT.edits, "say"),
        options=("chat", "system", "say"),
        takers="open models with a chat template",
        examples=(
            "genui generate smollm2 --chat --prompt 'Name a fruit.' --say 'And its colour?'",
        ),
    ),
)
