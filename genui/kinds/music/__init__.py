"""Music for four voices, written by a Transformer."""

from collections.abc import Sequence
from pathlib import Path

from msgspec.structs import replace

from genui.base.manual import Page
from genui.kinds.text import SAMPLED_TEXT
from genui.protocol.kinds import Recipes
from genui.protocol.settings import TextSettings


def _recipes() -> Recipes:
    from genui.recipes.transformer import MUSIC_RECIPES, MusicRecipe

    return Recipes(MusicRecipe, MUSIC_RECIPES)


def _prepares() -> object:
    from genui.engine.data.chorales import check_music
    from genui.engine.kinds import Prepares

    return Prepares(check=check_music)


def _trains() -> object:
    from genui.engine.kinds import Trains
    from genui.engine.metrics.music import measure_music, nearest_music
    from genui.engine.train.language import MusicTask

    return Trains(task=MusicTask, measure=measure_music, nearest=nearest_music)


def _generates() -> object:
    from genui.engine.kinds import Generates
    from genui.engine.sample.music import load_music_model

    return Generates(load=load_music_model)


def _prints() -> object:
    from genui.cli.generation import score_as_json
    from genui.cli.kinds import Prints
    from genui.cli.request import read_note
    from genui.cli.roll import draw_rolls

    return Prints(as_json=score_as_json, draw=draw_rolls, read_token=read_note)


def _keys() -> Sequence[object]:
    from genui.kinds.music.keys import KEYS

    return KEYS


def _shows() -> object:
    from genui.ui.generate.roll import ROLL
    from genui.ui.kinds import Shows
    from genui.ui.traces.export import PIECES
    from genui.ui.widgets.roll import Roll

    return Shows(pane=ROLL, view=Roll, exports=PIECES)


_PAGE = Page(
    "music", "write four-voice music, harmonise a melody", Path(__file__).with_name("help.md")
)

KINDS = (
    replace(
        SAMPLED_TEXT,
        medium="music",
        help=_PAGE,
        place=40,
        does="writes four-voice music",
        limitations="It was trained on the notes of Bach's chorales only: no words, no "
        "fermatas, and a context of six bars. It breaks the rules of part-writing more often "
        "than Bach, as the metrics show.",
        recipes=_recipes,
        prepares=_prepares,
        trains=_trains,
        generates=_generates,
        default_settings=TextSettings(tokens=1600),  # 25 bars; most pieces end before
        options=("init", "melody", "voices", "gm"),
        makes="a piece",
        pane="roll",
        title="Roll",
        keys=_keys,
        replaces_canvas=True,
        shows=_shows,
        files=(".mid", ".wav"),
        streams=False,
        prints=_prints,
    ),
)
