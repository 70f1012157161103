"""Contact sheets: several generations on one picture, with all their recipes inside."""

from collections.abc import Sequence

from genui.errors import GenuiError
from genui.protocol import ImageFrame
from genui.render.sanitise import clean_line
from genui.saved.recipe import TraceRecipe, to_json
from genui.saved.write import Sample, body, pixels

MOST = 400


def sheet(
    samples: Sequence[tuple[Sample, TraceRecipe]], captions: Sequence[str], columns: int = 0
) -> bytes:
    """A PNG with the last frame of each sample, or its text, and a caption below it.

    In its text chunk is the list of their recipes, as JSON. Raises GenuiError for none and for
    more than MOST.
    """
    from genui.render import film
    from genui.render.contact import Card, contact_sheet

    if not 0 < len(samples) <= MOST:
        raise GenuiError(f"a contact sheet takes 1 to {MOST} samples, not {len(samples)}")
    cards = []
    for (sample, _), caption in zip(samples, captions, strict=True):
        last = sample.frames[-1]
        if isinstance(last, ImageFrame):
            cards.append(Card(caption, picture=pixels(last, "guess" if last.guess else "x")))
        else:
            cards.append(Card(caption, text=body([sample])))
    recipes = ",".join(to_json(recipe) for _, recipe in samples)
    return film.png(contact_sheet(cards, columns), f"[{recipes}]")


def caption_of(recipe: TraceRecipe) -> str:
    """`red heart · icons, seed 7`."""
    prompt = clean_line(recipe.prompt, 40)
    rest = f"{clean_line(recipe.model, 24)}, seed {recipe.seed}"
    return f"{prompt} · {rest}" if prompt else rest
