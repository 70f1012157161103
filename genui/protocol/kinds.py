"""The table of kinds of models. To add a kind, add a folder to `genui/kinds`, or a plug-in.

A `Kind` says what a kind of model is, in data, and how its parts are reached, in functions without
arguments. The modules that these name are imported when a function is called (`genui.base.late`):
listing kinds imports neither torch nor Textual, and generating text imports no code for images.
Each function returns a *face*, a class of the room that calls it:

| field | face | needs |
|---|---|---|
| `prepares` | `genui.engine.kinds.Prepares` | neither torch nor Textual |
| `trains` | `genui.engine.kinds.Trains` | torch |
| `generates` | `genui.engine.kinds.Generates` | torch |
| `begins` | `genui.engine.kinds.Begins` | torch |
| `labels` | `genui.engine.kinds.Labels` | torch |
| `opens` | `genui.engine.loaders.Loader` | torch |
| `saves` | `genui.formats.kinds.Saves` | neither torch nor Textual |
| `prints` | `genui.cli.kinds.Prints` | neither torch nor Textual |
| `shows` | `genui.ui.kinds.Shows` | Textual |
"""

import pkgutil
from argparse import ArgumentParser
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeVar, get_args

import msgspec
from msgspec import Struct

from genui.base import paths
from genui.base.command import Command
from genui.base.errors import MisuseError
from genui.base.manual import Page
from genui.base.plugins import Table, UnknownNameError
from genui.base.watermarks import Watermark
from genui.protocol.messages import CoreReply, CoreRequest
from genui.protocol.settings import CoreEdit, Settings, Tagged

if TYPE_CHECKING:
    from genui.protocol.edits import VariationMethod

Face = TypeVar("Face")
Open = Callable[[], object]
"""Makes a face."""

PRETRAINED = "pretrained"
"""The family of models that others trained, whatever their architecture."""


class Recipes(NamedTuple):
    """How a kind is trained again."""

    recipe: type
    """The class of its recipes."""
    shipped: Sequence[Any] = ()
    """The recipes that come with it; kinds may share recipes."""


class Target(Struct, frozen=True, kw_only=True):
    """A format of other programs in which `genui convert` writes models."""

    title: str
    """With an article: "a Hugging Face folder"."""
    reader: str
    """The program that reads it."""
    suffix: str = ""
    """Of its file; "" for a folder."""
    dtypes: tuple[str, ...] = ("fp32",)
    """The types of its weights, the default first."""


class Kind(Struct, frozen=True, kw_only=True):
    """A kind of model: how it is trained, measured, sampled, shown and saved."""

    family: str
    medium: str
    ability: str
    """The end of a sentence that begins with the model's name: "writes text"."""
    place: int = 100
    """Lists of kinds, recipes and models have the order of these numbers."""
    folder: Path | None = None
    """The folder with its `weights` and `styles.tcss`, as far as it has them."""
    limitations: str = ""
    """The limits of its models; a dataset has its own `limitations`, which its card adds."""

    # --- Training by recipes; None for models that cannot be trained on ---
    recipes: Callable[[], Recipes] | None = None
    datasets: Callable[[], Mapping[str, object]] | None = None
    """Its table of datasets, by `genui.engine.data.dataset.dataset_table`, if it has its own."""
    prepares: Open | None = None
    trains: Open | None = None

    # --- Generation; None for classifiers, which have `labels` ---
    generates: Open | None = None
    """None for models that others trained: a row of `genui.hub.formats` loads them."""
    ref: str = ""
    """The name of its only model if that has no file, since a trace of it is its training."""
    begins: Open | None = None
    """The function that begins that training."""
    labels: Open | None = None
    formats: Callable[[], Mapping[str, object]] | None = None
    """Formats of other people's models, each a `genui.hub.formats.ModelFormat`."""
    opens: Mapping[str, Open] = {}
    """Each of these formats to what opens its models."""
    catalogue: Callable[[], Sequence[object]] | None = None
    """Models of these formats that `genui pull` knows, each a `genui.hub.catalogue.Entry`."""
    targets: Mapping[str, Target] = {}
    """Formats in which its models are written, by name, the default first."""
    settings: type[Settings] | None = None
    default_settings: Settings | None = None
    """Its default settings, if they differ from the defaults of the class."""
    messages: tuple[type[Tagged], ...] = ()
    """Its own frames, edits, requests and replies."""
    edits: tuple[str, ...] = ()
    """The edits of a trace besides its settings."""
    first_step: int = 0
    """The step of a trace's first frame: 1 if step 0 is the prompt."""
    options: tuple[str, ...] = ()
    """Options of `genui generate` that are not settings."""
    takers: str = ""
    """The models that take these options, if no other kind has them; else its medium says it."""
    variation: "VariationMethod | None" = None
    """How its traces are varied."""
    batches: bool = False
    """Whether it can generate finished images in one batch."""
    classifier_medium: str = ""
    """The medium of classifiers for its samples; "" is its own medium."""

    # --- Display and files ---
    makes: str = ""
    """Its sample with an article: "an image"."""
    cell: int = 32
    """The side of one image in the samples of a training, in pixels; 0 if it varies."""
    pane: str = ""
    """The id of the pane that shows its traces."""
    title: str = ""
    """The title of that pane."""
    keys: Callable[[], Sequence[object]] | None = None
    """The keys of that pane, each a `genui.ui.keys.Key`; None if another kind has them."""
    replaces_canvas: bool = False
    """Whether the pane takes the place of the Canvas."""
    has_screen: bool = False
    """Whether the pane has a screen of its own, which a key `app.PANE` of its `keys` opens."""
    modes: Mapping[str, str] = {}
    """The scopes of keys in modes of the pane, with their titles."""
    shows: Open | None = None
    tour: Callable[[], Sequence[object]] | None = None
    """Its station of the tour, each a `genui.ui.tour.Step`; kinds that share one offer it once."""
    demo: Open | None = None
    """The `genui.ui.demo.Demonstration` that plays on Home before a key is pressed."""
    saves: Open | None = None
    init_prefix: str = ""
    """The prefix of `Start.init` if it is not a file but holds the start of the trace itself."""
    watermarks: tuple[Watermark, ...] = ()
    """The watermarks that its samples may carry, and how they are found. Kinds may share rows."""
    scales: Mapping[str, tuple[float, float]] = {}
    """Maps a unit of a measured quality, where less is better, to a good and a fair value."""
    syntax: Literal["", "python"] = ""
    """The language of the syntax highlighting."""
    first: tuple[int, str] | None = None
    """Its place among the models that new users see first, and the name of that shipped model."""
    help: Page | str = "start"
    """Its page of the manual, or the topic of a page that there is without it."""
    files: tuple[str, ...] = ()
    """The suffixes that `--out` writes, the default first."""
    streams: bool = False
    """Whether its samples are text, printed while generated."""
    prints: Open | None = None
    add_options: Mapping[str, Callable[[ArgumentParser], None]] = {}
    """Functions that add options, by command, such as "generate" or "models add"."""
    commands: Mapping[str, Command] = {}
    """Commands of its own; several kinds may share one."""
    examples: tuple[str, ...] = ()
    """Commands that the help of `genui generate` shows."""

    @property
    def name(self) -> str:
        """Its name in files and tables: `transformer/text`."""
        return f"{self.family}/{self.medium}"

    @property
    def topic(self) -> str:
        """The topic of its page of the manual."""
        return self.help.topic if isinstance(self.help, Page) else self.help

    @property
    def can_generate(self) -> bool:
        return self.settings is not None

    @property
    def defaults(self) -> Any:
        """The settings that apply unless others are given."""
        if self.default_settings is not None:
            return self.default_settings
        return self.settings() if self.settings is not None else None


def open_face(open: Open | None, face: type[Face]) -> Face | None:
    """The face that a function of a kind returns; None for a kind without it.

    Raises TypeError if it is another class: a fault of the kind.
    """
    if open is None:
        return None
    opened = open()
    if not isinstance(opened, face):
        raise TypeError(f"a kind gives a {type(opened).__name__}, and not a {face.__name__}")
    return opened


# --- The table --------------------------------------------------------------------------------


@cache
def _built_in() -> dict[str, Kind]:
    """The kinds of the folders of `genui/kinds` by name, in the order of their places."""
    folder = Path(__file__).parents[1] / "kinds"
    names = [at.name for at in pkgutil.iter_modules([str(folder)])]
    rows = [kind for name in names for kind in import_module(f"genui.kinds.{name}").KINDS]
    return {kind.name: kind for kind in sorted(rows, key=lambda kind: kind.place)}


class Kinds(Mapping[tuple[str, str], Kind]):
    """(family, medium) to the kind: those of `genui/kinds`, then those of plug-ins.

    Nothing is imported before the first look-up, and no plug-in for a kind that is built in.
    """

    def __init__(self) -> None:
        self._table = Table("genui.kinds", Kind, _built_in)

    def __getitem__(self, key: tuple[str, str]) -> Kind:
        return self._table["/".join(key)]

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return ((kind.family, kind.medium) for kind in self._table.values())

    def __len__(self) -> int:
        return len(self._table)

    def list_built_in(self) -> list[Kind]:
        """The kinds of `genui/kinds`. Loads no plug-in."""
        return list(self._table.built_in.values())

    def list_of_plugins(self) -> list[Kind]:
        return [kind for name, kind in self._table.items() if name not in self._table.built_in]


KINDS = Kinds()


# --- Settings, edits and messages of all kinds --------------------------------------------------

T = TypeVar("T", bound=Tagged)
_CORE: Mapping[str, type[Tagged]] = {
    str(one.__struct_config__.tag): one
    for union in (CoreRequest, CoreReply, CoreEdit)
    for one in get_args(union)
}
"""The classes of the core by their tags; no tag is used twice."""


def find_tagged(base: type[T], tag: str) -> type[T]:
    """The class of that tag below `base`: Settings, Edit, Request, Reply or Frame.

    No plug-in is loaded for a tag that is built in. Raises UnknownNameError if no kind has it.
    """
    if issubclass(one := _CORE.get(tag, object), base):
        return one
    for kind in KINDS.values():  # plug-ins come last, and are loaded only then
        for one in kind.messages if kind.settings is None else (kind.settings, *kind.messages):
            if one.__struct_config__.tag == tag and issubclass(one, base):
                return one
    noun = base.__name__.lower()
    raise UnknownNameError(f"kind of model with the {noun} '{tag[:40]}'", "it is not installed")


def decode_tagged(base: type, value: Any) -> Any:
    """The `dec_hook` of msgspec for a field that is a base of tagged classes.

    Raises UnknownNameError as `find_tagged`, and msgspec.ValidationError for a wrong value.
    """
    tag = value.get("type") if isinstance(value, dict) else None
    if not isinstance(tag, str):
        raise msgspec.ValidationError("Object missing required field `type`")
    return msgspec.convert(value, find_tagged(base, tag), dec_hook=decode_tagged)


def list_settings() -> list[type[Settings]]:
    """The classes of settings of all kinds."""
    return list(dict.fromkeys(kind.settings for kind in KINDS.values() if kind.settings))


# --- Look-ups -----------------------------------------------------------------------------------


def first_models() -> list[str]:
    """The shipped models that lists begin with, for new users."""
    return [name for _, name in sorted({kind.first for kind in KINDS.values() if kind.first})]


def list_watermarks(medium: str) -> list[Watermark]:
    """The watermarks that files of a medium may carry, of all kinds, each once."""
    rows = (row for kind in KINDS.values() for row in kind.watermarks)
    return list({row.name: row for row in rows if medium in row.media}.values())


def list_media() -> tuple[str, ...]:
    return tuple(dict.fromkeys(medium for _, medium in KINDS))


def list_families() -> tuple[str, ...]:
    return tuple(dict.fromkeys(family for family, _ in KINDS))


def weights_folders() -> list[Path]:
    """The folders with the weights and records that ship: the package's and the kinds'."""
    of_kinds = (kind.folder / "weights" for kind in KINDS.values() if kind.folder is not None)
    return [paths.weights_dir(), *dict.fromkeys(of_kinds)]


def find_weights(name: str) -> Path:
    """The file or folder of that name below one of `weights_folders`, or where it would be."""
    places = [folder / name for folder in weights_folders()]
    return next((place for place in places if place.exists()), places[0])


def add_options(parser: ArgumentParser, command: str) -> None:
    """Add the options that kinds bring for a command."""
    for kind in KINDS.values():
        if command in kind.add_options:
            kind.add_options[command](parser)


def find_kind(family: str, medium: str, name: str) -> Kind:
    """The kind of a model that generates. Raises MisuseError, which begins with its name."""
    kind = KINDS.get((family, medium))
    if kind is None or not kind.can_generate:
        raise MisuseError(
            f"{name} {describe_ability(family, medium)}; `genui models` lists what generates"
        )
    return kind


def kind_of_trace(name: str, settings: Settings) -> Kind:
    """The kind of that name; the first with such settings if it is not known yet, or not here."""
    kinds = {kind.name: kind for kind in KINDS.values() if kind.settings is type(settings)}
    return kinds.get(name) or next(iter(kinds.values()))


def describe_ability(family: str, medium: str) -> str:
    """The end of a sentence that begins with the model's name."""
    kind = KINDS.get((family, medium))
    if kind is None:
        return "is of a kind that this version of genui does not know"
    return kind.ability if kind.can_generate else f"{kind.ability} and cannot generate"
