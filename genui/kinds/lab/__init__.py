"""The Lab: small networks that learn points in the plane while you watch.

- `families`: the families, in data
- `networks`: their networks, objectives and samplers
- `shapes`: what they learn, and the random numbers of a training
- `sample`: a training as a trace
- `points`: a user's own points
- `files`: what is saved of a training
- `scene`: the plane in cells and as an image; `view` shows it in the terminal
- `pane`: the pane and its screen
- `demo`: the training that plays on Home
- `shell`: `genui lab`
"""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from genui.base.manual import Page
from genui.kinds.lab.families import FAMILIES, LabFamily, ref_of
from genui.kinds.lab.messages import Inspect, Inspection, LabSettings, PointsFrame
from genui.protocol.kinds import Command, Kind


def _begins(family: str) -> object:
    from genui.engine.kinds import Begins
    from genui.kinds.lab.sample import LabGenerator, fingerprint

    return Begins(generator=partial(LabGenerator, family), fingerprint=fingerprint())


def _saves() -> object:
    from genui.formats.kinds import Saves
    from genui.kinds.lab import files

    return Saves(codecs=(files.CODEC,), draw_step=files.draw_step, list_steps=files.list_steps)


def _keys() -> Sequence[object]:
    from genui.kinds.lab.keys import KEYS

    return KEYS


def _shows() -> object:
    from genui.kinds.lab.pane import LAB_PANE, PLANES, LabScreen
    from genui.kinds.lab.view import PlaneView
    from genui.ui.kinds import Shows

    return Shows(pane=LAB_PANE, view=PlaneView, exports=PLANES, screen=LabScreen)


def _demo() -> object:
    from genui.kinds.lab.demo import LEARNING

    return LEARNING


def _command() -> object:
    from genui.cli.command import Runs
    from genui.kinds.lab import shell

    return Runs(configure=shell.configure_lab, run=shell.run_lab)


_SUMMARY = "train a small network on points in the plane"
_PAGE = Page("lab", _SUMMARY, Path(__file__).with_name("help.md"))


def _in_the_lab(name: str, family: LabFamily) -> Kind:
    return Kind(
        family=name,
        medium="points",
        help=_PAGE,
        place=80,
        folder=Path(__file__).parent,
        does="learns points in the plane",
        ref=ref_of(name),
        begins=partial(_begins, name),
        settings=LabSettings,
        messages=(PointsFrame, Inspect, Inspection),
        makes="a training in the Lab",
        pane="lab",
        title="Lab",
        has_screen=True,
        modes={"points": "Setting points in the Lab"},
        keys=_keys,
        shows=_shows,
        demo=_demo,
        files=(".gif", ".apng", ".png", *([".csv"] if family.samples else [])),
        saves=_saves,
        commands=(Command("lab", _SUMMARY, _command),),
    )


KINDS = tuple(_in_the_lab(name, family) for name, family in FAMILIES.items())
