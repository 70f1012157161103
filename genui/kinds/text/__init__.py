"""Networks that write text and code, trained by genui."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from msgspec.structs import replace

from genui.protocol.edits import LAYER_EDITS, VariationMethod, resample
from genui.protocol.kinds import Kind, Recipes, Target
from genui.protocol.settings import TextSettings

if TYPE_CHECKING:
    from genui.engine.kinds import BuildNetwork


def _prepares() -> object:
    from genui.engine.data.shards import check_text
    from genui.engine.data.text import is_large_file
    from genui.engine.kinds import Prepares

    return Prepares(check=check_text, is_large=is_large_file)


def _trains() -> object:
    from genui.engine.kinds import Trains
    from genui.engine.metrics.copying import nearest_text
    from genui.engine.metrics.language import measure_text
    from genui.engine.train.language import TextTask

    return Trains(task=TextTask, measure=measure_text, nearest=nearest_text)


def _trains_code() -> object:
    from genui.engine.kinds import Trains
    from genui.engine.metrics.copying import nearest_text
    from genui.engine.metrics.language import measure_code_model
    from genui.engine.train.language import TextTask

    return Trains(task=TextTask, measure=measure_code_model, nearest=nearest_text)


def _prints() -> object:
    from genui.cli.edits import read_vocabulary_token
    from genui.cli.generation import text_as_json
    from genui.cli.kinds import Prints

    return Prints(as_json=text_as_json, read_token=read_vocabulary_token)


def _shows() -> object:
    from genui.ui.generate.text import TEXT
    from genui.ui.kinds import Shows
    from genui.ui.traces.export import TEXTS
    from genui.ui.widgets.prose import Prose

    return Shows(pane=TEXT, view=Prose, exports=TEXTS)


def _tour() -> Sequence[object]:
    from genui.kinds.text.tour import STEPS

    return STEPS


def _demo() -> object:
    from genui.ui.demo import Demonstration

    speakers = ("ROMEO:\n", "JULIET:\n", "KING RICHARD III:\n", "GLOUCESTER:\n")
    return Demonstration(pane="text", model="shakespeare", prompts=speakers, pace=0.12)


FOLDER = Target(
    title="a Hugging Face folder", reader="transformers", dtypes=("fp32", "bf16", "fp16")
)

SAMPLED_TEXT = Kind(
    family="transformer",
    medium="text",
    place=10,
    does="writes text",
    limitations="It was trained on one small text: it imitates the style, invents words and knows "
    "no facts.",
    prepares=_prepares,
    trains=_trains,
    settings=TextSettings,
    edits=("seed", "token", "text", *LAYER_EDITS),
    variation=VariationMethod(resample, "sample again from an earlier token on"),
    first_step=1,
    makes="text",
    pane="text",
    title="Text",
    help="text",
    shows=_shows,
    tour=_tour,
    demo=_demo,
    files=(".txt", ".cast"),
    streams=True,
    prints=_prints,
)
"""What all kinds share that write text a token at a time."""


def text_kinds(
    family: str, recipes: Callable[[], Recipes], network: "Callable[[], BuildNetwork]"
) -> tuple[Kind, Kind]:
    """The two kinds of a network that writes text: one for text, and one for code.

    `recipes` imports its recipes, and `network` the function that builds it. Small
    models of code repeat themselves and lose the context, so by default the temperature is lower,
    repetition is penalized and the grammar is Python.
    """

    def generates() -> object:
        from genui.engine.convert.text import write_text_model
        from genui.engine.kinds import Generates
        from genui.engine.sample.text import load_text_model

        return Generates(load=load_text_model, network=network(), converts={"hf": write_text_model})

    text = replace(
        SAMPLED_TEXT, family=family, recipes=recipes, generates=generates, targets={"hf": FOLDER}
    )
    code = replace(
        text,
        medium="code",
        help="code",
        trains=_trains_code,
        default_settings=TextSettings(
            temperature=0.5, top_p=0.9, repetition_penalty=1.1, dry=0.8, grammar="python"
        ),
        classifier_medium="text",
        syntax="python",
    )
    return text, code


# --- The networks that genui has ---------------------------------------------------------------


def _transformer_recipes() -> Recipes:
    from genui.recipes.transformer import TEXT_RECIPES, TransformerRecipe

    return Recipes(TransformerRecipe, TEXT_RECIPES)


def _transformer() -> "BuildNetwork":
    from genui.engine.models.transformer import build_transformer

    return build_transformer


def _recurrent_recipes() -> Recipes:
    from genui.recipes.transformer import TEXT_RECIPES, RecurrentRecipe

    return Recipes(RecurrentRecipe, TEXT_RECIPES)


def _recurrent() -> "BuildNetwork":
    from genui.engine.models.recurrent import build_min_gru

    return build_min_gru


_TRANSFORMER = text_kinds("transformer", _transformer_recipes, _transformer)
_RECURRENT = text_kinds("recurrent", _recurrent_recipes, _recurrent)
KINDS = (
    replace(_TRANSFORMER[0], first=(3, "shakespeare")),
    _RECURRENT[0],
    _TRANSFORMER[1],
    _RECURRENT[1],
)
