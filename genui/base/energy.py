"""The energy that a computation took, by device, each part with how it was found out.

A part is what a counter of the device says (RAPL, NVML), times the share of the device that the
computation had, or an estimate. No figure is shown without its method.
"""

from typing import Annotated

from msgspec import Meta, Struct
from msgspec.structs import replace

from genui.base.numbers import short

JOULES_PER_WH = 3600.0

_Joules = Annotated[float, Meta(ge=0)]
_Text = Annotated[str, Meta(max_length=300)]


class EnergyPart(Struct, frozen=True, kw_only=True, gc=False):
    """The energy of one device."""

    device: _Text  # "the processor", "package-0", "GPU 0"; with its host if there are several
    method: _Text  # "RAPL", "NVML's counter", "its time × 4 W a core"
    joules: _Joules  # of this computation
    whole: _Joules = 0.0  # of all that the device did meanwhile; 0 without a counter
    is_estimate: bool = False

    def __str__(self) -> str:
        """`2.1 kJ of package-0 by RAPL, 43 % of all it took`."""
        share = f", {100 * self.joules / self.whole:.0f} % of all it took" if self.whole else ""
        return f"{format_joules(self.joules)} of {self.device} by {self.method}{share}"


class Energy(Struct, frozen=True):
    """The energy of a computation: nothing if it was not measured."""

    parts: tuple[EnergyPart, ...] = ()

    @property
    def joules(self) -> float:
        return sum(part.joules for part in self.parts)

    @property
    def is_estimate(self) -> bool:
        return any(part.is_estimate for part in self.parts)

    @property
    def source(self) -> str:
        """The method in a word: `estimate`, or the counters: `RAPL + NVML`."""
        if self.is_estimate:
            return "estimate"
        counters = (part.method.partition(" ")[0].removesuffix("'s") for part in self.parts)
        return " + ".join(dict.fromkeys(counters))

    def plus(self, other: "Energy", at_once: bool = False) -> "Energy":
        """The sum by device and method. Of two processes that ran `at_once`, what the whole device
        took counts once."""
        sums: dict[tuple[str, str], EnergyPart] = {}
        for part in (*self.parts, *other.parts):
            before = sums.get((part.device, part.method))
            if before is not None:
                both = before.whole, part.whole
                whole = max(both) if at_once else sum(both)
                part = replace(part, joules=before.joules + part.joules, whole=whole)
            sums[part.device, part.method] = part
        return Energy(tuple(sums.values()))

    def times(self, share: float) -> "Energy":
        """A share of it, 0 to 1; the devices took as much as before."""
        return Energy(tuple(replace(part, joules=part.joules * share) for part in self.parts))

    def format(self, number: float = 1.0, unit: str = "") -> str:
        """`5.8 kJ estimate`, or of each of `number` things: `41 mJ/tok RAPL`; "" if not known."""
        if not self.parts or number <= 0:
            return ""
        per = f"/{unit}" if unit else ""
        return f"{format_joules(self.joules / number)}{per} {self.source}"

    def describe(self, grid: float = 0.0) -> str:
        """`58 J · 0.016 Wh (estimate): 58 J of the processor by its time × 4 W a core`; "" if not
        known.

        With `grid`, in grams of CO₂e a kWh, also the grams.
        """
        if not self.parts:
            return ""
        wh = self.joules / JOULES_PER_WH
        grams = f" · {_figure(wh * grid / 1000)} g CO₂e at {grid:g} g/kWh" if grid else ""
        estimate = " (estimate)" if self.is_estimate else ""
        parts = "; ".join(map(str, self.parts))
        return f"{format_joules(self.joules)} · {_figure(wh)} Wh{grams}{estimate}: {parts}"


def format_joules(joules: float) -> str:
    """`312 J`, `5.8 kJ`, `41 mJ`, `3.2 µJ`."""
    if 0 < joules < 0.9995:
        return f"{short(joules * 1e3)} mJ" if joules >= 1e-3 else f"{short(joules * 1e6)} µJ"
    text = short(joules)
    number = text.rstrip("kMGT")
    return f"{number} {text[len(number) :]}J"


def _figure(number: float) -> str:
    """Two digits of a small number: `0.0016`."""
    return short(number) if number >= 1 else f"{number:.2g}"
