"""The effect of the edits of a branch: the request of a fork, and the inputs at a step."""

import re
import types
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from msgspec.structs import replace

from genui.base.errors import MisuseError
from genui.protocol.kinds import kind_of_trace
from genui.protocol.messages import Start
from genui.protocol.settings import (
    Ablate,
    AddNoise,
    Denoise,
    Edit,
    EditAt,
    LayerEdit,
    Patch,
    SetPrompt,
    SetSeed,
    SetSettings,
    Settings,
    Steer,
)


def add_edit(request: Start, step: int, edit: Edit) -> Start:
    """The request with `edit` at `step`, without the edits after that step."""
    before = (at for at in request.edits if at.step <= step)
    return replace(request, edits=(*before, EditAt(step=step, edit=edit)))


def inputs_at(request: Start, step: int | None = None) -> tuple[str, int, Any]:
    """The prompt, the seed and the settings at `step`, or at the end of the branch."""
    prompt, seed, settings = request.prompt, request.seed, request.settings
    for at in request.edits:
        if step is not None and at.step > step:
            continue
        match at.edit:
            case SetPrompt():
                prompt = at.edit.prompt
            case SetSeed():
                seed = at.edit.seed
            case SetSettings():
                settings = at.edit.settings
    return prompt, seed, settings


def steps_at(request: Start, step: int) -> int:
    """The number of denoising steps by the settings at `step`."""
    return inputs_at(request, step)[2].steps


def sample_step(request: Start, last: int) -> int:
    """The step that represents the whole trace."""
    return last if request.edits else request.settings.sample_step(last)


def parse_strength(text: str) -> float:
    """The share of the schedule to repeat. Raises ValueError unless above 0 and up to 1."""
    strength = float(text)
    if not 0 < strength <= 1:
        raise ValueError(text)
    return strength


def init_step(strength: float, steps: int) -> int:
    """The step of the schedule with the noise level to which `Start.init` is re-noised; never the
    last step, so at least one step is taken."""
    return min(round((1 - strength) * steps), steps - 1)


def steps_to_take(request: Start, steps: int) -> int:
    """How many of the schedule's steps a request takes: fewer from an image with noise."""
    is_repeated = request.init is not None and not request.forward
    return steps - init_step(request.strength, steps) if is_repeated else steps


def draft_step(steps: int) -> int:
    """The step at which drafts stop unless the user names another: a third of all."""
    return max(1, steps // 3)


def schedule_step(request: Start, step: int) -> int:
    """The step of a plain schedule, 0 for pure noise, with the noise level of `step` here."""
    steps = steps_at(request, step)
    rising = request.forward
    offset = steps - steps_to_take(request, steps)
    for at in request.edits:
        if at.step > step:
            break
        if isinstance(at.edit, AddNoise):
            offset = at.edit.to - at.step
        elif isinstance(at.edit, Denoise):
            rising, offset = False, steps - 2 * at.step
    position = steps - step if rising else step + offset
    return max(0, min(position, steps))


# --- Edits of layers, as typed after STEP: and in the app's dialogs ---------------------------

_NUMBER = r"(\d{1,9})"
_ABLATE = re.compile(rf"{_NUMBER}\.(?:{_NUMBER}|ff)")
_STEER = re.compile(rf"{_NUMBER}:([-+.\d]{{1,12}}):(.+?)(?<!\\)\|(.+)", re.DOTALL)
_PATCH = re.compile(
    rf"{_NUMBER}:(-?\d{{1,7}}):(.*?)(?:(?<!\\)#(\d{{1,9}}(?:,\d{{1,9}})*))?", re.DOTALL
)

LAYER_EDITS: Mapping[str, str] = types.MappingProxyType(
    {
        "ablate": "LAYER.HEAD or LAYER.ff, such as 3.2",
        "steer": "LAYER:STRENGTH:TEXT|OTHER TEXT, such as 4:2:Love|Hate",
        "patch": "LAYER:POSITION:TEXT or LAYER:POSITION:TEXT#ID,ID,…, such as 4:-1:JULIET:",
    }
)
"""The edits of layers by name, and their form."""


def parse_layer_edit(name: str, text: str) -> LayerEdit:
    """An edit of a layer as `format_layer_edit` writes it. Raises MisuseError."""
    edit = None
    if name == "ablate" and (match := _ABLATE.fullmatch(text)):
        head = int(match[2]) if match[2] else None
        edit = Ablate(layer=int(match[1]), head=head)
    elif name == "steer" and (match := _STEER.fullmatch(text)):
        towards = match[3].replace("\\|", "|")
        if (strength := _parse_strength_of(match[2])) is not None:
            edit = Steer(layer=int(match[1]), strength=strength, towards=towards, away=match[4])
    elif name == "patch" and (match := _PATCH.fullmatch(text)) and (match[3] or match[4]):
        edit = Patch(
            layer=int(match[1]),
            position=int(match[2]),
            text=match[3].replace("\\#", "#"),
            token_ids=tuple(map(int, match[4].split(","))) if match[4] else (),
        )
    if edit is None or 0 in (edit.layer, edit.head if isinstance(edit, Ablate) else 1):
        raise MisuseError(f"expected {LAYER_EDITS[name]}; layers and heads count from 1")
    return edit


def _parse_strength_of(text: str) -> float | None:
    """The strength of a Steer; None if it is no number from -1000 to 1000."""
    try:
        strength = float(text)
    except ValueError:
        return None
    return strength if -1000 <= strength <= 1000 else None


def format_layer_edit(edit: LayerEdit) -> str:
    """An edit of a layer as it is typed: `ablate=3.2`."""
    match edit:
        case Ablate(layer=layer, head=head):
            return f"ablate={layer}.{'ff' if head is None else head}"
        case Steer(layer=layer, strength=strength):
            towards = edit.towards.replace("|", "\\|")
            return f"steer={layer}:{strength:g}:{towards}|{edit.away}"
        case Patch(layer=layer, position=position):
            token_ids = f"#{','.join(map(str, edit.token_ids))}" if edit.token_ids else ""
            text = edit.text.replace("#", "\\#")
            return f"patch={layer}:{position}:{text}{token_ids}"


# --- Variations: samples similar to a step of a trace, nearer or farther ----------------------
# A kind has its own method, `Kind.variation`. Every method is an edit of the trace, so a variation
# is one of its branches.

DISTANCES = ("very near", "near", "medium", "far", "very far")
DEFAULT_DISTANCE = 2  # of DISTANCES
SHARES = (0.12, 0.25, 0.4, 0.6, 0.85)  # share of the steps to the sample that are taken again


class Variation(NamedTuple):
    """A fork: one or two `edits` at `step`, its label and its own seed."""

    step: int
    edits: tuple[Edit, ...]
    label: str
    seed: int

    def start(self, start: Start) -> Start:
        """The whole request; `start` is the request of the original trace."""
        for edit in self.edits:
            start = add_edit(start, self.step, edit)
        return start


class VariationMethod(NamedTuple):
    """How traces of a kind are varied: `fork(start, step, share, seed)`, and its title."""

    fork: Callable[[Start, int, float, int], Variation]
    title: str


def variations(
    start: Start, step: int, distance: int, seeds: Sequence[int]
) -> tuple[Variation, ...]:
    """A variation of the sample at `step` for each seed; `distance` is an index of DISTANCES.

    Raises MisuseError if there is nothing to vary yet, or no method for these settings.
    """
    method = variation_method(start.settings)
    return tuple(method.fork(start, step, SHARES[distance], seed) for seed in seeds)


def variation_method(settings: Settings) -> VariationMethod:
    """The method for settings of this type. Raises MisuseError if there is none."""
    method = kind_of_trace("", settings).variation
    if method is None:
        raise MisuseError("this kind of model has no variations: fork it, or change its settings")
    return method


def renoise(start: Start, step: int, share: float, seed: int) -> Variation:
    """Noise from another seed up to an earlier level, then denoising again (SDEdit, Meng et al.
    2022)."""
    steps = steps_at(start, step)
    position = schedule_step(start, step)
    if position == 0:
        raise MisuseError("this is still pure noise: go some steps forward first")
    to = max(0, min(round(position * (1 - share)), position - 1, steps - 1))
    return Variation(
        step, (SetSeed(seed), AddNoise(to=to)), f"new noise at step {to}, seed {seed}", seed
    )


def resample(start: Start, step: int, share: float, seed: int, unit: str = "token") -> Variation:
    """Other random numbers from an earlier token on, or another `unit` of a step."""
    if step == 0:
        raise MisuseError(f"nothing is written yet: go some {unit}s forward first")
    at = max(0, min(round(step * (1 - share)), step - 1))
    return Variation(at, (SetSeed(seed),), f"from {unit} {at}, seed {seed}", seed)
