"""How well a text model predicts what it never saw, and whether its code is code."""

import ast

import numpy as np

from genui.engine.data.text import TextData, load_text
from genui.engine.generate.text import TextGenerator
from genui.engine.train.text_task import encode_documents, held_out_loss
from genui.protocol import TextSettings
from genui.recipes import TransformerRecipe

BATCH = 16
FUNCTIONS = 100
COPY_SAMPLES = 5
COPY_WINDOW = 40
"""Characters: shorter verbatim runs are common speech, longer ones are copied."""


def measure_text(generator: TextGenerator, recipe: TransformerRecipe) -> dict[str, str]:
    """Validation loss on the whole held-out split; for code also how much of it parses."""
    data = load_text(recipe.dataset, recipe.data)
    held = encode_documents(generator.tokenizer, data.validation)
    nats = held_out_loss(generator.model, held, generator.machine, BATCH)
    characters = sum(map(len, data.validation))
    bits = nats * len(held) / characters / np.log(2)
    found = {}
    if recipe.tokenizer == "chars":
        found["validation loss"] = f"{nats:.3f} nats/char"
    found["bits per character"] = f"{bits:.3f}, whole validation split"
    if recipe.medium == "code":
        share = sum(parses(write_function(generator, seed)) for seed in range(FUNCTIONS))
        # First, since it is what a reader of code cares for.
        found = {"functions": f"{100 * share // FUNCTIONS} % parse"} | found
    found["copied"] = copied(generator, recipe, data)
    return found


def write_function(generator: TextGenerator, seed: int) -> str:
    """One top-level function the model writes: from "def" to the next line at the margin."""
    settings = TextSettings(temperature=0.7, top_p=0.95, tokens=300)
    text = "def" + generator.write("\n\n\ndef", seed, settings, until="\n\n\n")
    lines = text.split("\n")
    body = [lines[0]]
    for line in lines[1:]:
        if line and not line[0].isspace() and not line.startswith(")"):
            break
        body.append(line)
    else:
        body = body[:-1] or body  # the last line may be cut off by the budget
    return "\n".join(body)


def parses(source: str) -> bool:
    """Whether this interpreter reads it as Python."""
    try:
        ast.parse(source)
    except (SyntaxError, ValueError):
        return False
    return True


def copied(generator: TextGenerator, recipe: TransformerRecipe, data: TextData) -> str:
    """How much of what it writes stands verbatim in the training text."""
    corpus = "\n".join(data.train)
    settings = TextSettings(tokens=400)
    text = "".join(
        generator.write(recipe.sample_prompt, seed, settings) for seed in range(COPY_SAMPLES)
    )
    starts = range(0, max(1, len(text) - COPY_WINDOW), COPY_WINDOW // 2)
    hits = sum(text[i : i + COPY_WINDOW] in corpus for i in starts)
    return f"{100 * hits / len(starts):.0f} % of {COPY_WINDOW}-character runs stand in the data"
