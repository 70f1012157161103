"""Music for four voices, written by a Transformer."""

import dataclasses
from argparse import ArgumentParser
from pathlib import Path

from msgspec.structs import replace

from genui.base.late import late_imports
from genui.base.manual import Page
from genui.kinds.text import SAMPLED_TEXT
from genui.protocol.kinds import Recipes
from genui.protocol.settings import TextSettings

with late_imports():
    from genui.cli import kinds as cli
    from genui.engine import kinds as engine
    from genui.formats import kinds as formats
    from genui.kinds.music import (
        data,
        keys,
        metrics,
        midi,
        pane,
        recipe,
        roll,
        sample,
        score,
        shell,
        task,
    )
    from genui.ui import kinds as ui


def _show_score(path: Path) -> None:
    shell.show_score(path)


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


_PAGE = Page(
    "music", "write four-voice music, harmonise a melody", Path(__file__).with_name("help.md")
)

KINDS = (
    replace(
        SAMPLED_TEXT,
        medium="music",
        watermarks=(),
        help=_PAGE,
        place=40,
        ability="writes four-voice music",
        limitations="It was trained on the notes of Bach's chorales only: no words, no "
        "fermatas, and a context of six bars. It breaks the rules of part-writing more often "
        "than Bach, as the metrics show.",
        folder=Path(__file__).parent,
        recipes=lambda: Recipes(recipe.MusicRecipe, recipe.MUSIC_RECIPES),
        prepares=lambda: engine.Prepares(check=data.check_music),
        trains=lambda: engine.Trains(
            task=task.MusicTask, measure=metrics.measure_music, nearest=metrics.nearest_music
        ),
        generates=lambda: engine.Generates(load=sample.load_music_model),
        default_settings=TextSettings(tokens=1600),  # 25 bars; most pieces end before
        options=("init", "melody", "voices", "gm"),
        makes="a piece",
        pane="roll",
        title="Roll",
        keys=lambda: keys.KEYS,
        replaces_canvas=True,
        shows=lambda: ui.Shows(pane=pane.ROLL, view=roll.Roll, exports=pane.PIECES),
        files=(".mid", ".wav"),
        saves=lambda: formats.Saves(
            codecs=(dataclasses.replace(midi.CODEC, show=_show_score),),
            encode_sound=midi.encode_played,
            check_init=score.Given.from_text,
            describe_init=score.describe_given,
            init_options=score.split_init,
        ),
        init_prefix="notes:",
        # Transformers reach 0.34 to 0.42 on chorales (Huang et al. 2018).
        scales={"nats a token": (0.4, 0.5)},
        streams=False,
        prints=lambda: cli.Prints(
            as_json=shell.score_as_json,
            draw=shell.draw_rolls,
            read_token=shell.read_note,
            parse_init=shell.add_melody,
            check=shell.check_orchestra,
            choose_view=shell.choose_view,
        ),
        add_options={"generate": _add_options},
        examples=(
            "genui generate chorales --prompt 'G minor, 3/4' --out tune.mid",
            "genui generate chorales --melody hymn.mid --out four.wav",
        ),
    ),
)
