"""The facts of a run as text, the same in the shell and in the app."""

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from genui.base.config import load_config
from genui.base.energy import format_joules
from genui.base.numbers import about, count, quantity, short, value

if TYPE_CHECKING:
    from genui.runs.layout import RunInfo, Status
    from genui.runs.listing import RunSummary


def summarise_training(info: "RunInfo") -> str:
    """`text transformer on shakespeare`, `llama fine-tuned on notes.txt` or `a script's run,
    project demo`."""
    recipe = info.recipe
    if not recipe:
        return f"a script's run, project {info.project}" if info.project else "a script's run"
    base = os.path.basename(str(recipe.get("base", "")))
    model = f"{base} fine-tuned" if base else f"{recipe.get('medium')} {recipe.get('family')}"
    return f"{model} on {info.data or recipe.get('dataset')}"


def summarise_machine(machine: Mapping[str, Any], host: str = "") -> str:
    """`cpu, fp32, 1 thread on node1`, of the fields that were recorded; several processes name
    their own hosts."""
    hosts = machine.get("hosts")
    names = dict.fromkeys(map(str, hosts)) if hosts and isinstance(hosts, list) else [host]
    parts = [
        *(str(machine.get(key) or "") for key in ("processor", "device", "precision")),
        _number_of(machine.get("threads"), "thread"),
        _number_of(machine.get("processes"), "process", "processes"),
        "weights shared out" if machine.get("shard") else "",
    ]
    what, where = (", ".join(filter(None, words)) for words in (parts, names))
    return " on ".join(filter(None, (what, where)))


def _number_of(number: object, thing: str, plural: str = "") -> str:
    """`4 threads`; "" for 0 and for anything that is not a whole number."""
    return quantity(number, thing, plural) if isinstance(number, int) and number else ""


def at_step(text: str, step: int) -> str:
    """`finished at step 1,240`."""
    return f"{text} at step {count(step)}"


def count_steps(step: int, steps: int, of: str = "/") -> str:
    """`1,240/4,000`; `1,240` if the number of steps is not known, which is 0 then."""
    return f"{count(step)}{of}{count(steps)}" if steps else count(step)


def percent(step: int, steps: int) -> str:
    """`31 %`, 100 only at the end; "" if the number of steps is not known."""
    if not steps:
        return ""
    return f"{min(round(100 * step / steps), 99 if step < steps else 100)} %"


def figure(number: float | None) -> str:
    """A loss; "" if none was measured."""
    return "" if number is None else value(number)


def speed(status: "Status") -> str:
    """`5.8k tok/s`; "" if it is not known."""
    return f"{short(status.units_per_s)} {status.unit}" if status.units_per_s > 0 else ""


def share_of_peak(status: "Status", peak: str = "the peak of matrix products") -> str:
    """`41 % of the peak of matrix products`; "" if it is not known."""
    return f"{100 * status.mfu:.0f} % of {peak}" if status.mfu else ""


def energy(status: "Status", scale: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What a run cost: in all, a step and each of its units, and a sample as it draws them.

    The texts are empty where that is not known. `scale` is that of RunInfo. Raises MisuseError if
    the user's settings are damaged.
    """
    spent, joules = status.energy, status.sample_joules
    units, unit = status.step * scale.get("units_per_step", 0), str(scale.get("unit", ""))
    sample = ""
    if status.samples and joules:
        number = count(spent.joules / joules * status.samples)
        sample = f"{format_joules(joules / status.samples)} {spent.source}"
        sample += f"; {number} such samples cost as much as this training"
    each = spent.format(status.step), spent.format(units, unit)
    return [
        ("energy", spent.describe(load_config().grid)),
        ("a step", ", ".join(filter(None, each))),
        ("a sample", sample),
    ]


def time_spent(status: "Status") -> str:
    """`88 % steps, 9 % evaluation, 3 % checkpoint`, the largest first; "" if it is not known."""
    whole = sum(status.spent.values())
    parts = sorted(status.spent.items(), key=lambda part: -part[1])
    shares = [(name, round(100 * seconds / whole)) for name, seconds in parts] if whole else []
    return ", ".join(f"{share} % {name}" for name, share in shares if share)


def time_left(eta: float) -> str:
    """`~4 min`; "" if it is not known, which is negative then."""
    return f"~{about(eta)}" if eta >= 0 else ""


def describe_cause(run: "RunSummary") -> str:
    """Why a run has ended, in one line: `rank 1: KeyError: 'labels' at train.py:12, in main`.

    "" if it ended by itself or by a command, if nothing says why, and if its own error says more.
    """
    ending, error = run.ending, run.status.error
    if ending is None or ending.name in ("unknown", "stopped"):
        return ""
    is_bare = not error or error.endswith("(see console.log)") or error.startswith("exit code ")
    if not (is_bare or ending.frame):
        return ""
    rank = "" if ending.rank is None else f"rank {ending.rank}: "
    return rank + ending.cause + (f" at {ending.frame}" if ending.frame else "")
