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

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec.structs import replace

from genui.base.late import late_imports
from genui.base.manual import Page
from genui.kinds.text import FOLDER, SAMPLED_TEXT
from genui.protocol.kinds import PRETRAINED, Recipes, Target

with late_imports():
    from genui.engine import kinds as engine
    from genui.engine import loaders
    from genui.hub import formats
    from genui.kinds.open_text import (
        adapter,
        catalogue,
        convert,
        folder,
        folder_network,
        gguf,
        gguf_network,
        load,
        peft,
        plan,
        recipe,
        task,
    )

if TYPE_CHECKING:
    from genui.engine.data.preparation import Preparation
    from genui.kinds.open_text.recipe import FineTuneRecipe


def _check(recipe: "FineTuneRecipe", preparation: "Preparation") -> str:
    return task.check_rows(recipe, preparation)


def _formats() -> Mapping[str, object]:
    of_file = formats.ModelFormat(
        title="a GGUF file",
        recognise=gguf.recognise,
        describe=gguf.describe,
        suffix=".gguf",
        converts=True,
    )
    of_folder = formats.ModelFormat(
        title="a Hugging Face folder",
        recognise=folder.recognise,
        describe=folder.describe,
        needs=("transformers", "hf"),
        converts=True,
    )
    of_adapter = formats.ModelFormat(
        title="a folder of an adapter (peft)",
        recognise=peft.recognise,
        describe=peft.describe,
        train_instead="merge it first (genui convert NAME --to hf --out FOLDER) and train from "
        "that folder",
        files=peft.files,
        converts=True,
    )
    return {"gguf": of_file, "huggingface": of_folder, "peft": of_adapter}


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
        limitations="Trained by others: its own card states its data and its limits.",
        recipes=lambda: Recipes(recipe.FineTuneRecipe),  # one is made when a model is named
        prepares=lambda: engine.Prepares(check=_check, plan=plan.plan_fine_tuning),
        trains=lambda: engine.Trains(
            task=task.FineTuneTask,
            measure=task.measure_fine_tuned,
            index=task.index_rows,
        ),
        generates=lambda: engine.Generates(
            load=task.load_fine_tuned,
            converts={
                "hf": convert.write_llama_folder,
                "gguf": convert.write_gguf,
                "peft": adapter.write_adapter,
            },
        ),
        formats=_formats,
        opens={
            "gguf": lambda: loaders.Loader(load.load_gguf_model, gguf_network.load_tokenizer),
            "huggingface": lambda: loaders.Loader(
                load.load_hugging_face_model, folder_network.load_tokenizer
            ),
            "peft": lambda: loaders.Loader(adapter.load_adapter, adapter.load_base_tokenizer),
        },
        catalogue=lambda: catalogue.CATALOGUE,
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
