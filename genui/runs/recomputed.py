"""A training step that is computed again, from the nearest earlier state that the run keeps: the
lines that `python -m genui.engine.recompute` prints, and the rule by which an example is unusual.

The measures of the step's examples are compared with those of the following batches under the same
weights. An example is unusual by one of them if it is more than LIMIT robust deviations from their
median: 1.4826 times the median absolute deviation, of the logarithm of a loss. Both ends count: a
repeated line is the easiest example of its step.
"""

import math
import sys
from collections.abc import Callable, Iterable, Mapping

import msgspec
import numpy as np
from msgspec import Struct
from numpy.typing import ArrayLike, NDArray

from genui.base.errors import GenuiError, MisuseError
from genui.base.numbers import about, count, quantity
from genui.base.text import clean_line
from genui.runs.layout import RunDir, RunInfo, fork_step, last_status, read_info, state_steps
from genui.runs.models import start_files
from genui.runs.norms import NormKind, Points, norms_of_kind
from genui.runs.spikes import MAD_TO_SIGMA

Floats = NDArray[np.float64]

Number = float | None
"""None is a number that is not finite: JSON has none."""

LIMIT = 6.0
"""Robust deviations."""

SIGMA_LIMIT = 8.0
"""The same for a loss at some σ: images with many edges are harder than others at every σ."""

HIGHEST = 1e9
"""In place of the deviation of a loss that is not a number."""

SMALLEST_SPREAD = 1e-3
"""Of the logarithm of a loss: at the start all examples are nearly equal."""

COMPARED = 64
"""The fewest examples of the following batches that a step's are compared with."""

WRONG_CAPTION = 0.1
"""The logarithm of how many times as large a loss is with its caption as without, from which the
caption is called wrong, if captions lower the loss of the others. It counts as LIMIT deviations."""

MOST_SUSPECTS = 8
"""The examples that are measured again with other noise, if the noise matters."""

CLOSE = 1e-3
"""The relative difference from the logged loss up to which a step counts as computed again: several
processes add in another order."""

LONG = 60.0
"""Seconds from which the user is asked before a step is computed again."""

MOST_LAYERS = 4
"""The layers that are named."""

MEASURES = {
    "loss": ("far easier than others", "far harder than others"),
    "loss_given_sigma": ("far easier than others at its σ", "far harder than others at its σ"),
    "caption_effect": ("", "harder with its caption than without: a wrong caption?"),
    "generator_loss": ("looks generated", "looks far more real than the generated image"),
    "discriminator_loss": ("far easier to tell apart", "looks generated"),
}
"""The measures by which an example may be unusual, and what the low and the high end mean; "" is an
end that means nothing."""

SHOWN = {
    "loss": "loss",
    "generator_loss": "generator",
    "discriminator_loss": "discriminator",
    "sigma": "σ",
    "without_caption": "without caption",
}
"""The measures that are shown of an example, and their short names."""


class Example(Struct, frozen=True, kw_only=True):
    """An example of a step's batch."""

    row: int  # of the batch
    source: str  # where it comes from
    place: str = ""  # in the training data, as the setting `skip` takes it
    text: str = ""  # decoded, or its caption
    image: bytes = b""  # PNG
    measures: Mapping[str, Number] = {}
    deviations: dict[str, float] = {}
    """Robust deviations from the other examples, of those in MEASURES."""

    @property
    def strangeness(self) -> float:
        """The largest deviation in a direction that means something."""
        return max((abs(each) for _, each in self._meaningful()), default=0.0)

    @property
    def cause(self) -> str:
        """Why it is likely to have made the loss jump, or to spoil it; "" if it is not unusual."""
        return ", ".join(
            f"{MEASURES[name][value > 0]} ({value:+.0f} robust deviations)"
            for name, value in self._meaningful()
            if abs(value) > (SIGMA_LIMIT if name == "loss_given_sigma" else LIMIT)
        )

    def _meaningful(self) -> Iterable[tuple[str, float]]:
        return ((k, v) for k, v in self.deviations.items() if MEASURES[k][v > 0])


class Progress(Struct, frozen=True, tag="progress"):
    """A line that is printed while the steps are computed again."""

    done: int  # steps
    steps: int
    seconds: float  # that are left, about; -1: not known
    doing: str = ""  # if the data are still prepared

    @property
    def text(self) -> str:
        """The progress in words: `37 of 120 steps, 2 s left`."""
        left = f", {about(self.seconds)} left" if self.seconds >= 0 else ""
        return self.doing or f"{self.done:,} of {quantity(self.steps, 'step')}{left}"


class Recomputed(Struct, frozen=True, kw_only=True, tag="recomputed"):
    """The result, the last line."""

    run: str
    step: int
    began: int  # the step whose state it began with
    replayed: int  # steps computed again, this one included; 0: with the weights of `began`
    seconds: float
    learning_rate: float | None = None  # of AdamW; None: no step was done
    metrics: Mapping[str, Number] = {}  # losses and gradient norms
    logged: Mapping[str, Number] = {}  # those that the run logged at this step
    examples: tuple[Example, ...] = ()  # the most unusual first
    skip: str = ""  # the recipe's
    norms: Mapping[int, Mapping[str, float]] = {}
    """Of the last steps the norms of gradients, updates, weights and activations by layer, named as
    in `genui.runs.norms`."""
    notes: tuple[str, ...] = ()

    @property
    def causes(self) -> tuple[Example, ...]:
        return tuple(each for each in self.examples if each.cause)

    @property
    def remedy(self) -> str:
        """How to train on from the state before without the likely causes; "" if there are none, or
        their places are not known."""
        places = [each.place for each in self.causes if each.place]
        if not places:
            return ""
        skip = f"--set skip={','.join([*filter(None, [self.skip]), *places])}"
        if not self.began:
            return f"without them: train again with {skip}"
        return f"without them: genui train --from {self.run}@{self.began} --keep-state {skip}"

    def conclude(self, most: int | None = None) -> list[str]:
        """The likely causes, at most so many, and what to do: a line each; [] without examples."""
        if not self.examples:
            return []
        lines = [f"likely cause: {clean_line(each.source)}: {each.cause}" for each in self.causes]
        if not lines:
            return ["No example is a likely cause: none is far from those of other batches."]
        return [*lines[:most], *filter(None, [self.remedy])]

    def layers(self, kind: NormKind) -> dict[str, Points]:
        """The norms of each layer at the last steps, of one kind."""
        series = {}
        for name in dict.fromkeys(name for norms in self.norms.values() for name in norms):
            known = [(step, norms[name]) for step, norms in self.norms.items() if name in norms]
            steps, values = (np.array(each) for each in zip(*known, strict=True))
            series[name] = steps, values, np.zeros(len(steps))
        return norms_of_kind(series, kind)

    def describe_layers(self, layers: Mapping[str, Points]) -> str:
        """The ones of `layers` whose norm at this step is furthest from their median of the steps
        before."""
        ratios = {
            layer: float(values[-1] / np.median(values[:-1]))
            for layer, (steps, values, _) in layers.items()
            if len(steps) > 1 and steps[-1] == self.step
        }
        if not ratios:
            return "Muon rests at this step, or no step before it was computed."
        furthest = sorted(ratios, key=lambda layer: -abs(math.log(ratios[layer])))[:MOST_LAYERS]
        moved = ", ".join(f"{clean_line(layer)} {ratios[layer]:.2g} ×" for layer in furthest)
        return f"at this step, against the median of those before: {moved}"

    @property
    def difference(self) -> float:
        """The largest relative difference from a logged loss; NaN if none can be compared."""
        names = [name for name in self.metrics if name.endswith("loss") and name in self.logged]
        pairs = [(self.metrics[name], self.logged[name]) for name in names]
        return max((_relative(*pair) for pair in pairs), default=math.nan)

    @property
    def agreement(self) -> str:
        """How the recomputed loss compares with the logged one."""
        if not self.replayed:
            return f"the losses are those of the weights of step {count(self.began)}"
        difference = self.difference
        if math.isnan(difference):
            return "the run has no logged loss of this step to compare with"
        if difference == 0:
            return "equal to the bit"
        verdict = "as logged" if difference <= CLOSE else "not the logged step"
        return f"relative difference {difference:.1g}: {verdict}"


def _relative(value: Number, logged: Number) -> float:
    if value is None or logged is None:
        return 0.0 if value == logged else math.inf
    return abs(value - logged) / max(abs(logged), 1e-300)


decode_line = msgspec.json.Decoder(Progress | Recomputed).decode
"""Decode a line. Raises msgspec.DecodeError."""


class Replay(Struct, frozen=True):
    """The steps to compute again before a step, and how long they take."""

    began: int
    steps: int
    seconds: float  # about; -1: not known

    @property
    def is_long(self) -> bool:
        return self.seconds > LONG


def plan_replay(run: RunDir, step: int) -> Replay:
    """Find the nearest state before a step. Reads the run's small files alone.

    Raises MisuseError if the run never did this step or cannot be computed again, and GenuiError if
    its folder is damaged or no state before the step is left.
    """
    info, status = read_info(run), last_status(run)
    if info.kind == "script":
        raise MisuseError(
            f"run {run.id} belongs to a script: genui cannot compute its steps again; "
            "run.log_batch keeps its newest batches"
        )
    first = fork_step(info.start_from) + 1
    if not first <= step <= status.step:
        done = f"steps {first} to {status.step}" if status.step >= first else "no step yet"
        raise MisuseError(f"--step {step}: run {run.id} has done {done}")
    kept = [each for each in state_steps(run) if each < step]
    if not kept and not _has_start(run, info):
        raise GenuiError(
            f"run {run.id}: the weights that it started from are gone, and the oldest state is of "
            f"step {min(state_steps(run), default=0)}: choose a later step"
        )
    began = max(kept, default=0)
    rate = status.steps_per_s
    return Replay(began, step - began, (step - began) / rate if rate > 0 else -1.0)


def _has_start(run: RunDir, info: RunInfo) -> bool:
    """Whether step 0 can be made again: from the seed, or from the weights that it started from."""
    return not info.start_from or bool(info.recipe.get("base")) or start_files(run)[0].exists()


def command_for(run: RunDir, step: int, weights_alone: bool = False) -> list[str]:
    """The command that prints the lines."""
    words = [sys.executable, "-m", "genui.engine.recompute", str(run.path), str(step)]
    return [*words, *(["--weights-alone"] if weights_alone else [])]


# --- Unusual examples ---------------------------------------------------------------------------


def deviations(values: ArrayLike, others: ArrayLike) -> Floats:
    """How many robust deviations values [B] are from the median of others [N]."""
    known = np.asarray(others, np.float64)
    known = known[np.isfinite(known)]
    if not len(known):
        return np.zeros(np.shape(values))
    middle = np.median(known)
    spread = max(MAD_TO_SIGMA * float(np.median(np.abs(known - middle))), SMALLEST_SPREAD)
    return np.nan_to_num(
        (np.asarray(values, np.float64) - middle) / spread, nan=HIGHEST, posinf=HIGHEST
    )


def judge(
    examples: Iterable[Example],
    measures: Mapping[str, Floats],
    others: Mapping[str, Floats],
    again: Callable[[list[int]], Iterable[Mapping[str, Floats]]] | None = None,
) -> tuple[Example, ...]:
    """Add the measures [B] of a step's examples, compared with those [N] of others; the most
    unusual example comes first.

    `again` measures some rows with other noise: what is unusual once by chance is not so in the
    median.
    """
    found = _compare(measures, others)
    rows = [
        msgspec.structs.replace(
            example,
            measures={name: float(values[at]) for name, values in measures.items()},
            deviations={name: float(values[at]) for name, values in found.items()},
        )
        for at, example in enumerate(examples)
    ]
    rows.sort(key=lambda each: -each.strangeness)
    suspects = [each for each in rows[:MOST_SUSPECTS] if each.strangeness > LIMIT / 2]
    if suspects and again is not None:
        chosen = [each.row for each in suspects]
        tries = [_compare(more, others) for more in again(chosen)]
        for at, row in enumerate(chosen):
            all_found = {name: [found[name][row], *(t[name][at] for t in tries)] for name in found}
            median = {name: float(np.median(values)) for name, values in all_found.items()}
            rows[at] = msgspec.structs.replace(rows[at], deviations=median)
        rows.sort(key=lambda each: -each.strangeness)
    return tuple(rows)


def _compare(measures: Mapping[str, Floats], others: Mapping[str, Floats]) -> dict[str, Floats]:
    """The deviations [B] of examples from others, by measure. A loss at some σ is compared with
    what the others lead to expect there."""
    if "sigma" not in measures:
        judged = [name for name in MEASURES if name in measures]
        return {name: deviations(_log(measures[name]), _log(others[name])) for name in judged}
    expected = _expect_loss(others["sigma"], others["loss"])
    own, known = (_log(each["loss"]) - expected(each["sigma"]) for each in (measures, others))
    effect = measures["caption_effect"]
    knows_captions = np.median(others["caption_effect"]) < -WRONG_CAPTION / 2
    return {
        "loss_given_sigma": deviations(own, known),
        "caption_effect": LIMIT / WRONG_CAPTION * effect * knows_captions,
    }


def _log(values: Floats) -> Floats:
    return np.log(np.maximum(values, 1e-30))


def _expect_loss(sigma: Floats, loss: Floats) -> Callable[[Floats], Floats]:
    """Fit the logarithm of a loss [N] as a cubic polynomial of ln σ; in a second round without what
    is far from the first."""
    x, y = _log(sigma), _log(loss)
    low, high = x.min(), x.max()
    fit = np.polynomial.Polynomial.fit(x, y, 3)
    near = np.abs(deviations(y - fit(x), y - fit(x))) < LIMIT
    fit = np.polynomial.Polynomial.fit(x[near], y[near], 3)
    return lambda sigma: fit(np.clip(_log(sigma), low, high))
