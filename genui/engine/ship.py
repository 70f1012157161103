"""`python -m genui.engine.ship RUN [GUIDE]`: make a run's newest checkpoint a shipped model.

Writes `genui/weights/<recipe>/`: the averaged weights in 8 bits, or with `--bits 16` in 16, and a
card. The metrics of the card are measured with the quantized weights. GUIDE is a weaker model of
the same data for autoguidance; it always has 8 bits.
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
from genui.engine.data.tables import limitations
from genui.engine.device import processor_name
from genui.engine.kinds import trains
from genui.engine.load import find_and_load, stream
from genui.engine.models import frozen
from genui.engine.train.checkpoint import load_weights, quantise, to_half, write_model
from genui.formats.recipe import METADATA, count_lines, read_plan
from genui.formats.sample import Sample
from genui.formats.text import whole_text
from genui.logs.native import read_series, run_minutes
from genui.protocol import Frame, Start
from genui.protocol.kinds import KINDS
from genui.protocol.settings import UNGUIDED
from genui.recipes import (
    LOGGING_FIELDS,
    PATH_FIELDS,
    Recipe,
    TextRecipe,
    find_recipe,
    recipe_from_dict,
)
from genui.runs.facts import summarise_machine
from genui.runs.layout import RunDir, format_origin, read_info, read_status
from genui.runs.listing import find_run
from genui.runs.models import ModelInfo, find_model, read_header

SAMPLE_SEED = 2  # chosen by looking: with 1 `shakespeare` begins with a word that is none
SAMPLE = "sample.png"
"""The model's last sample of its training, in the folder of the weights."""


def main() -> int:
    parser = argparse.ArgumentParser("python -m genui.engine.ship", description=__doc__)
    parser.add_argument("run", metavar="RUN")
    parser.add_argument("guide", metavar="GUIDE", nargs="?", default="")
    parser.add_argument("--bits", type=int, choices=(8, 16), default=8, help="of a weight")
    options = parser.parse_args()
    try:
        card = ship(find_run(options.run), options.guide, options.bits)
        print(format_card(card), end="")
    except GenuiError as error:
        print(f"genui: {error}", file=sys.stderr)
        return error.exit_code
    return 0


def ship(run: RunDir, guide: str = "", bits: int = 8) -> dict[str, Any]:
    """Write the weights and their card, and return the card."""
    tensors, described = load_weights(find_model(str(run.path)).path)
    if guide:
        weaker = load_weights(find_model(guide).path)
        tensors, described = frozen.join_guide((tensors, described), weaker)
        described["guide"]["recipe"] = without_paths(described["guide"]["recipe"])
    recipe = recipe_from_dict(described["recipe"])
    folder = KINDS[recipe.family, recipe.medium].folder
    weights = folder / "weights" if folder is not None else paths.weights_dir()
    target = weights / recipe.name / "model.safetensors"
    earlier = read_card(target)
    described["recipe"] = without_paths(asdict(recipe)) | default_logging(recipe.name)
    write_model(target, reduce_precision(tensors, bits), described)
    card = {
        "name": recipe.name,
        "summary": recipe.summary,
        "quality": dict(measure(find_model(str(target)), recipe)),
        "trained": describe_training(run, recipe)
        | lineage(run, recipe.name, earlier)
        | describe_guide(described),
        "data": {
            "name": described["dataset"],
            "licence": described["licence"],
            "fingerprint": described["fingerprint"],
        },
        "licence": "MIT",
        "limitations": limitations(recipe_from_dict(described["recipe"])),
        "size": f"{target.stat().st_size / 1e6:.1f} MB, {bits} bits a weight",
        "sample": write_sample(str(target), recipe),
    }
    target.with_name("card.json").write_text(format_card(card), encoding="utf-8")
    if images := sorted(run.samples.glob("*.png")):
        shutil.copyfile(images[-1], target.with_name(SAMPLE))  # `genui show` draws it
    return card


def measure(info: ModelInfo, recipe: Recipe) -> Mapping[str, str]:
    """The metrics of a model: labels to values with units, the most important first."""
    can_generate = KINDS[recipe.family, recipe.medium].generates
    made = find_and_load(str(info.path)) if can_generate else info
    return trains(recipe).measure(made, recipe)


def reduce_precision(tensors: dict[str, Tensor], bits: int) -> dict[str, Tensor]:
    """The weights in 8 or 16 bits; the weights of a guide in 8."""
    if bits == 8:
        return quantise(tensors)
    own, guide = frozen.split_guide(tensors)
    return to_half(own) | frozen.add_prefix(quantise(guide))


def format_card(card: dict[str, Any]) -> str:
    return json.dumps(card, indent=2, ensure_ascii=False) + "\n"


def without_paths(recipe: dict[str, Any]) -> dict[str, Any]:
    """The fields without local paths, which are private."""
    return recipe | {name: "" for name in PATH_FIELDS if name in recipe}


def default_logging(name: str) -> dict[str, Any]:
    """The logging fields of the recipe's defaults, for those who train on from the weights."""
    defaults = asdict(find_recipe(name))
    return {key: defaults[key] for key in LOGGING_FIELDS}


def describe_training(run: RunDir, recipe: Recipe) -> dict[str, Any]:
    """The command, the duration, the machine and the versions of a training."""
    info = read_info(run)
    steps = read_series(run)["step_seconds"].points[0]
    overrides = {
        k: v for k, v in info.overrides.items() if k not in {*PATH_FIELDS, *LOGGING_FIELDS}
    }
    words = ["genui", "train", recipe.name]
    if start := format_origin(info.start_from):
        words += ["--from", Path(start).name]
    generated = str(info.recipe.get("against", ""))
    if generated:
        overrides["against"] = Path(generated).name
    for key, value in overrides.items():
        words += ["--set", f"{key}={value}"]
    machine = summarise_machine({"processor": processor_name(), **info.machine})
    return {
        "command": shlex.join(words),
        **({"against": describe_generated(generated)} if generated else {}),
        "steps": int(steps[-1]),
        "minutes": round(run_minutes(run) or 0),
        **({"energy": energy.describe()} if (energy := read_status(run).energy).parts else {}),
        "machine": f"{machine}, shared with other work",
        "versions": msgspec.to_builtins(info.versions),
    }


def describe_generated(folder: str) -> str:
    """The number of images of a generated dataset that a model was trained against, and the command
    that generated them. Raises GenuiError if the folder is missing.
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


def describe_guide(described: dict[str, Any]) -> dict[str, str]:
    """The card's entry for the guide, if there is one."""
    if guide := described.get("guide"):
        return {"guide": f"the same recipe after {guide['step']:,} steps"}
    return {}


def read_card(weights: Path) -> dict[str, Any]:
    """The card of the model shipped before; {} if there is none."""
    card = weights.with_name("card.json")
    return json.loads(card.read_text(encoding="utf-8")) if card.exists() else {}


def lineage(run: RunDir, name: str, earlier: dict[str, Any]) -> dict[str, str]:
    """The card's entry for the model that the training started from, and so on back from there:
    runs on this machine, averages of models, the model shipped before."""
    start = read_info(run).start_from
    if start.get("run"):
        before = find_run(start["run"])
        duration = describe_duration(before, int(start.get("step", 0)))
        trained = read_info(before).recipe["name"]
        same = "the same recipe" if trained == name else trained
        text = f"from a run of {same} ({duration})"
        further = lineage(before, name, earlier).get("started", "")
        return {"started": f"{text}, that {further}" if further else text}
    if soup := averaged_models(start):
        text = f"from the average of the weights of {', '.join(soup)}"
        ref, _, step = soup[-1].partition("@")
        if not step:  # a file or a shipped model, which has its own card
            return {"started": text}
        last = find_run(ref)
        further = lineage(last, name, earlier).get("started", "from nothing")
        text += f", of which the last ({describe_duration(last, int(step))}) began {further}"
        return {"started": text}
    if format_origin(start) != name or "trained" not in earlier:
        return {}
    trained = earlier["trained"]
    began = f"; {trained['started']}" if "started" in trained else ""
    line = f"{trained['steps']:,} steps, {trained['minutes']} minutes{began}"
    return {"started": f"from the {name} model shipped before ({line})"}


def describe_duration(run: RunDir, step: int) -> str:
    """The steps and minutes of a run."""
    against = ", against what it drew before" if read_info(run).recipe.get("against") else ""
    return f"{step:,} steps, {round(run_minutes(run) or 0)} minutes{against}"


def averaged_models(start: Mapping[str, Any]) -> list[str]:
    """The models whose average a training started from; [] if it did not."""
    path = Path(start.get("path", ""))
    return read_header(path).metadata.get("averaged", []) if path.is_file() else []


def write_sample(ref: str, recipe: Recipe) -> str:
    """A text with SAMPLE_SEED; for other kinds the recipe's prompts."""
    if not isinstance(recipe, TextRecipe):
        return "; ".join(recipe.prompts)
    defaults = KINDS[recipe.family, recipe.medium].defaults
    settings = msgspec.structs.replace(defaults, tokens=recipe.sample_tokens)
    start = Start(
        trace=0, model=ref, prompt=recipe.sample_prompt, seed=SAMPLE_SEED, settings=settings
    )
    frames = [frame for frame in stream(start) if isinstance(frame, Frame)]
    return whole_text(Sample(SAMPLE_SEED, recipe.sample_prompt, frames))


# --- Weight averaging of models that were trained from one another, or from one model ---------
# Such a "soup" (Wortsman et al. 2022) costs no more to use than one of them, and averages out the
# noise of each training.

ALIKE = ("fingerprint", "words", "tokenizer", "labels")
"""Metadata that must be equal: weights for other data or words cannot be averaged."""


def average(
    names: Sequence[str], paths: Sequence[Path]
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The mean of at least two models' weights in fp32, without guides, and its metadata.

    Raises MisuseError, which names the first model that differs from the first one.
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
    metadata = {key: value for key, value in described.items() if key != "guide"}
    mean = {key: value / len(names) for key, value in total.items()}
    return mean, metadata | {"averaged": list(names)}


def _shapes(tensors: dict[str, Tensor]) -> dict[str, tuple[int, ...]]:
    return {name: tuple(value.shape) for name, value in tensors.items()}


if __name__ == "__main__":
    sys.exit(main())
