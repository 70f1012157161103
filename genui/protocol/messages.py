"""The messages themselves: what the app asks of the worker, and what it answers."""

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct
from msgspec.structs import asdict

from genui.protocol.settings import Axis, Edit, EditAt, RgbImage, Seed, Settings

VERSION = 3

EDGE = 1.25
"""The Lab shows the plane from -EDGE to EDGE; data lie within -1 and 1 or close by."""
GRID = 48
"""Cells along each side of what the Lab draws as a surface."""
LAB = "lab:"
"""A model's name that begins so is a family that the Lab trains."""


# --- app to worker ------------------------------------------------------------------


class Hello(Struct, frozen=True, tag="hello"):
    """The first message; the worker answers Ready or exits."""

    version: int = VERSION


class Start(Struct, frozen=True, tag="start", kw_only=True):
    """Begin a trace, with the edits of the branch it is. Answered by Started or Failed.

    What makes a trace again, bit for bit on the same machine: everything here but its number.
    """

    trace: int
    model: str  # a shipped name, a run, run@step, or a path
    prompt: str
    seed: Seed
    settings: Settings
    edits: tuple[EditAt, ...] = ()  # in the order of their steps
    # `init` is what to begin from: an image, the path of a file for the worker to read,
    # FROM_DATA, or voices that are given (`score.Given`). Images only: `strength` is the share
    # of the steps that it is drowned for, so 1 leaves nothing of it.
    init: RgbImage | str | None = None
    strength: Annotated[float, Meta(gt=0, le=1)] = 0.6
    forward: bool = False  # the forward process: `init` drowns in noise
    grid: Annotated[tuple[Axis, ...], Meta(max_length=2)] = ()  # along x, along y: one batch


class Fork(Struct, frozen=True, tag="fork", kw_only=True):
    """A new trace that shares the steps of `parent` up to `step`, where the edit applies.

    Answered by Started or Failed.
    """

    trace: int
    parent: int
    step: int
    edit: Edit
    then: Edit | None = None  # a second edit at the same step, made after the first


class Advance(Struct, frozen=True, tag="advance", kw_only=True):
    """Take up to `steps` steps from step `start`; a frame each, then Idle."""

    trace: int
    start: int
    steps: int


class Cancel(Struct, frozen=True, tag="cancel"):
    """Stop advancing; takes effect within one step."""

    trace: int


class Close(Struct, frozen=True, tag="close"):
    """Forget the trace."""

    trace: int


class Attend(Struct, frozen=True, tag="attend", kw_only=True):
    """What the token of `step` attended to. Answered by Attention or Failed."""

    trace: int
    step: int


class Nearest(Struct, frozen=True, tag="nearest", kw_only=True):
    """What of the training data is most like `step`. Answered by Neighbours or Failed."""

    trace: int
    step: int
    count: Annotated[int, Meta(ge=1, le=16)] = 6  # of images


class Inspect(Struct, frozen=True, tag="look", kw_only=True):
    """What a network of the Lab makes of the plane after `step` steps, at a noise level (0: none,
    1: all noise) where it has such; with `paths`, how particles get from noise to there.

    Answered by Seen or Failed.
    """

    trace: int
    step: int
    noise: Annotated[float, Meta(ge=0, le=1)] = 0.0
    paths: bool = False


class Label(Struct, frozen=True, tag="label", kw_only=True):
    """What a classifier says of the sample as it stands at `step`. Answered by Labels or Failed."""

    trace: int
    step: int
    model: str  # the classifier


class Warm(Struct, frozen=True, tag="warm"):
    """Load a model before it is asked for."""

    model: str


Request = (
    Hello | Start | Fork | Advance | Cancel | Close | Attend | Nearest | Label | Warm | Inspect
)


# --- worker to app ------------------------------------------------------------------
# Frames come by the hundred a second and are kept: they hold no cycles (gc=False), so that
# the collector need not look through them while a key waits.


class Ready(Struct, frozen=True, tag="ready", kw_only=True):
    version: int
    device: str
    precision: str
    threads: int
    pid: int
    torch: str = ""  # its version
    processor: str = ""


class Started(Struct, frozen=True, tag="started", kw_only=True):
    trace: int
    model: str
    family: str
    medium: str
    prompt: str  # as the model saw it
    suffix: str = ""  # of a prompt with a gap (FILL): what stands after the text
    total_steps: int
    step: int = 0  # the last step that is given: of a fork the one it forks at
    note: str = ""  # e.g. which words or characters the model does not know
    init: RgbImage | str | None = None  # what it began from, as the model sees it
    fingerprint: str = ""  # of the weights


class Candidate(Struct, frozen=True, array_like=True, gc=False):
    """One possible next token.

    Its probability as the model has it and after the settings (0 where a filter dropped it,
    `dropped` naming the filter: "top-k", "top-p" or "min-p"), and its logit before any.
    """

    token: int
    text: str
    model: float
    sampled: float
    logit: float = 0.0
    dropped: str = ""


# What a frame holds differs by the kind of model; what is asked of every frame is
# - `identity`: two frames came to the same where it is equal,
# - `content`: the bytes that a saved trace is checked by,
# - `facts()`: the step for scripts, as what JSON can hold.


class TextFrame(Struct, frozen=True, tag="text_frame", kw_only=True, gc=False):
    """One token written. `candidates` is the distribution it was drawn from.

    The choice fell because `u` lies in [`low`, `high`), the chosen token's share of the
    cumulative distribution; a forced token was not drawn.
    """

    trace: int
    step: int  # 1-based: after this many tokens
    token: int
    text: str
    surprisal: float  # bits, under the model
    entropy: float  # bits, of the model's distribution
    candidates: tuple[Candidate, ...]
    sampled_entropy: float = 0.0  # bits, of the distribution after the settings
    u: float = 0.0
    low: float = 0.0
    high: float = 0.0
    forced: bool = False
    kept: int = 0  # tokens of the vocabulary that the filters left

    @property
    def identity(self) -> tuple[object, ...]:
        return self.token, self.text  # another model numbers its tokens otherwise

    @property
    def content(self) -> bytes:
        return self.text.encode()

    def facts(self) -> dict[str, Any]:
        """Its candidates, and how the choice fell."""
        facts = asdict(self) | {"candidates": [asdict(one) for one in self.candidates]}
        del facts["trace"]
        return facts


class ImageFrame(Struct, frozen=True, tag="image_frame", kw_only=True, gc=False):
    """One step of what is drawn. Images are height × width × 3 bytes, RGB, row by row.

    A grid is one image, its cells side by side. Of a film each of `x`, `denoised` and `noise`
    holds `images` of them, one after the other.
    """

    trace: int
    step: int  # 0 is pure noise (or the drowned image it begins from)
    sigma: float
    width: int
    height: int
    x: bytes  # the noisy image, scaled to the spread of a clean one
    denoised: bytes  # predicted x₀: the clean image, as the model sees it now
    noise: bytes = b""  # the noise it sees: (x - denoised) / σ, from -3 to 3
    images: int = 1
    sound: bytes = b""  # of the denoised: int16, one channel, little-endian
    rate: int = 0  # samples of it a second
    score: float | None = None  # what a discriminator says of the denoised, as a logit
    along: tuple[float, ...] = ()  # of a latent walk: where it is along each direction

    @property
    def identity(self) -> tuple[object, ...]:
        return self.width, self.height, self.x

    @property
    def content(self) -> bytes:
        return self.x

    def facts(self) -> dict[str, Any]:
        """Its noise level; of a walk where it is, and the discriminator's score."""
        if self.score is not None:
            return {"step": self.step, "score": self.score, "along": self.along}
        return {"step": self.step, "sigma": self.sigma}


class Plane(Struct, frozen=True, kw_only=True, gc=False):
    """What a network of the Lab makes of the plane, at one step of its training.

    Places are uint16 little-endian, 0 to 65535 for -EDGE to EDGE of each coordinate. A grid is
    GRID × GRID bytes, row by row, its first row at the top.
    """

    samples: bytes = b""  # [N, 2] places
    surface: bytes = b""  # a grid: 0 to 255 for `low` to `high`
    low: float = 0.0
    high: float = 0.0
    chances: bytes = b""  # a grid a class: its probability, 0 to 255 for 0 to 1
    arrows: bytes = b""  # [A, 2, 2] places: from, to


class PointsFrame(Struct, frozen=True, tag="points_frame", kw_only=True, gc=False):
    """One training step in the Lab."""

    trace: int
    step: int  # training steps done
    measures: tuple[tuple[str, float], ...]  # each loss by its name
    digest: bytes  # of all that is trained: two states are the same where this is
    divergence: float | None = None  # bits from the true density, where it was measured
    plane: Plane | None = None  # every so many steps
    data: bytes = b""  # the first frame's: [N, 2] places of the data, and
    classes: bytes = b""  # [N] their classes
    floor: float | None = None  # and the divergence that samples of the truth itself come to

    @property
    def identity(self) -> tuple[object, ...]:
        return (self.digest,)

    @property
    def content(self) -> bytes:
        return self.digest

    def facts(self) -> dict[str, Any]:
        """Each loss by its name."""
        return {"step": self.step, **dict(self.measures)}


Frame = TextFrame | ImageFrame | PointsFrame


class Idle(Struct, frozen=True, tag="idle", kw_only=True):
    """An Advance ended. `seconds` is compute time for `steps` steps.

    `total` is the step at which the trace ends, as things stand; an edit may have moved it.
    """

    trace: int
    step: int
    steps: int
    seconds: float
    total: int = 0
    reason: Literal["done", "finished", "cancelled"]


class Failed(Struct, frozen=True, tag="failed"):
    """One plain line for a person. `trace` is -1 where no trace is concerned."""

    trace: int
    message: str


class Attention(Struct, frozen=True, tag="attention", kw_only=True):
    """Where one token looked: `weights` is float16 [layers, heads, tokens], rows summing to 1.

    Of a network that has no attention there are no weights, and `fault` says so.
    """

    trace: int
    step: int
    first: int  # how many tokens of prompt and text come before `texts`
    layers: int = 0
    heads: int = 0
    texts: tuple[str, ...] = ()  # the tokens it could see, the last itself
    weights: bytes = b""
    fault: str = ""


class Labels(Struct, frozen=True, tag="labels", kw_only=True):
    """The answer to a Label: labels and their probabilities, the likeliest first.

    Where the classifier can say nothing of such a sample `fault` says why.
    """

    trace: int
    step: int
    model: str
    labels: tuple[tuple[str, float], ...] = ()
    fault: str = ""


class Neighbour(Struct, frozen=True, kw_only=True, gc=False):
    """A training image: height × width × 3 bytes, RGB, row by row."""

    caption: str
    distance: float  # from the sample, as `Neighbours.measured` says
    width: int
    height: int
    rgb: bytes


class Quote(Struct, frozen=True, kw_only=True, gc=False):
    """The longest run that stands word for word in the training text."""

    text: str
    first: int  # the steps whose tokens it is made of, both included
    last: int
    where: str  # "line 1,204 of 36,000"
    before: str  # what stands around it there
    after: str


class Neighbours(Struct, frozen=True, tag="neighbours", kw_only=True):
    """What a sample is like among the training data: images nearest first, or a quote.

    Where the data cannot be had `fault` says why and what to do.
    """

    trace: int
    step: int
    data: str = ""  # what was looked through: "icons, 7,236 images"
    measured: str = ""  # how: "root mean square of the colours, 0 to 255"
    images: tuple[Neighbour, ...] = ()
    quote: Quote | None = None
    fault: str = ""


class Inspection(Struct, frozen=True, tag="seen", kw_only=True, gc=False):
    """The answer to a Look. `paths` is [levels, N, 2] places, from noise to samples."""

    trace: int
    step: int
    noise: float
    plane: Plane
    levels: int = 0
    paths: bytes = b""


class Warmed(Struct, frozen=True, tag="warmed"):
    model: str


Reply = (
    Ready | Started | TextFrame | ImageFrame | PointsFrame | Attention | Neighbours | Labels
    | Inspection | Idle | Failed | Warmed
)  # fmt: skip
