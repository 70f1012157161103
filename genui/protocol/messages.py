"""The messages: requests of the app and replies of the worker."""

from collections.abc import Iterable, Sequence
from typing import Annotated, Any, Literal, NamedTuple, Self

from msgspec import Meta, Struct
from msgspec.structs import asdict, replace

from genui.base.energy import Energy
from genui.protocol.settings import FILL, Axis, Edit, EditAt, RgbImage, Seed, Settings, Tagged

VERSION = 3


# --- app to worker ------------------------------------------------------------------


class Request(Tagged, frozen=True):
    """The base of requests."""

    __slots__ = ()


class Hello(Request, Struct, frozen=True, tag="hello"):
    """The first message; the worker answers Ready or exits."""

    version: int = VERSION


class Start(Request, Struct, frozen=True, tag="start", kw_only=True):
    """Begin a trace, with the edits of its branch. Answered by Started or Failed.

    The same request on the same machine gives the same bits; the number of the trace is
    irrelevant.
    """

    trace: int
    model: str  # a shipped name, a run, run@step, or a path
    prompt: str
    seed: Seed
    settings: Settings
    edits: tuple[EditAt, ...] = ()  # in the order of their steps
    # `init` is what to start from: an image, the path of a file for the worker to read,
    # FROM_DATA, or a text of `Kind.init_prefix`. For images, `strength` is the share of the
    # schedule that is re-noised; 1 ignores the image.
    init: RgbImage | str | None = None
    strength: Annotated[float, Meta(gt=0, le=1)] = 0.6
    forward: bool = False  # the forward process: noise is added to `init`
    grid: Annotated[tuple[Axis, ...], Meta(max_length=2)] = ()  # along x, along y: one batch
    record: bytes = b""  # of a model that computes elsewhere: its answers so far (`Saves.record`)
    chat: bool = False  # the prompt is the first message of a chat, by the model's template
    system: str = ""  # its system prompt
    # How the model computes, as in Started: of a saved trace. "": by the settings.
    precision: Annotated[str, Meta(max_length=200)] = ""


class Fork(Request, Struct, frozen=True, tag="fork", kw_only=True):
    """A new trace with the steps of `parent` up to `step`, where the edit applies.

    Answered by Started or Failed.
    """

    trace: int
    parent: int
    step: int
    edit: Edit
    then: Edit | None = None  # a second edit at the same step, made after the first


class Advance(Request, Struct, frozen=True, tag="advance", kw_only=True):
    """Take up to `steps` steps from step `start`. Answered by a frame for each, then Idle."""

    trace: int
    start: int
    steps: int


class Cancel(Request, Struct, frozen=True, tag="cancel"):
    """Stop advancing; takes effect within one step."""

    trace: int


class Close(Request, Struct, frozen=True, tag="close"):
    """Remove the trace from memory."""

    trace: int


class Attend(Request, Struct, frozen=True, tag="attend", kw_only=True):
    """The attention of the token of `step`. Answered by Attention or Failed."""

    trace: int
    step: int


LogitBase = Literal["other", "mean"]
"""The baseline of a logit: the logit of the likeliest other token, or the mean over all tokens."""


class ReadLayers(Request, Struct, frozen=True, tag="read_layers", kw_only=True):
    """The prediction of each layer for the token of `step`. Answered by Layers or Failed."""

    trace: int
    step: int
    over: LogitBase = "other"


class ReadTokens(Request, Struct, frozen=True, tag="read_tokens", kw_only=True):
    """The token ids of the model's input at `step`. Answered by Tokens or Failed."""

    trace: int
    step: int


class Nearest(Request, Struct, frozen=True, tag="nearest", kw_only=True):
    """The training data most similar to `step`. Answered by Neighbours or Failed."""

    trace: int
    step: int
    count: Annotated[int, Meta(ge=1, le=16)] = 6  # of images


class Question(Request, frozen=True, kw_only=True):
    """The base of requests of a kind about one step, which its generator answers."""

    __slots__ = ()

    trace: int
    step: int


MapView = Literal["words", "channels"]


class ReadMaps(Question, Struct, frozen=True, tag="read_maps", kw_only=True):
    """How the image of `step` is seen from within. Answered by Maps or Failed."""

    trace: int
    step: int
    view: MapView


class Label(Request, Struct, frozen=True, tag="label", kw_only=True):
    """Classify the sample at `step`. Answered by Labels or Failed."""

    trace: int
    step: int
    model: str  # the classifier


class Warm(Request, Struct, frozen=True, tag="warm"):
    """Load a model before it is needed."""

    model: str


CoreRequest = (
    Hello
    | Start
    | Fork
    | Advance
    | Cancel
    | Close
    | Attend
    | ReadLayers
    | ReadTokens
    | Nearest
    | ReadMaps
    | Label
    | Warm
)


# --- worker to app ------------------------------------------------------------------
# Frames arrive by the hundred per second and stay in memory. They hold no cycles (gc=False), so
# the garbage collector skips them and keys are answered sooner.


class Reply(Tagged, frozen=True):
    """The base of replies."""

    __slots__ = ()


class Answer(Reply, frozen=True, kw_only=True):
    """The base of replies about one trace."""

    __slots__ = ()

    trace: int


class Ready(Reply, Struct, frozen=True, tag="ready", kw_only=True):
    version: int
    device: str
    precision: str
    threads: int
    pid: int
    torch: str = ""  # its version
    processor: str = ""


PieceKind = Literal["text", "label", "template"]


class Piece(Struct, frozen=True, array_like=True, gc=False):
    """A part of a chat that no step wrote.

    "text" is a message, "label" names a role where the template is hidden, and "template" is what
    the model reads instead of labels: its special tokens and the names of roles.
    """

    kind: PieceKind
    text: str


def join_pieces(pieces: Iterable[Piece]) -> str:
    """The pieces as text, with labels in place of the template's tokens."""
    return "".join(piece.text for piece in pieces if piece.kind != "template")


def label_turn(role: str, first: bool = False) -> Piece:
    """The label of a turn of `role`, on a new paragraph unless it is the first."""
    return Piece("label", f"{role}: " if first else f"\n\n{role}: ")


def label_message(text: str) -> tuple[Piece, ...]:
    """A later message of the user, as it is shown."""
    return label_turn("user"), Piece("text", text), label_turn("assistant")


class Started(Answer, Struct, frozen=True, tag="started", kw_only=True):
    trace: int
    model: str
    family: str
    medium: str
    prompt: str  # as the model reads it
    suffix: str = ""  # for a prompt with a gap (FILL): the text after it, perhaps with more gaps
    total_steps: int
    step: int = 0  # the step at which it forks, or 0
    note: str = ""  # e.g. words or characters that are not in the vocabulary
    init: RgbImage | str | None = None  # its start, as the model reads it
    fingerprint: str = ""  # of the weights
    precision: str = ""  # "" if it is the worker's
    pieces: tuple[Piece, ...] = ()  # of a chat: `prompt` with the template's tokens

    @property
    def kind(self) -> str:
        """The name of the kind of its model; "" if that is not known."""
        return f"{self.family}/{self.medium}" if self.family else ""


class Candidate(Struct, frozen=True, array_like=True, gc=False):
    """One possible next token."""

    token: int
    text: str
    model: float  # its probability by the model
    sampled: float  # its probability after the settings; 0 if a filter dropped it
    logit: float = 0.0  # before the settings
    dropped: str = ""  # the filter that dropped it: "top-k", "top-p" or "min-p"


class Frame(Answer, frozen=True, kw_only=True):
    """The base of frames: one step of a trace. Other fields depend on the kind of model."""

    __slots__ = ()

    step: int
    text: str = ""
    """The text that the step wrote; "" for a step that writes nothing."""
    images: int = 0
    """The number of images: more than one for a clip."""
    sound: bytes = b""
    """Samples at `rate` Hz: int16, one channel, little-endian."""
    rate: int = 0
    received: bytes = b""
    """The answer of a model that computes elsewhere, for the record."""

    @property
    def transcript(self) -> str:
        """The text, after the text that was read before it."""
        return self.text

    @property
    def page(self) -> str | None:
        """The whole text with its prompt, of a step that may change all of it; else None."""
        return None

    @property
    def token_ids(self) -> tuple[int, ...]:
        """The tokens that the step wrote."""
        return ()

    @property
    def is_whole(self) -> bool:
        """Whether its data have the sizes that it says."""
        return True

    def strip(self) -> Self:
        """The frame as it is kept, without what may be left out."""
        return self

    @property
    def identity(self) -> tuple[object, ...]:
        """Equal for two frames with the same result."""
        raise NotImplementedError

    @property
    def content(self) -> bytes:
        """The bytes that a saved trace is checked against."""
        raise NotImplementedError

    def facts(self) -> dict[str, Any]:
        """The step for scripts, as JSON data."""
        raise NotImplementedError


def text_of_frames(frames: Sequence[Frame]) -> str:
    """The text of consecutive steps: what each wrote, or the last page."""
    page = frames[-1].page if frames else None
    return "".join(frame.text for frame in frames) if page is None else page


class TextFrame(Frame, Struct, frozen=True, tag="text_frame", kw_only=True, gc=False):
    """One generated token; `candidates` is the distribution from which it was sampled.

    The token was chosen because `u` lies in [`low`, `high`), its share of the cumulative
    distribution. A forced token was not sampled.
    """

    trace: int
    step: int  # 1-based: after this many tokens
    token: int
    text: str = ""
    surprisal: float  # bits, under the model
    entropy: float  # bits, of the model's distribution
    candidates: tuple[Candidate, ...]
    sampled_entropy: float = 0.0  # bits, of the distribution after the settings
    u: float = 0.0
    low: float = 0.0
    high: float = 0.0
    forced: bool = False
    kept: int = 0  # number of tokens that passed the filters
    marks: tuple[int, int] = (0, 0)  # of a watermark, and of how many; of (0, 0) it counts nothing
    chance: float = 1.0  # the probability that the text so far has its marks by chance
    # Of a model that computes elsewhere:
    rest: float = 0.0  # the probability of the tokens that it did not list
    vocabulary: int = 0  # the number of all its tokens, if it is known
    received: bytes = b""  # its answer, for the record
    # What was read before this token: the message of a chat, or the text between two gaps.
    before: tuple[Piece, ...] = ()
    special: str = ""  # the name of a special token, which has no text

    @property
    def identity(self) -> tuple[object, ...]:
        return self.token, self.text, self.before  # token ids depend on the model

    @property
    def transcript(self) -> str:
        """The text with the message before it."""
        return join_pieces(self.before) + self.text if self.before else self.text

    @property
    def token_ids(self) -> tuple[int, ...]:
        return (self.token,)

    @property
    def content(self) -> bytes:
        return self.text.encode()

    def facts(self) -> dict[str, Any]:
        """The token, its candidates and how it was chosen."""
        facts = asdict(self) | {"candidates": [asdict(one) for one in self.candidates]}
        del facts["trace"], facts["received"], facts["before"]
        if not self.received:
            del facts["rest"], facts["vocabulary"]
        if not self.special:
            del facts["special"]
        if self.chance == 1:
            del facts["marks"], facts["chance"]
        return facts | ({"before": join_pieces(self.before)} if self.before else {})


def remaining_suffix(suffix: str, frames: Iterable[Frame]) -> str:
    """The text after a gap without what stands before the later gaps that `frames` fill."""
    if FILL not in suffix:
        return suffix
    filled = sum(1 for frame in frames if isinstance(frame, TextFrame) and frame.before)
    return suffix.split(FILL, filled)[-1]


class ImageFrame(Frame, Struct, frozen=True, tag="image_frame", kw_only=True, gc=False):
    """One step of an image. Images are height × width × 3 bytes, RGB, row by row.

    A grid is one image, its cells side by side. For a clip, each of `x`, `denoised` and `noise`
    holds `images` images, one after the other.
    """

    trace: int
    step: int  # 0 is pure noise, or the noisy image that it starts from
    sigma: float
    width: int
    height: int
    x: bytes  # the noisy image, scaled to the spread of a clean one
    denoised: bytes  # predicted x₀: the clean image that the model predicts
    noise: bytes = b""  # the predicted noise: (x - denoised) / σ, from -3 to 3
    images: int = 1
    sound: bytes = b""  # of `denoised`: int16, one channel, little-endian
    rate: int = 0  # sample rate of `sound`, in Hz

    @property
    def identity(self) -> tuple[object, ...]:
        return self.width, self.height, self.x

    @property
    def is_whole(self) -> bool:
        size = self.width * self.height * self.images * 3
        return size > 0 and len(self.x) == len(self.denoised) == size

    def strip(self) -> Self:
        return replace(self, noise=b"")

    @property
    def content(self) -> bytes:
        return self.x

    def facts(self) -> dict[str, Any]:
        """The noise level."""
        return {"step": self.step, "sigma": self.sigma}


class Idle(Answer, Struct, frozen=True, tag="idle", kw_only=True):
    """An Advance ended. `seconds` is the compute time of `steps` steps, `energy` what they cost.

    `total` is the step at which the trace ends now; an edit may have changed it.
    """

    trace: int
    step: int
    steps: int
    seconds: float
    total: int = 0
    energy: Energy = Energy()
    reason: Literal["done", "finished", "cancelled"]


class Spent(Answer, Struct, frozen=True, tag="spent", kw_only=True):
    """What the `steps` steps of a pending Advance have cost so far, about once a second."""

    trace: int
    steps: int
    energy: Energy


class Loading(Answer, Struct, frozen=True, tag="loading", kw_only=True):
    """A large model is being loaded for a trace, or it reads a long prompt. A Cancel or Close of
    the trace stops it."""

    trace: int
    share: float  # the share of the weights, or of the prompt, that is read, 0 to 1
    size: int  # bytes that the weights take in memory
    prompt: int = 0  # tokens of the prompt that is read; 0 while the model is loaded


class Failed(Answer, Struct, frozen=True, tag="failed"):
    """An error message of one line. `trace` is -1 if it is not about a trace."""

    trace: int
    message: str


class Attention(Answer, Struct, frozen=True, tag="attention", kw_only=True):
    """The attention of one token: `weights` is float16 [layers, heads, tokens], rows sum to 1.

    A network without attention has no weights, and `fault` says so.
    """

    trace: int
    step: int
    first: int = 0  # number of tokens before `texts`
    layers: int = 0
    heads: int = 0
    texts: tuple[str, ...] = ()  # the tokens in the context; the last is the token itself
    weights: bytes = b""
    fault: str = ""


class Contribution(NamedTuple):
    """The amount that an attention head, or without `head` the feed-forward, added to a logit."""

    layer: int
    head: int | None
    value: float

    @property
    def address(self) -> str:
        """As an Ablate is typed: `3.2`, `3.ff`."""
        return f"{self.layer}.{'ff' if self.head is None else self.head}"


class LayerOdds(Struct, frozen=True, array_like=True, gc=False):
    """The logit lens of one layer: the head applied to the residual stream after it."""

    top: tuple[tuple[str, float], ...]  # the likeliest tokens and their probabilities
    chosen: float  # the probability of the token that was written
    rank: int  # of that token, from 1
    entropy: float  # bits


class Layers(Answer, Struct, frozen=True, tag="layers", kw_only=True):
    """The reply to a ReadLayers: the logit lens of one token, and what added to its logit.

    The contributions are to the difference of two logits before any cap: that of `token`, which
    was written, less that of `other`, the likeliest one besides, or less the mean of all. With the
    scale of the final norm frozen they and `rest` sum to `difference`. For a model that does not
    show its layers there are none, and `fault` says so.
    """

    trace: int
    step: int
    token: str = ""
    layers: tuple[LayerOdds, ...] = ()  # of the embedding, then after each layer
    settled: int = 0  # from this layer on, the likeliest token is the last layer's
    other: str = ""
    over: LogitBase = "other"
    heads: tuple[tuple[float, ...], ...] = ()  # for each layer, the amount that each head added
    feed_forward: tuple[float, ...] = ()  # of each layer
    rest: float = 0.0  # of the embedding, of biases and of edits
    difference: float = 0.0
    mixer: str = "attention"  # what the heads are of: "attention", or "recurrence" with one head
    fault: str = ""

    def contributions(self) -> list["Contribution"]:
        """The amounts that the parts added, layer by layer: the heads, then the feed-forward."""
        return [
            Contribution(layer, head, value)
            for layer, (heads, fed) in enumerate(
                zip(self.heads, self.feed_forward, strict=True), start=1
            )
            for head, value in ((*enumerate(heads, start=1), (None, fed)))
        ]


class Tokens(Answer, Struct, frozen=True, tag="tokens", kw_only=True):
    """The reply to a ReadTokens: the prompt with its template, and all that follows."""

    trace: int
    step: int
    token_ids: tuple[int, ...]


class Labels(Answer, Struct, frozen=True, tag="labels", kw_only=True):
    """The reply to a Label: labels and their probabilities, the likeliest first.

    If the classifier cannot label such a sample, `fault` says why.
    """

    trace: int
    step: int
    model: str
    labels: tuple[tuple[str, float], ...] = ()
    fault: str = ""


class Neighbour(Struct, frozen=True, kw_only=True, gc=False):
    """A training image: height × width × 3 bytes, RGB, row by row."""

    caption: str
    distance: float  # from the sample, in the metric that `Neighbours.measured` names
    width: int
    height: int
    rgb: bytes


class Quote(Struct, frozen=True, kw_only=True, gc=False):
    """A passage that is a copy of the training text."""

    text: str
    first: int  # steps of its first and last token
    last: int
    where: str  # "plays.txt, line 1,204, ROMEO"
    before: str = ""  # the training text around it
    after: str = ""
    usual: float | None = None  # the share of held-out passages with so long a copy


class Agreement(Struct, frozen=True, kw_only=True, gc=False):
    """How far the images that several seeds predict for one caption differ."""

    caption: str  # in the colours that are compared
    seeds: int
    spread: float  # standard deviation over the seeds, of colours from -1 to 1
    edge: float  # the spread up to which the caption is said to give one picture

    @property
    def word(self) -> str:
        """What the seeds agree on. It does not say that the picture is a copy."""
        return "one picture" if self.spread <= self.edge else "many pictures"

    def describe(self) -> str:
        """The word, and how it was measured."""
        return (
            f"{self.word}: {self.seeds} seeds differ by {self.spread:.3f} on “{self.caption}” "
            f"(up to {self.edge:g}: one picture)"
        )


class Neighbours(Answer, Struct, frozen=True, tag="neighbours", kw_only=True):
    """The training data most similar to a sample: images, the nearest first, or quotes, the longest
    first, which share no token's text.

    If the data are not available, `fault` says why and what to do.
    """

    trace: int
    step: int
    data: str = ""  # the data that were searched: "icons, 7,236 images"
    measured: str = ""  # the metric: "root mean square of the colours, 0 to 255"
    images: tuple[Neighbour, ...] = ()
    quotes: tuple[Quote, ...] = ()
    agreement: Agreement | None = None  # of a captioned diffusion model of images
    fault: str = ""


class Maps(Answer, Struct, frozen=True, tag="maps", kw_only=True, gc=False):
    """Small maps over an image: the share of its attention that each place gives to each word of
    the caption, 0 to 1, or the channels of the predicted x₀, from -1 to 1."""

    trace: int
    step: int
    view: MapView
    names: tuple[str, ...]  # the words, or the numbers of the channels
    side: int
    values: bytes  # float16 [names, side, side]


CoreReply = (
    Ready | Started | TextFrame | ImageFrame | Attention | Layers | Tokens
    | Neighbours | Maps | Labels | Idle | Spent | Loading | Failed
)  # fmt: skip
