"""The settings of a training in the Lab, and its messages between app and worker."""

from typing import Annotated, Any, ClassVar

from msgspec import Meta, Struct

from genui.base.schema import about
from genui.protocol.messages import Answer, Frame, Question
from genui.protocol.settings import Settings

EDGE = 1.25
"""The Lab shows the plane from -EDGE to EDGE; the data are scaled to about -1 to 1."""
GRID = 48
"""Cells along each side of a surface in the Lab."""


class LabSettings(Settings, Struct, frozen=True, tag="lab", kw_only=True):
    """How a network of the Lab is trained. Any step can be shown; every `every` steps the plane
    is drawn and the divergence measured."""

    GROUP: ClassVar[str] = "the training"
    FIRST: ClassVar[tuple[str, ...]] = ("learning_rate", "batch")

    learning_rate: Annotated[
        float,
        Meta(gt=0, le=1),
        about(
            "Adam's learning rate, usually 0.0005 to 0.01",
            "learning rate",
            id="rate",
            step=(0.00025, 0.0005, 0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064),
        ),
    ] = 0.004
    width: Annotated[
        int,
        Meta(ge=4, le=128),
        about(
            "width of the hidden layers; a change starts again",
            step=(4, 8, 16, 32, 64, 128),
            format="3 × {}",
        ),
    ] = 64
    batch: Annotated[
        int,
        Meta(ge=8, le=4096),
        about("points per training step", step=(8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096)),
    ] = 256
    steps: Annotated[int, Meta(ge=1, le=50_000), about("training steps", step=500)] = 2000
    every: Annotated[
        int,
        Meta(ge=1, le=1000),
        about(
            "training steps between two drawings of the plane",
            "draw every",
            step=(1, 2, 5, 10, 20, 50, 100, 200, 500, 1000),
            format="{} steps",
        ),
    ] = 20


class Inspect(Question, Struct, frozen=True, tag="look", kw_only=True):
    """The output of a network of the Lab over the plane after `step` steps.

    `noise` is the noise level, for families that have one (0: none, 1: all noise). With `paths`
    the reply has the paths of particles from noise to samples. Answered by Inspection or Failed.
    """

    trace: int
    step: int
    noise: Annotated[float, Meta(ge=0, le=1)] = 0.0
    paths: bool = False


class Plane(Struct, frozen=True, kw_only=True, gc=False):
    """The output of a network of the Lab over the plane, at one step of its training.

    Positions are uint16 little-endian, 0 to 65535 for -EDGE to EDGE of each coordinate. A grid is
    GRID × GRID bytes, row by row, its first row at the top.
    """

    samples: bytes = b""  # [N, 2] positions
    surface: bytes = b""  # a grid: 0 to 255 from its lowest to its highest value
    chances: bytes = b""  # a grid for each class: its probability, 0 to 255 for 0 to 1
    arrows: bytes = b""  # [A, 2, 2] positions: from, to
    means: bytes = b""  # [A, 2, 2] positions, of average velocities beside the arrows


class PointsFrame(Frame, Struct, frozen=True, tag="points_frame", kw_only=True, gc=False):
    """One training step in the Lab."""

    trace: int
    step: int  # training steps done
    measures: tuple[tuple[str, float], ...]  # the name and value of each loss
    digest: bytes  # of all parameters: equal for equal states
    divergence: float | None = None  # bits from the true density, if it was measured
    plane: Plane | None = None  # every `LabSettings.every` steps
    # In the first frame only:
    data: bytes = b""  # [N, 2] positions of the data
    classes: bytes = b""  # [N] their classes
    floor: float | None = None  # the divergence of samples from the true density itself

    @property
    def identity(self) -> tuple[object, ...]:
        return (self.digest,)

    @property
    def content(self) -> bytes:
        return self.digest

    def facts(self) -> dict[str, Any]:
        """The losses by name."""
        return {"step": self.step, **dict(self.measures)}


class Inspection(Answer, Struct, frozen=True, tag="seen", kw_only=True, gc=False):
    """The reply to an Inspect. `paths` is [levels, N, 2] positions, from noise to samples."""

    trace: int
    step: int
    noise: float
    plane: Plane
    levels: int = 0
    paths: bytes = b""
