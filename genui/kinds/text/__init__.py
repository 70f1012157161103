"""Networks that write text and code, trained by genui."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from msgspec.structs import replace

from genui.base.late import late_imports
from genui.base.watermarks import Watermark
from genui.protocol.edits import LAYER_EDITS, VariationMethod, resample
from genui.protocol.kinds import Kind, Recipes, Target
from genui.protocol.settings import TextSettings

with late_imports():
    from genui.cli import edits, generation
    from genui.cli import kinds as cli
    from genui.engine import kinds as engine
    from genui.engine.convert import text as convert
    from genui.engine.data import shards
    from genui.engine.data import text as data
    from genui.engine.metrics import copying, language
    from genui.engine.models import recurrent, transformer
    from genui.engine.sample import text as sample
    from genui.engine.train import language as train
    from genui.kinds.text import tour, watermark
    from genui.recipes import transformer as transformers
    from genui.ui import demo
    from genui.ui import kinds as ui
    from genui.ui.generate import text as pane
    from genui.ui.traces import export
    from genui.ui.widgets import prose

if TYPE_CHECKING:
    from genui.engine.kinds import BuildNetwork


def _demo() -> object:
    speakers = ("ROMEO:\n", "JULIET:\n", "KING RICHARD III:\n", "GLOUCESTER:\n")
    return demo.Demonstration(pane="text", model="shakespeare", prompts=speakers, pace=0.12)


FOLDER = Target(
    title="a Hugging Face folder", reader="transformers", dtypes=("fp32", "bf16", "fp16")
)

SAMPLED_TEXT = Kind(
    family="transformer",
    medium="text",
    place=10,
    ability="writes text",
    limitations="It was trained on one small text: it imitates the style, invents words and knows "
    "no facts.",
    prepares=lambda: engine.Prepares(check=shards.check_text, is_large=data.is_large_file),
    trains=lambda: engine.Trains(
        task=train.TextTask,
        measure=language.measure_text,
        index=copying.index_text,
    ),
    settings=TextSettings,
    edits=("seed", "token", "text", *LAYER_EDITS),
    variation=VariationMethod(resample, "sample again from an earlier token on"),
    first_step=1,
    watermarks=tuple(
        Watermark(
            name=name,
            media=("text", "code"),
            counts="tokens",
            read=lambda search, name=name: watermark.read(name, search),
        )
        for name in ("green", "tournament")
    ),
    makes="text",
    pane="text",
    title="Text",
    help="text",
    shows=lambda: ui.Shows(pane=pane.TEXT, view=prose.Prose, exports=export.TEXTS),
    tour=lambda: tour.STEPS,
    demo=_demo,
    files=(".txt", ".cast"),
    streams=True,
    prints=lambda: cli.Prints(
        as_json=generation.text_as_json, read_token=edits.read_vocabulary_token
    ),
)
"""The common part of kinds that write text a token at a time."""


def text_kinds(
    family: str, recipes: Callable[[], Recipes], network: "Callable[[], BuildNetwork]"
) -> tuple[Kind, Kind]:
    """The two kinds of a network that writes text: one for text, and one for code.

    `recipes` gives its recipes, and `network` the function that builds it. Small models of code
    repeat themselves and lose the context, so by default the temperature is lower, repetition is
    penalized and the grammar is Python.
    """
    text = replace(
        SAMPLED_TEXT,
        family=family,
        recipes=recipes,
        generates=lambda: engine.Generates(
            load=sample.load_text_model,
            network=network(),
            converts={"hf": convert.write_text_model},
        ),
        targets={"hf": FOLDER},
    )
    code = replace(
        text,
        medium="code",
        help="code",
        trains=lambda: engine.Trains(
            task=train.TextTask,
            measure=language.measure_code_model,
            index=copying.index_text,
        ),
        default_settings=TextSettings(
            temperature=0.5, top_p=0.9, repetition_penalty=1.1, dry=0.8, grammar="python"
        ),
        classifier_medium="text",
        syntax="python",
    )
    return text, code


# --- The networks that genui has ---------------------------------------------------------------


_TRANSFORMER = text_kinds(
    "transformer",
    lambda: Recipes(transformers.TransformerRecipe, transformers.TEXT_RECIPES),
    lambda: transformer.build_transformer,
)
_RECURRENT = text_kinds(
    "recurrent",
    lambda: Recipes(transformers.RecurrentRecipe, transformers.TEXT_RECIPES),
    lambda: recurrent.build_min_gru,
)
KINDS = (
    replace(_TRANSFORMER[0], first=(4, "shakespeare")),
    _RECURRENT[0],
    _TRANSFORMER[1],
    _RECURRENT[1],
)
