"""Music for four voices, written by a Transformer."""

import dataclasses
from argparse import ArgumentParser
from collections.abc import Sequence
from pathlib import Path

from msgspec.structs import replace

from genui.base.manual import Page
from genui.kinds.text import SAMPLED_TEXT
from genui.protocol.kinds import Recipes
from genui.protocol.settings import TextSettings


def _recipes() -> Recipes:
    from genui.kinds.music.recipe import MUSIC_RECIPES, MusicRecipe

    return Recipes(MusicRecipe, MUSIC_RECIPES)


def _prepares() -> object:
    from genui.engine.kinds import Prepares
    from genui.kinds.music.data import check_music

    return Prepares(check=check_music)


def _trains() -> object:
    from genui.engine.kinds import Trains
    from genui.kinds.music.metrics import measure_music, nearest_music
    from genui.kinds.music.task import MusicTask

    return Trains(task=MusicTask, measure=measure_music, nearest=nearest_music)


def _generates() -> object:
    from genui.engine.kinds import Generates
    from genui.kinds.music.sample import load_music_model

    return Generates(load=load_music_model)


def _show_score(path: Path) -> None:
    from genui.kinds.music.shell import show_score  # late: the app does not need the shell

    show_score(path)


def _saves() -> object:
    from genui.formats.kinds import Saves
    from genui.kinds.music import midi, score

    return Saves(
        codecs=(dataclasses.replace(midi.CODEC, show=_show_score),),
        encode_sound=midi.encode_played,
        check_init=score.Given.from_text,
        describe_init=score.describe_given,
        init_options=score.split_init,
    )


def _add_options(parser: ArgumentParser) -> None:
    music = parser.add_argument_group("music models")
    music.add_argument(
        "--melody", metavar="FILE", help="a MIDI file to harmonise; its highest part is the soprano"
    )
    music.add_argument(
        "--gm",
        action="store_true",
        help="with --out FILE.wav: play it with General MIDI instruments, by fluidsynth",
    )
    music.add_argument(
        "--voices",
        metavar="V,V",
        help="the tracks to keep, such as soprano,bass; the model writes the others",
    )


def _prints() -> object:
    from genui.cli.kinds import Prints
    from genui.kinds.music import shell

    return Prints(
        as_json=shell.score_as_json,
        draw=shell.draw_rolls,
        read_token=shell.read_note,
        parse_init=shell.add_melody,
        check=shell.check_orchestra,
        choose_view=shell.choose_view,
    )


def _keys() -> Sequence[object]:
    from genui.kinds.music.keys import KEYS

    return KEYS


def _shows() -> object:
    from genui.kinds.music.pane import PIECES, ROLL
    from genui.kinds.music.roll import Roll
    from genui.ui.kinds import Shows

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
        folder=Path(__file__).parent,
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
        saves=_saves,
        init_prefix="notes:",
        # Transformers reach 0.34 to 0.42 on chorales (Huang et al. 2018).
        scales={"nats a token": (0.4, 0.5)},
        streams=False,
        prints=_prints,
        add_options={"generate": _add_options},
        examples=(
            "genui generate chorales --prompt 'G minor, 3/4' --out tune.mid",
            "genui generate chorales --melody hymn.mid --out four.wav",
        ),
    ),
)
