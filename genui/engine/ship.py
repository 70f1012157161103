"""`python -m genui.engine.ship RUN [GUIDE]`: make a run's newest checkpoint a shipped model.

Writes `genui/weights/<recipe>/`: the averaged weights in eight bits, or with `--bits 16` in
sixteen, and a card. What the card claims is measured on those very weights, not on the ones they
came from.
GUIDE is a weaker model of the same data, which autoguidance leads away from; eight bits do for it.
"""

import argparse
import json
import shlex
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import msgspec
from torch import Tensor

from genui.base import paths
from genui.base.errors import GenuiError, MisuseError
from genui.engine.device import processor_name
from genui.engine.kinds import limitations, measure
from genui.engine.load import stream
from genui.engine.models import frozen
from genui.engine.train.checkpoint import load_weights, quantise, to_half, write_model
from genui.formats.recipe import METADATA, count_lines, read_plan
from genui.logs.native import MetricsTail, run_minutes
from genui.protocol import Start, TextFrame
from genui.protocol.registry import KINDS, UNGUIDED
from genui.recipes import (
    LOGGING_FIELDS,
    PATH_FIELDS,
    Recipe,
    TextRecipe,
    find_recipe,
    recipe_from_dict,
)
from genui.runs.layout import RunDir, format_origin, read_info
from genui.runs.listing import find_run
from genui.runs.models import find_model, read_header

SAMPLE = "sample.png"
"""Beside the weights: what the model drew at the end of its training."""


def main() -> int:
    parser = argparse.ArgumentParser("python -m genui.engine.ship", description=__doc__)
    parser.add_argument("run", metavar="RUN")
    parser.add_argument("guide", metavar="GUIDE", nargs="?", default="")
    parser.add_argument("--bits", type=int, choices=(8, 16), default=8, help="of a weight")
    options = parser.parse_args()
    try:
        card = ship(find_run(options.run), options.guide, options.bits)
        print(written(card), end="")
    except GenuiError as error:
        print(f"genui: {error}", file=sys.stderr)
        return error.exit_code
    return 0


def ship(run: RunDir, guide: str = "", bits: int = 8) -> dict[str, Any]:
    """Write the weights and their card; the card."""
    tensors, described = load_weights(find_model(str(run.path)).path)
    if guide:
        weaker = load_weights(find_model(guide).path)
        tensors, described = frozen.join_guide((tensors, described), weaker)
        described["guide"]["recipe"] = without_paths(described["guide"]["recipe"])
    recipe = recipe_from_dict(described["recipe"])
    target = paths.weights_dir() / recipe.name / "model.safetensors"
    earlier = card_beside(target)
    described["recipe"] = without_paths(asdict(recipe)) | usually_watched(recipe.name)
    write_model(target, narrowed(tensors, bits), described)
    card = {
        "name": recipe.name,
        "summary": recipe.summary,
        "quality": dict(measure(find_model(str(target)), recipe)),
        "trained": trained(run, recipe) | lineage(run, recipe.name, earlier) | beside(described),
        "data": {
            "name": described["dataset"],
            "licence": described["licence"],
            "fingerprint": described["fingerprint"],
        },
        "licence": "MIT",
        "honesty": limitations(recipe),
        "size": size(target, bits),
        "sample": sample(str(target), recipe),
    }
    target.with_name("card.json").write_text(written(card), encoding="utf-8")
    if images := sorted(run.samples.glob("*.png")):
        shutil.copyfile(images[-1], target.with_name(SAMPLE))  # `genui show` draws it
    return card


def narrowed(tensors: dict[str, Tensor], bits: int) -> dict[str, Tensor]:
    """A model's weights in `bits`, those of its guide in eight."""
    if bits == 8:
        return quantise(tensors)
    own, guide = frozen.split_guide(tensors)
    return to_half(own) | frozen.add_prefix(quantise(guide))


def written(card: dict[str, Any]) -> str:
    """A card as it lies beside the weights."""
    return json.dumps(card, indent=2, ensure_ascii=False) + "\n"


def size(weights: Path, bits: int) -> str:
    return f"{weights.stat().st_size / 1e6:.1f} MB, {bits} bits a weight"


def without_paths(recipe: dict[str, Any]) -> dict[str, Any]:
    """Its fields but the paths of whoever trained it, which are nobody else's business."""
    return recipe | {name: "" for name in PATH_FIELDS if name in recipe}


def usually_watched(name: str) -> dict[str, Any]:
    """How often a run of that recipe looks at itself, whatever this one did: whoever trains on
    from the weights wants to see how it fares."""
    usual = asdict(find_recipe(name))
    return {key: usual[key] for key in LOGGING_FIELDS}


def trained(run: RunDir, recipe: Recipe) -> dict[str, Any]:
    """How to train it again, how long it took, and where."""
    info = read_info(run)
    tail = MetricsTail(run.metrics)
    while tail.read():
        pass
    steps = tail.series["step_seconds"].points[0]
    kept = {k: v for k, v in info.overrides.items() if k not in {*PATH_FIELDS, *LOGGING_FIELDS}}
    words = ["genui", "train", recipe.name]
    if start := format_origin(info.start_from):
        words += ["--from", Path(start).name]
    drew = str(info.recipe.get("against", ""))
    if drew:
        kept["against"] = Path(drew).name
    for key, value in kept.items():
        words += ["--set", f"{key}={value}"]
    threads, precision = info.machine.get("threads"), info.machine.get("precision")
    return {
        "command": shlex.join(words),
        **({"against": against(drew)} if drew else {}),
        "steps": int(steps[-1]),
        "minutes": round(run_minutes(run) or 0),
        "machine": (
            f"{threads} thread{'' if threads == 1 else 's'} of {processor_name()}, {precision}, "
            "shared with other work"
        ),
        "versions": msgspec.to_builtins(info.versions),
    }


def against(folder: str) -> str:
    """What a model was trained against: how many images, and by which command they were drawn.

    Raises GenuiError where the folder is gone.
    """
    path = Path(folder)
    try:
        plan, (count, _) = read_plan(path), count_lines(path / METADATA)
    except GenuiError as error:
        raise GenuiError(f"{path}: what the run was trained against is gone ({error})") from None
    model = Path(plan.model).name
    words = ["genui", "generate", model, "-n", str(count), "--seed", str(plan.seed)]
    for key in UNGUIDED.__struct_fields__:
        if (value := getattr(plan.settings, key)) != getattr(UNGUIDED, key):
            words += [f"--{key.replace('_', '-')}", str(value)]
    command = shlex.join([*words, "--out", path.name])
    return f"{count:,} images that {model} drew: {command}"


def beside(described: dict[str, Any]) -> dict[str, str]:
    """What the guide beside the weights is."""
    if guide := described.get("guide"):
        return {"guide": f"the same recipe after {guide['step']:,} steps"}
    return {}


def card_beside(weights: Path) -> dict[str, Any]:
    """The card of the model shipped until now; empty where there is none."""
    card = weights.with_name("card.json")
    return json.loads(card.read_text(encoding="utf-8")) if card.exists() else {}


def lineage(run: RunDir, name: str, earlier: dict[str, Any]) -> dict[str, str]:
    """What the training began with: other runs of this machine, the model shipped before."""
    start = read_info(run).start_from
    if start.get("run"):
        before = find_run(start["run"])
        words = f"from a run of the same recipe ({spent(before, int(start.get('step', 0)))})"
        further = lineage(before, name, earlier).get("started", "")
        return {"started": f"{words}, that {further}" if further else words}
    if soup := averaged(start):
        words = f"from the average of the weights of {', '.join(soup)}"
        ref, _, step = soup[-1].partition("@")
        if not step:  # a file's, or a shipped model's: they tell of themselves
            return {"started": words}
        last = find_run(ref)
        further = lineage(last, name, earlier).get("started", "from nothing")
        words += f", of which the last ({spent(last, int(step))}) began {further}"
        return {"started": words}
    if format_origin(start) != name or "trained" not in earlier:
        return {}
    trained = earlier["trained"]
    began = f"; {trained['started']}" if "started" in trained else ""
    line = f"{trained['steps']:,} steps, {trained['minutes']} minutes{began}"
    return {"started": f"from the {name} model shipped before ({line})"}


def spent(run: RunDir, step: int) -> str:
    """How long a run was trained, and against what."""
    own = ", against what it drew before" if read_info(run).recipe.get("against") else ""
    return f"{step:,} steps, {round(run_minutes(run) or 0)} minutes{own}"


def averaged(start: Mapping[str, Any]) -> list[str]:
    """The models that a file is the average of, if a training began with such a file."""
    path = Path(start.get("path", ""))
    return read_header(path).metadata.get("averaged", []) if path.is_file() else []


def sample(ref: str, recipe: Recipe) -> str:
    """A text as it came, seed 1; of other kinds the prompts worth trying."""
    if not isinstance(recipe, TextRecipe):
        return "; ".join(recipe.prompts)
    usual = KINDS[recipe.family, recipe.medium].defaults
    settings = msgspec.structs.replace(usual, tokens=recipe.sample_tokens)
    start = Start(trace=0, model=ref, prompt=recipe.sample_prompt, seed=1, settings=settings)
    written = (frame.text for frame in stream(start) if isinstance(frame, TextFrame))
    return recipe.sample_prompt + "".join(written)


if __name__ == "__main__":
    sys.exit(main())


# --- Weights averaged over models that were trained from one another, or from one model -------
# Such a "soup" (Wortsman et al. 2022) costs no more to use than one of them, and what each training
# left to chance in the weights is averaged out.

ALIKE = ("fingerprint", "words", "tokenizer", "labels")
"""What the weights mean: of other data or other words they cannot be averaged."""


def average(
    names: Sequence[str], paths: Sequence[Path]
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """(fp32 tensors, description) of the mean of some models' weights, at least two.

    A guide beside the weights is left out. Raises MisuseError naming the first model
    that does not fit the first one.
    """
    total, described = load_weights(paths[0])
    total = frozen.split_guide(total)[0]
    for name, path in zip(names[1:], paths[1:], strict=True):
        tensors, other = load_weights(path)
        tensors = frozen.split_guide(tensors)[0]
        for what in ALIKE:
            if described.get(what) != other.get(what):
                data = "data" if what == "fingerprint" else what
                raise MisuseError(f"{name}: is of other {data} than {names[0]}")
        if _shapes(tensors) != _shapes(total):
            raise MisuseError(f"{name}: its network is not that of {names[0]}")
        total = {key: value + tensors[key] for key, value in total.items()}
    kept = {key: value for key, value in described.items() if key not in ("guide", "critic")}
    mean = {key: value / len(names) for key, value in total.items()}
    return mean, kept | {"averaged": list(names)}


def _shapes(tensors: dict[str, Tensor]) -> dict[str, tuple[int, ...]]:
    return {name: tuple(value.shape) for name, value in tensors.items()}
