"""Image models of genui in diffusers: the same images, and code that needs nothing of genui."""

from pathlib import Path

import pytest
import torch
from importing import import_when_used
from small_recipes import SMALL

from genui.cli.main import main
from genui.engine.data.captions import Vocabulary
from genui.engine.load import open_trace
from genui.engine.models.denoisers import build_image_denoiser
from genui.engine.sample.diffusion_state import noise
from genui.engine.train.checkpoint import model_metadata, write_model
from genui.protocol import ImageSettings, Start
from genui.recipes import find_recipe, override

diffusers = import_when_used("diffusers")

STEPS, SEED = 12, 3
WORDS = Vocabulary.build(["red heart on black", "naïve bag"])


@pytest.fixture(scope="module")
def modules(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Where diffusers keeps code: one folder, since Python knows it from the first import on."""
    return str(tmp_path_factory.mktemp("modules"))


@pytest.fixture(autouse=True)
def no_network(modules: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.setattr(diffusers.utils.dynamic_modules_utils, "HF_MODULES_CACHE", modules)


def write(path: Path, name: str, **settings: str) -> None:
    """A checkpoint of a small random network."""
    recipe = override(find_recipe(name), SMALL | settings)
    torch.manual_seed(0)
    model = build_image_denoiser(recipe, WORDS.size)  # type: ignore[arg-type]
    with torch.no_grad():
        for weight in model.parameters():
            weight.normal_(std=0.1)
    extra = {"words": list(WORDS.words), "dataset": name, "licence": "CC0-1.0"}
    described = model_metadata(recipe, 7, model, extra)
    write_model(path, dict(model.state_dict()), described)


@pytest.mark.parametrize(
    ("recipe", "changes"),
    [
        ("icons", {"canvas_batch": "8"}),
        ("icons", {}),
        ("fashion", {"network": "unet", "heads": "3", "width": "16", "patch": "4"}),
    ],
)
def test_diffusers_draws_the_same_image(
    recipe: str, changes: dict[str, str], tmp_path: Path
) -> None:
    file, folder = tmp_path / "mine.safetensors", tmp_path / "mine"
    write(file, recipe, **changes)
    assert main(["convert", str(file), "--out", str(folder)]) == 0
    pipeline = diffusers.DiffusionPipeline.from_pretrained(folder, trust_remote_code=True)
    pipeline.set_progress_bar_config(disable=True)
    config = pipeline.unet.config
    inner = slice(config.border, 32 - config.border)
    first = torch.from_numpy(noise((config.in_channels, 32, 32), SEED, 0))[None, :, inner, inner]
    prompt, negative = "Red heart, on zebra", "naïve"
    [image] = pipeline(
        prompt,
        latents=first,
        num_inference_steps=STEPS,
        guidance_scale=3.0,
        negative_prompt=negative,
        output_type="np",
    ).images
    settings = ImageSettings(steps=STEPS, guidance=3.0, negative=negative)
    request = Start(trace=0, model=str(file), prompt=prompt, seed=SEED, settings=settings)
    trace = open_trace(request)
    list(trace.advance(0, STEPS))
    ours = trace.state(STEPS).x[0].clamp(-1, 1).movedim(0, -1).expand(-1, -1, 3) / 2 + 0.5
    torch.testing.assert_close(torch.from_numpy(image), ours, atol=1e-4, rtol=0)
    assert float(ours.std()) > 0.05
    assert "CC0-1.0" in (folder / "README.md").read_text()
    assert pipeline(prompt, num_inference_steps=1).images[0].size == (32, 32)


def test_the_code_in_the_folder_needs_no_genui(tmp_path: Path) -> None:
    file, folder = tmp_path / "mine.safetensors", tmp_path / "mine"
    write(file, "icons")
    assert main(["convert", str(file), "--out", str(folder), "--dtype", "bf16"]) == 0
    for code in folder.rglob("*.py"):
        assert "genui" not in [line.split()[1].split(".")[0] for line in _imports(code)]
    tensors = list((folder / "unet").glob("*.safetensors"))
    assert tensors[0].stat().st_size < 0.6 * file.stat().st_size


def _imports(code: Path) -> list[str]:
    lines = code.read_text().splitlines()
    return [line for line in lines if line.startswith(("import ", "from "))]
