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

from functools import partial
from pathlib import Path

from genui.base.command import Command
from genui.base.late import late_imports
from genui.base.manual import Page
from genui.kinds.lab.families import FAMILIES, LabFamily, ref_of
from genui.kinds.lab.messages import Inspect, Inspection, LabSettings, PointsFrame
from genui.protocol.kinds import Kind

with late_imports():
    from genui.engine import kinds as engine
    from genui.formats import kinds as formats
    from genui.kinds.lab import demo, files, keys, pane, sample, shell, view
    from genui.ui import kinds as ui


def _begins(family: str) -> object:
    generator = partial(sample.LabGenerator, family)
    return engine.Begins(generator=generator, fingerprint=sample.fingerprint())


_SUMMARY = "train a small network on points in the plane"
_PAGE = Page("lab", _SUMMARY, Path(__file__).with_name("help.md"))


def _demo() -> object:
    """One for all kinds of the Lab."""
    return demo.LEARNING


def _in_the_lab(name: str, family: LabFamily) -> Kind:
    return Kind(
        family=name,
        medium="points",
        help=_PAGE,
        place=80,
        folder=Path(__file__).parent,
        ability="learns points in the plane",
        ref=ref_of(name),
        begins=partial(_begins, name),
        settings=LabSettings,
        messages=(PointsFrame, Inspect, Inspection),
        makes="a training in the Lab",
        pane="lab",
        title="Lab",
        has_screen=True,
        modes={"points": "Setting points in the Lab"},
        keys=lambda: keys.KEYS,
        shows=lambda: ui.Shows(
            pane=pane.LAB_PANE, view=view.PlaneView, exports=pane.PLANES, screen=pane.LabScreen
        ),
        demo=_demo,
        files=(".gif", ".apng", ".png", *([".csv"] if family.samples else [])),
        saves=lambda: formats.Saves(
            codecs=(files.CODEC,), draw_step=files.draw_step, list_steps=files.list_steps
        ),
        commands={"lab": Command(_SUMMARY, lambda: (shell.configure_lab, shell.run_lab))},
    )


KINDS = tuple(_in_the_lab(name, family) for name, family in FAMILIES.items())
