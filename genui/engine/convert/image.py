"""Image models of genui as diffusers folders: the weights, the network's code and a pipeline."""

import shutil
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from genui.base.errors import MisuseError
from genui.engine.convert.code import write_code
from genui.engine.convert.text import write_json, write_safetensors
from genui.engine.data.captions import RESERVED
from genui.engine.data.tables import limitations
from genui.engine.models.denoisers import build_image_denoiser
from genui.engine.models.dit import DIT_SIDE
from genui.engine.models.frozen import split_guide
from genui.engine.sample.sigmas import SIGMA_MAX
from genui.engine.train.checkpoint import load_weights
from genui.protocol import ImageSettings
from genui.recipes import DiffusionRecipe, recipe_from_dict
from genui.runs.models import ModelInfo

MODULE = "modeling_genui"

PIPELINE = "pipeline"


def write_image_model(model: ModelInfo, folder: Path, dtype: str) -> None:
    """Write a diffusion model of ours as a folder that diffusers loads with trust_remote_code.

    It has genui's network, noise levels and sampler DPM-Solver++ 2M. Raises GenuiError if the model
    is damaged, MisuseError if it was trained by flow matching.
    """
    tensors, described = load_weights(model.path)
    recipe = recipe_from_dict(described["recipe"])
    assert isinstance(recipe, DiffusionRecipe)
    if recipe.objective != "edm":
        raise MisuseError(f"{model.name}: only the objective edm is written for diffusers")
    own, _ = split_guide(tensors)
    network = build_image_denoiser(recipe, RESERVED + len(described["words"])).network
    unet = folder / "unet"
    scheduler = folder / "scheduler"
    for new in (unet, scheduler):
        new.mkdir()
    write_code(network, "modeling_image.py", unet / f"{MODULE}.py")
    code = Path(__file__).with_name("diffusers_pipeline.py")
    shutil.copyfile(code, folder / f"{PIPELINE}.py")
    config = _network_config(recipe, asdict(network.config), described)  # type: ignore[arg-type]
    write_json(unet / "config.json", config)
    write_safetensors(unet / "diffusion_pytorch_model.safetensors", own, dtype)
    write_json(scheduler / "scheduler_config.json", _scheduler_config(recipe))
    index = {
        "_class_name": [PIPELINE, "GenuiPipeline"],
        "_diffusers_version": _diffusers_version(),
        "unet": [MODULE, "GenuiNetwork"],
        "scheduler": ["diffusers", "EDMDPMSolverMultistepScheduler"],
    }
    write_json(folder / "model_index.json", index)
    (folder / "README.md").write_text(_card(model, recipe, described), encoding="utf-8")


def _network_config(
    recipe: DiffusionRecipe, config: dict[str, Any], described: dict[str, Any]
) -> dict[str, Any]:
    return {
        "_class_name": "GenuiNetwork",
        "_diffusers_version": _diffusers_version(),
        "network_config": config,
        "in_channels": recipe.channels,
        "sample_size": DIT_SIDE,
        "border": recipe.border,
        "words": list(described["words"]),
    }


def _scheduler_config(recipe: DiffusionRecipe) -> dict[str, Any]:
    """EDM's schedule with our levels, and the same solver as the sampler dpmpp-2m."""
    settings = ImageSettings()
    return {
        "_class_name": "EDMDPMSolverMultistepScheduler",
        "_diffusers_version": _diffusers_version(),
        "sigma_min": settings.lowest_sigma,
        "sigma_max": SIGMA_MAX,
        "sigma_data": recipe.sigma_data,
        "rho": settings.rho,
        "sigma_schedule": "karras",
        "algorithm_type": "dpmsolver++",
        "solver_order": 2,
        "solver_type": "midpoint",
        "final_sigmas_type": "zero",
    }


def _diffusers_version() -> str:
    """The installed version of diffusers; without one, the oldest that reads the folder."""
    try:
        return version("diffusers")
    except PackageNotFoundError:
        return "0.36.0"


def _card(model: ModelInfo, recipe: DiffusionRecipe, described: dict[str, Any]) -> str:
    """The model card: what it is, how to draw with it, its data and its limits."""
    data_licence = str(described.get("licence", "")) or "not recorded"
    prompt = next(iter(recipe.prompts), "")
    return f"""---
library_name: diffusers
pipeline_tag: text-to-image
---
# {model.name}

A diffusion model of {DIT_SIDE}×{DIT_SIDE} images with {model.parameters:,} parameters, trained by
genui for {model.step:,} steps on {model.dataset} (licence of the data: {data_licence}).

```python
import torch
from diffusers import DiffusionPipeline

pipeline = DiffusionPipeline.from_pretrained("FOLDER", trust_remote_code=True)
generator = torch.Generator().manual_seed(1)
image = pipeline({prompt!r}, guidance_scale=2.0, generator=generator).images[0]
image.resize((256, 256), 0).save("image.png")
```

The code in `unet` is the network and `{PIPELINE}.py` the loop around it, plain files of PyTorch and
diffusers. `trust_remote_code=True` runs them: read them first. With fewer than ten steps genui ends
at a higher level of noise: set `sigma_min` of the scheduler to
0.03 · (10 / steps)^3.5, at most 1.

Limits: {limitations(recipe)}

{model.training_cost}
"""
