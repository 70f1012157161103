"""How well a text model predicts what it never saw, and whether its code is code."""

import numpy as np

from genui.engine.data.text import TextData, load_text
from genui.engine.generate.text import TextGenerator
from genui.engine.probes import code
from genui.engine.probes.copying import copying
from genui.engine.train.text_task import encode_documents, held_out_loss
from genui.protocol import TextSettings
from genui.recipes import TextRecipe

BATCH = 16
COPY_SAMPLES = 12  # of 400 tokens


def measure_text(generator: TextGenerator, recipe: TextRecipe) -> dict[str, str]:
    """Validation loss on the whole held-out split; for code also how much of it parses."""
    data = load_text(recipe.dataset, recipe.data)
    held = encode_documents(generator.tokenizer, data.validation)
    nats = held_out_loss(generator.model, held, generator.machine, BATCH)
    characters = sum(map(len, data.validation))
    bits = nats * len(held) / characters / np.log(2)
    found = {}
    if recipe.tokenizer == "chars":
        found["validation loss"] = f"{nats:.3f} nats/char"
    found["held-out text"] = f"{bits:.3f} bits/char, whole validation split"
    if recipe.medium == "code":
        # First, since it is what a reader of code cares for.
        found = code.measure_code(generator, data) | found
    return found | copied(generator, recipe, data)


def copied(generator: TextGenerator, recipe: TextRecipe, data: TextData) -> dict[str, str]:
    """How much of what it writes stands verbatim in the training text, beside what chance has."""
    settings = TextSettings(tokens=400)
    written = [
        generator.write(recipe.sample_prompt, seed, settings).encode("utf-8", "replace")
        for seed in range(COPY_SAMPLES)
    ]
    train, held = ([d.encode() for d in part] for part in (data.train, data.validation))
    found = copying(written, train, held)
    return {
        "copying": str(found),
        "longest run": (
            f"{found.longest} bytes stand in the training text; of as much held-out text "
            f"{found.longest_real}"
        ),
    }
