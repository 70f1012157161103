"""The Lab: small networks that learn points in the plane while you watch."""

from collections.abc import Sequence
from pathlib import Path

from genui.base.manual import Page
from genui.protocol.kinds import Kind, LabFamily
from genui.protocol.messages import Inspect, Inspection, PointsFrame
from genui.protocol.settings import LabSettings


def _keys() -> Sequence[object]:
    from genui.kinds.lab.keys import KEYS

    return KEYS


def _shows() -> object:
    from genui.ui.kinds import Shows
    from genui.ui.lab import LAB_PANE, LabScreen
    from genui.ui.traces.export import PLANES
    from genui.ui.widgets.plane import PlaneView

    return Shows(pane=LAB_PANE, view=PlaneView, exports=PLANES, screen=LabScreen)


def _demo() -> object:
    from genui.kinds.lab.demo import LEARNING

    return LEARNING


_PAGE = Page(
    "lab", "train a small network on points in the plane", Path(__file__).with_name("help.md")
)


def _in_the_lab(family: str, lab: LabFamily, samples: bool = True) -> Kind:
    return Kind(
        family=family,
        medium="points",
        help=_PAGE,
        place=80,
        does="learns points in the plane",
        settings=LabSettings,
        messages=(PointsFrame, Inspect, Inspection),
        lab=lab,
        makes="a training in the Lab",
        pane="lab",
        title="Lab",
        has_screen=True,
        modes={"points": "Setting points in the Lab"},
        keys=_keys,
        shows=_shows,
        demo=_demo,
        files=(".gif", ".apng", ".png", *([".csv"] if samples else [])),
    )


KINDS = (
    _in_the_lab(
        "gan",
        LabFamily(
            title="GAN",
            surface="the discriminator's score",
            arrows="its gradient",
        ),
    ),
    _in_the_lab(
        "diffusion",
        LabFamily(
            title="diffusion",
            surface="density",
            arrows="flow to data",
            noisy=True,
        ),
    ),
    _in_the_lab(
        "flow",
        LabFamily(
            title="flow matching",
            surface="density",
            arrows="flow to data",
            noisy=True,
        ),
    ),
    _in_the_lab(
        "autoregressive",
        LabFamily(
            title="autoregressive",
            surface="p(x) p(y | x)",
        ),
    ),
    _in_the_lab(
        "classifier",
        LabFamily(
            title="classifier",
            surface="p(class | x, y)",
            divergence="KL from the true p(class | x, y)",
        ),
        samples=False,
    ),
)
