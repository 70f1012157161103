"""Folders of diffusers in our loop, step by step beside the pipelines of diffusers itself."""

import io
import itertools
import json
import logging
import math
import os
import re
import shutil
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from importing import import_when_used
from msgspec import structs
from PIL import Image
from safetensors.torch import load_file, save_file
from tiny_folders import MAKERS, write_folder
from torch import Tensor

from genui.base import paths
from genui.base.errors import GenuiError, MisuseError
from genui.engine.device import Machine
from genui.engine.load import find_and_load, load_open, open_trace
from genui.engine.loading import SILENT, LoadProgress
from genui.engine.metrics.classifiers import labels
from genui.engine.metrics.copying import nearest
from genui.engine.sample.diffusion import DiffusionGenerator
from genui.engine.sample.diffusion_state import noise
from genui.engine.sample.media import to_rgb
from genui.hub import formats
from genui.hub.open_model import read_licence
from genui.kinds.open_image import KINDS, load
from genui.kinds.open_image.folder import PIPELINES
from genui.kinds.open_image.images import OpenImages, Pixels
from genui.kinds.open_image.schedule import FolderSchedule
from genui.protocol import (
    AddNoise,
    Axis,
    EditAt,
    ImageFrame,
    ImageSettings,
    RgbImage,
    SetPrompt,
    SetSettings,
    Start,
)
from genui.protocol.manual import read_page
from genui.runs.models import find_model

pipelines = import_when_used("diffusers.pipelines")
schedulers = import_when_used("diffusers.schedulers")

TOLERANCE = 1e-4
"""Of the spread of an array at its noise level."""
STEPS, SEED = 4, 3
SIZE = 16  # pixels of FLUX and Z-Image, whose usual size takes longer
PROMPT = {"dit": "house cat", "ddpm": ""}
CALL: dict[str, dict[str, Any]] = {
    "sd": {"negative_prompt": "blue dog", "guidance_scale": 3.0},
    "sd2": {"guidance_scale": 3.0},
    "sdxl": {"guidance_scale": 3.0},
    "dit": {"guidance_scale": 3.0},
    "flux": {"guidance_scale": 3.0, "height": SIZE, "width": SIZE},
    "z-image": {"guidance_scale": 2.0, "height": SIZE, "width": SIZE},
}
SETTINGS: dict[str, dict[str, Any]] = {
    "ddpm": {"sampler": "ddpm"},
    "sd": {"sampler": "ddim", "negative": "blue dog"},
    "dit": {"sampler": "ddim"},
    "flux": {"size": SIZE},
    "z-image": {"size": SIZE},
}


Folders = Callable[[str], tuple[Path, Any]]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Folders:
    """The folder of a kind and its pipeline of diffusers, made when it is first asked for."""
    made: dict[str, tuple[Path, Any]] = {}
    root = tmp_path_factory.mktemp("folders")

    def folder(kind: str) -> tuple[Path, Any]:
        if kind not in made:
            made[kind] = root / kind, write_folder(kind, root / kind)
        return made[kind]

    return folder


@pytest.fixture(autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path_factory.getbasetemp() / "home"
    monkeypatch.setenv("GENUI_HOME", str(home))
    monkeypatch.setenv("HF_HOME", str(home / "hf"))


def settings_of(kind: str, **more: Any) -> ImageSettings:
    values = {"sampler": "euler", "steps": STEPS, "guidance": 3.0}
    return ImageSettings(**(values | SETTINGS.get(kind, {}) | more))


def start_of(kind: str, path: Path, **more: Any) -> Start:
    prompt = PROMPT.get(kind, "a red cat on the moon")
    fields = {"trace": 0, "prompt": prompt, "seed": SEED, "settings": settings_of(kind)}
    return Start(model=str(path), **(fields | more))


def draw_ours(start: Start) -> tuple[list[Any], ImageFrame]:
    """The states of every step, and the last frame."""
    trace = open_trace(start)
    frames = list(trace.advance(0, 1000))
    last = frames[-1]
    assert isinstance(last, ImageFrame)
    return [trace.state(step) for step in range(trace.reached + 1)], last


def draw_theirs(
    kind: str, pipeline: Any, shape: tuple[int, int, int], monkeypatch: pytest.MonkeyPatch
) -> tuple[list[Tensor], Tensor]:
    """The samples after every step of the scheduler, and the image [3, H, W] in -1 to 1."""
    samples: list[Tensor] = []
    step = type(pipeline.scheduler).step

    def recorded(self: Any, *args: Any, **options: Any) -> Any:
        result = step(self, *args, **options)
        samples.append(result[0])
        return result

    monkeypatch.setattr(type(pipeline.scheduler), "step", recorded)
    first = torch.from_numpy(noise(shape, SEED, 0))[None]
    noises = (torch.from_numpy(noise(shape, SEED, i))[None] for i in itertools.count(1))
    for module in (pipelines.ddpm.pipeline_ddpm, pipelines.dit.pipeline_dit):
        monkeypatch.setattr(module, "randn_tensor", lambda *_, **__: first)
    for drawn in (schedulers.scheduling_ddpm, schedulers.scheduling_lcm):
        monkeypatch.setattr(drawn, "randn_tensor", lambda *_, **__: next(noises))
    options = {"num_inference_steps": STEPS, "output_type": "np", **CALL.get(kind, {})}
    if kind == "dit":
        options["class_labels"] = [3]
    elif kind != "ddpm":
        options |= {"prompt": "a red cat on the moon", "latents": first}
    if kind == "flux":
        C, H, W = shape
        options["latents"] = pipelines.FluxPipeline._pack_latents(first, 1, C, H, W)
    result = pipeline(**options)
    image = torch.from_numpy(result[0])[0].movedim(-1, 0) * 2 - 1
    if kind == "flux":
        _, H, W = shape
        samples = [pipelines.FluxPipeline._unpack_latents(x, 2 * H, 2 * W, 2) for x in samples]
    return samples, image


@pytest.mark.parametrize("kind", MAKERS)
def test_every_step_is_that_of_diffusers(
    kind: str,
    folders: Folders,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path, pipeline = folders(kind)
    states, last = draw_ours(start_of(kind, path))
    C, H, W = states[0].x.shape[1:]
    theirs, image = draw_theirs(kind, pipeline, (C, H, W), monkeypatch)
    assert len(theirs) == len(states) - 1 == STEPS
    is_flow = kind in ("flux", "z-image")
    in_sigma = "Euler" in type(pipeline.scheduler).__name__ and not is_flow
    largest = 0.0
    for state, sample in zip(states[1:], theirs, strict=True):
        scale = 1 if in_sigma else 1 + state.sigma if is_flow else math.hypot(1, state.sigma)
        x = state.x / scale
        largest = max(largest, float((x - sample).abs().max() / sample.std()))
    assert largest < TOLERANCE, largest
    assert last.sigma == 0
    pixels = torch.frombuffer(bytearray(last.denoised), dtype=torch.uint8).float()
    ours = pixels.view(last.height, last.width, 3).movedim(-1, 0) / 127.5 - 1
    assert (ours - image).abs().max() < 1 / 127  # the rounding to bytes


@pytest.mark.parametrize(
    ("name", "sampler", "options"),
    [
        ("DPMSolverMultistepScheduler", "dpmpp-2m", {"solver_type": "midpoint"}),
        ("LCMScheduler", "lcm", {}),
    ],
)
def test_the_solver_of_another_scheduler_is_our_sampler(
    name: str,
    sampler: str,
    options: dict[str, Any],
    folders: Folders,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = shutil.copytree(folders("sd")[0], tmp_path / "sd")
    pipeline = pipelines.StableDiffusionPipeline.from_pretrained(path, safety_checker=None)
    pipeline.set_progress_bar_config(disable=True)
    solver = getattr(schedulers, name)
    pipeline.scheduler = solver.from_config(pipeline.scheduler.config, **options)
    pipeline.scheduler.save_pretrained(path / "scheduler")
    index = path / "model_index.json"
    index.write_text(index.read_text().replace("DDIMScheduler", solver.__name__))
    settings = settings_of("sd", sampler=sampler)
    states, _ = draw_ours(start_of("sd", path, settings=settings))
    C, H, W = states[0].x.shape[1:]
    theirs, _ = draw_theirs("sd", pipeline, (C, H, W), monkeypatch)
    for state, sample in zip(states[1:], theirs, strict=True):
        x = state.x / math.hypot(1, state.sigma)
        assert float((x - sample).abs().max() / sample.std()) < TOLERANCE


@pytest.mark.parametrize(
    ("name", "config"),
    [
        ("PNDMScheduler", {"skip_prk_steps": True, "steps_offset": 1}),
        ("DPMSolverMultistepScheduler", {"use_karras_sigmas": True}),
        ("UniPCMultistepScheduler", {}),
        ("EulerAncestralDiscreteScheduler", {"timestep_spacing": "trailing"}),
        ("HeunDiscreteScheduler", {}),
        ("LCMScheduler", {}),
        ("DDIMScheduler", {"rescale_betas_zero_snr": True, "timestep_spacing": "trailing"}),
        (
            "DPMSolverMultistepScheduler",
            {"use_flow_sigmas": True, "prediction_type": "flow_prediction", "flow_shift": 3.0},
        ),
        ("FlowMatchHeunDiscreteScheduler", {}),
    ],
)
@pytest.mark.parametrize("steps", [1, 4, 20])
def test_the_levels_of_a_scheduler_fall_to_0_in_as_many_steps(
    name: str, config: dict[str, Any], steps: int
) -> None:
    schedule = FolderSchedule(getattr(schedulers, name)(**config), lambda _: 256)
    levels = schedule.sigmas(ImageSettings(steps=steps))
    assert len(levels) == steps + 1
    assert levels[-1] == 0
    assert all(a > b for a, b in itertools.pairwise(levels))
    assert math.isfinite(schedule.noise_scale(levels[0]))
    times = [schedule.timestep(sigma) for sigma in levels[:-1]]
    assert all(a > b for a, b in itertools.pairwise(times))
    assert 0 <= times[-1] <= times[0] <= 1000
    if steps > 1:
        between = schedule.sigmas(ImageSettings(steps=3), levels[1])
        assert between[0] == levels[1]
        assert all(a > b for a, b in itertools.pairwise(between))
        up = schedule.rising(ImageSettings(steps=3), levels[-2])
        assert all(a < b for a, b in itertools.pairwise(up))


def test_a_scheduler_of_another_kind_is_refused() -> None:
    with pytest.raises(GenuiError, match="EDMEulerScheduler"):
        FolderSchedule(schedulers.EDMEulerScheduler(), lambda _: 256)


# --- Back, forks and replay -----------------------------------------------------------------


@pytest.mark.parametrize("kind", ["ddpm", "sd", "flux"])
def test_back_and_again_gives_the_same_bits(kind: str, folders: Folders) -> None:
    path, _ = folders(kind)
    start = start_of(kind, path)
    trace = open_trace(start)
    libraries = ("diffusers",) if kind == "ddpm" else ("diffusers", "transformers")
    by = ", ".join(f"{name} {version(name)}" for name in libraries)
    assert trace.started.precision == f"fp32 by {by}"
    frames = list(trace.advance(0, 1000))
    again = list(trace.advance(2, 1000))
    assert [frame.content for frame in again] == [frame.content for frame in frames[2:]]
    model = formats.describe(path)
    fresh = load.load(model, Machine("cpu", "fp32", 1), SILENT)  # as another process would
    assert fresh.step(fresh.begin(start)[0])[1].content == frames[0].content


def test_a_fork_with_another_prompt_is_the_trace_that_has_that_edit(folders: Folders) -> None:
    path, _ = folders("sd")
    trace = open_trace(start_of("sd", path))
    list(trace.advance(0, 3))
    branch = trace.fork(1, 3, SetPrompt("a blue dog"))
    frames = list(branch.advance(3, 1000))
    edits = (EditAt(step=3, edit=SetPrompt("a blue dog")),)
    _, last = draw_ours(start_of("sd", path, edits=edits))
    assert frames[-1].content == last.content
    assert last.content != draw_ours(start_of("sd", path))[1].content


def test_the_negative_prompt_matters_only_with_guidance(folders: Folders) -> None:
    path, _ = folders("sd")

    def draw(**settings: Any) -> bytes:
        return draw_ours(start_of("sd", path, settings=settings_of("sd", **settings)))[1].content

    assert draw(negative="glass") != draw(negative="")
    assert draw(negative="glass", guidance=1.0) == draw(negative="", guidance=1.0)


def test_a_changed_number_of_steps_goes_on_from_the_level_of_the_fork(folders: Folders) -> None:
    path, _ = folders("sd")
    trace = open_trace(start_of("sd", path))
    list(trace.advance(0, 3))
    branch = trace.fork(1, 3, SetSettings(settings_of("sd", steps=10)))
    sigmas = [trace.state(step).sigma for step in range(4)]
    sigmas += [frame.sigma for frame in branch.advance(3, 1000)]  # type: ignore[union-attr]
    assert len(sigmas) == 11
    assert sigmas[-1] == 0
    assert sigmas == sorted(sigmas, reverse=True)


def test_a_folder_reports_its_components_by_their_size(folders: Folders) -> None:
    path, _ = folders("sd")
    shares: list[float] = []
    progress = LoadProgress(lambda share, size: shares.append(share))
    load_open(path, "diffusers", progress=progress)
    assert shares[0] == 0
    assert shares == sorted(shares)
    assert len(set(shares)) == 3 + 1  # after the VAE, the text encoder and the UNet, and before


# --- Initial images, masks and sizes --------------------------------------------------------


def test_img2img_is_that_of_diffusers(folders: Folders, tmp_path: Path) -> None:
    path, pipeline = folders("sd")
    image = draw_ours(start_of("sd", path))[1]
    init = RgbImage(width=image.width, height=image.height, rgb=image.denoised)
    states, _ = draw_ours(start_of("sd", path, init=init, strength=0.5))
    generator = find_and_load(str(path))
    assert isinstance(generator, DiffusionGenerator)
    latents = generator.medium.load_init(init, "").clean[None]
    img2img = pipelines.StableDiffusionImg2ImgPipeline(
        **pipeline.components, requires_safety_checker=False
    )
    img2img.set_progress_bar_config(disable=True)
    C, H, W = latents.shape[1:]
    first = torch.from_numpy(noise((C, H, W), SEED, 0))[None]
    with pytest.MonkeyPatch.context() as patch:
        module = pipelines.stable_diffusion.pipeline_stable_diffusion_img2img
        patch.setattr(module, "randn_tensor", lambda *_, **__: first)
        result = img2img(
            "a red cat on the moon",
            image=latents,
            strength=0.5,
            num_inference_steps=STEPS,
            output_type="latent",
            **CALL["sd"],
        ).images
    assert len(states) == STEPS // 2 + 1
    assert float((states[-1].x - result).abs().max() / result.std()) < TOLERANCE


def test_an_initial_image_may_have_16_bits_and_is_no_pipe(tmp_path: Path) -> None:
    medium = OpenImages(Pixels(3), (3, 32, 32))
    ramp = np.linspace(0, 65535, 1024).astype(np.uint16).reshape(32, 32)
    Image.fromarray(ramp).save(tmp_path / "deep.png")
    clean = medium.load_init(str(tmp_path / "deep.png"), "").clean
    assert abs(float(clean.mean())) < 0.01  # it was white but for one value
    os.mkfifo(tmp_path / "pipe.png")
    with pytest.raises(MisuseError, match="is not a regular file"):
        medium.load_init(str(tmp_path / "pipe.png"), "")


def test_inpainting_keeps_what_is_outside_the_mask(folders: Folders) -> None:
    path, _ = folders("sd")
    mask = bytes(int(x < 4) for _ in range(8) for x in range(8))  # the left half, coarser
    trace = open_trace(start_of("sd", path))
    list(trace.advance(0, 1000))
    branch = trace.fork(1, STEPS, AddNoise(to=2, mask=mask))
    list(branch.advance(STEPS, 1000))
    before, after = trace.state(trace.reached), branch.state(branch.reached)
    half = before.x.shape[-1] // 2
    assert torch.equal(after.x[..., half:].float(), before.denoised[..., half:].float())
    assert not torch.equal(after.x[..., :half], before.x[..., :half])


def test_a_model_with_an_autoencoder_draws_other_sizes(folders: Folders) -> None:
    path, _ = folders("sd")
    settings = settings_of("sd", size=24)
    _, last = draw_ours(start_of("sd", path, settings=settings))
    assert (last.width, last.height) == (24, 24)
    with pytest.raises(MisuseError, match="multiples of 2; use 24"):
        open_trace(start_of("sd", path, settings=settings_of("sd", size=25)))
    with pytest.raises(MisuseError, match="one size only"):
        open_trace(start_of("dit", folders("dit")[0], settings=settings_of("dit", size=24)))


def test_an_unknown_class_is_refused_with_a_near_name(folders: Folders) -> None:
    path, _ = folders("dit")
    with pytest.raises(MisuseError, match="did you mean 'house cat'"):
        open_trace(start_of("dit", path, prompt="house bat"))
    named = draw_ours(start_of("dit", path, prompt="cat"))[1].content
    assert draw_ours(start_of("dit", path, prompt="3"))[1].content == named


# --- What the files say, and faults ----------------------------------------------------------


def test_a_folder_is_described_by_its_headers(folders: Folders) -> None:
    path, pipeline = folders("sd")
    info = find_model(str(path))
    parts = [pipeline.unet, pipeline.vae, pipeline.text_encoder]
    assert info.parameters == sum(p.numel() for part in parts for p in part.parameters())
    assert (info.family, info.medium, info.format) == ("pretrained", "image", "diffusers")
    assert info.card["facts"]["licence"] == "apache-2.0"
    assert info.card["facts"]["architecture"] == "Stable Diffusion"
    assert info.defaults.guidance == 7.5
    assert info.defaults.steps == 30  # of its pipeline, not of the models trained here
    assert info.defaults.size == 32


def test_distilled_models_recommend_few_steps_without_guidance(
    folders: Folders, tmp_path: Path
) -> None:
    def change(kind: str, file: str, old: str, new: str) -> Any:
        path = shutil.copytree(folders(kind)[0], tmp_path / f"{kind}-fast")
        text = (path / file).read_text()
        assert old in text
        (path / file).write_text(text.replace(old, new))
        return find_model(str(path)).defaults

    few = {"steps": 4, "guidance": 1.0, "sampler": "euler"}
    turbo = change("sdxl", "scheduler/scheduler_config.json", '"leading"', '"trailing"')
    assert {name: getattr(turbo, name) for name in few} != few  # the spacing alone says nothing
    config = tmp_path / "sdxl-fast" / "scheduler" / "scheduler_config.json"
    config.write_text(config.read_text().replace("EulerDiscrete", "EulerAncestralDiscrete"))
    turbo = find_model(str(tmp_path / "sdxl-fast")).defaults
    assert {name: getattr(turbo, name) for name in few} == few
    assert turbo.size == 32
    change("sd", "model_index.json", "DDIMScheduler", "LCMScheduler")
    file = tmp_path / "sd-fast" / "scheduler" / "scheduler_config.json"
    file.write_text(file.read_text().replace("DDIMScheduler", "LCMScheduler"))
    lcm = find_model(str(tmp_path / "sd-fast")).defaults
    assert (lcm.steps, lcm.guidance, lcm.sampler) == (4, 1.0, "lcm")
    schnell = change("flux", "transformer/config.json", ": true,", ": false,")
    assert {name: getattr(schnell, name) for name in few} == few


@pytest.mark.parametrize(
    ("front", "licence"),
    [
        ("---\nlicense: mit\n---\n", "mit"),
        ("---\r\nlicense: 'cc-by-4.0' # ours\r\n---\r\n", "cc-by-4.0"),
        ("---\nlicense: other\nlicense_name: flux-1-dev\n---\n", "flux-1-dev"),
        ("license: mit\n", ""),
        ("", ""),
    ],
)
def test_the_licence_is_that_of_the_front_matter(front: str, licence: str, tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text(f"{front}# A model\n", newline="")
    assert read_licence(tmp_path) == licence


def break_index(folder: Path) -> None:
    (folder / "model_index.json").write_text('{"_class_name": ["pipeline", "Mine"]}')


def break_code(folder: Path) -> None:
    index = folder / "model_index.json"
    index.write_text(index.read_text().replace('"diffusers",\n    "UNet', '"my_code",\n    "UNet'))


def break_class(folder: Path) -> None:
    (folder / "model_index.json").write_text('{"_class_name": "StableDifusionPipeline"}')


def break_part(folder: Path) -> None:
    shutil.rmtree(folder / "vae")


def break_weights(folder: Path) -> None:
    file = folder / "unet" / "diffusion_pytorch_model.safetensors"
    file.write_bytes(file.read_bytes()[:-100])


def break_pickle(folder: Path) -> None:
    file = folder / "unet" / "diffusion_pytorch_model.safetensors"
    file.rename(file.with_suffix(".bin"))


def break_config(folder: Path) -> None:
    (folder / "unet" / "config.json").write_text("{")


@pytest.mark.parametrize(
    ("damage", "fault"),
    [
        (break_index, "code in the folder"),
        (break_code, "which genui does not run"),
        (break_class, "did you mean 'StableDiffusionPipeline'"),
        (break_part, "vae: is missing"),
        (break_weights, "truncated"),
        (break_pickle, "pickled"),
        (break_config, "damaged"),
    ],
)
def test_a_damaged_folder_is_one_line(
    damage: Callable[[Path], None], fault: str, folders: Folders, tmp_path: Path
) -> None:
    path = shutil.copytree(folders("sd")[0], tmp_path / "sd")
    damage(path)
    with pytest.raises(MisuseError, match=fault) as error:
        find_model(str(path))
    assert "\n" not in str(error.value)
    assert str(path) in str(error.value)


@pytest.mark.parametrize(
    ("part", "cls"),
    [("tokenizer", "AutoTokenizer"), ("text_encoder", "pipeline"), ("vae", "DiffusionPipeline")],
)
def test_classes_that_may_run_code_of_the_folder_are_refused(
    part: str, cls: str, folders: Folders, tmp_path: Path
) -> None:
    path = shutil.copytree(folders("sd")[0], tmp_path / "sd")
    index = path / "model_index.json"
    fields = json.loads(index.read_text())
    fields[part][1] = cls
    index.write_text(json.dumps(fields))
    with pytest.raises(GenuiError, match=f"has no class {cls}") as error:
        open_trace(start_of("sd", path))
    assert "\n" not in str(error.value)


def test_shards_outside_of_the_folder_are_missing(folders: Folders, tmp_path: Path) -> None:
    path = shutil.copytree(folders("sd")[0], tmp_path / "sd")
    index = path / "unet" / "diffusion_pytorch_model.safetensors.index.json"
    other = "../vae/diffusion_pytorch_model.safetensors"
    index.write_text(json.dumps({"weight_map": {"a": other}}))
    with pytest.raises(MisuseError, match="is missing"):
        find_model(str(path))


def test_weights_that_do_not_fit_are_one_line(folders: Folders, tmp_path: Path) -> None:
    path = shutil.copytree(folders("sd")[0], tmp_path / "sd")
    config = path / "text_encoder" / "config.json"
    more_layers = config.read_text().replace('"num_hidden_layers": 2', '"num_hidden_layers": 3')
    config.write_text(more_layers)
    with pytest.raises(GenuiError, match="text_encoder: its weights lack") as error:
        find_and_load(str(path))
    assert "\n" not in str(error.value)


def test_clipping_that_a_sampler_does_otherwise_is_said(folders: Folders, tmp_path: Path) -> None:
    path = shutil.copytree(folders("sd")[0], tmp_path / "sd")
    file = path / "scheduler" / "scheduler_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"clip_sample": True}))
    for sampler, said in (("ddim", True), ("ddpm", False)):
        start = start_of("sd", path, settings=settings_of("sd", sampler=sampler))
        assert ("only ddpm draws exactly" in open_trace(start).started.note) == said


def test_a_wrong_shape_is_said_without_the_advice_of_the_library(
    folders: Folders, tmp_path: Path
) -> None:
    path = shutil.copytree(folders("sd")[0], tmp_path / "sd")
    config = path / "unet" / "config.json"
    fields = json.loads(config.read_text())
    config.write_text(json.dumps(fields | {"in_channels": fields["in_channels"] + 1}))
    with pytest.raises(GenuiError, match=r"unet: does not load \(.*\); copy the folder") as error:
        find_and_load(str(path))
    assert "If you want" not in str(error.value)


def test_a_model_that_does_not_fit_into_memory_is_refused(folders: Folders) -> None:
    model = structs.replace(formats.describe(folders("sd")[0]), parameters=10**14)
    with pytest.raises(GenuiError, match="GB are free") as error:
        load.load(model, Machine("cpu", "fp32", 1), SILENT)
    assert "\n" not in str(error.value)


def test_bf16_halves_the_weights_and_draws_nearly_the_same(folders: Folders) -> None:
    path, _ = folders("sd")
    model = formats.describe(path)
    start = start_of("sd", path, settings=settings_of("sd", steps=2))
    states = []
    for precision in ("fp32", "bf16"):
        generator = load.load(model, Machine("cpu", precision, 1), SILENT)
        state, _ = generator.begin(start)
        while not generator.finished(state):
            state, _ = generator.step(state)
        states.append(state.x)
    assert not torch.equal(*states)
    assert float((states[0] - states[1]).abs().mean() / states[0].std()) < 0.1


def test_folders_of_half_precision_and_of_several_files_are_read(
    folders: Folders, tmp_path: Path
) -> None:
    path, pipeline = folders("ddpm")
    half = pipelines.DDPMPipeline.from_pretrained(path, torch_dtype=torch.float16)
    half.save_pretrained(tmp_path / "half", variant="fp16")
    pipeline.save_pretrained(tmp_path / "parts", max_shard_size="60KB")
    _, plain = draw_ours(start_of("ddpm", path))
    assert draw_ours(start_of("ddpm", tmp_path / "parts"))[1].content == plain.content
    assert formats.describe(tmp_path / "half").stored == "fp16"
    assert len(draw_ours(start_of("ddpm", tmp_path / "half"))[0]) == STEPS + 1
    parts = sorted((tmp_path / "parts" / "unet").glob("*-of-*.safetensors"))
    assert len(parts) > 1
    parts[0].unlink()
    with pytest.raises(MisuseError, match=rf"{parts[0].name}:? is missing"):
        find_model(str(tmp_path / "parts"))


def test_what_needs_training_data_or_other_sizes_is_one_line(folders: Folders) -> None:
    trace = open_trace(start_of("ddpm", folders("ddpm")[0]))
    list(trace.advance(0, 1000))
    assert "do not hold the data" in nearest(trace, STEPS, 4).fault
    assert "images of 32×32, and this one has 16×16" in labels(trace, STEPS, "icons-labels").fault


# --- LoRA -----------------------------------------------------------------------------------


@pytest.fixture
def adapter(folders: Folders, tmp_path: Path) -> Path:
    """A LoRA of the UNet, and of the text encoder if transformers takes the peft that is installed,
    saved by diffusers under the names of peft."""
    peft: Any = pytest.importorskip("peft")
    by_transformers = tuple(map(int, peft.__version__.split(".")[:2])) >= (0, 22)
    path, _ = folders("sd")
    pipeline = pipelines.StableDiffusionPipeline.from_pretrained(path, safety_checker=None)
    torch.manual_seed(1)
    states = {}
    targets = {"unet": ["to_q", "to_v"], "text_encoder": ["q_proj", "v_proj"]}
    for part in ("unet", "text_encoder") if by_transformers else ("unet",):
        config = peft.LoraConfig(
            r=2, lora_alpha=2, target_modules=targets[part], init_lora_weights=False
        )
        module = getattr(pipeline, part)
        module.add_adapter(config)
        states[f"{part}_lora_layers"] = peft.get_peft_model_state_dict(module)
    pipelines.StableDiffusionPipeline.save_lora_weights(
        tmp_path, **states, weight_name="style.safetensors"
    )
    return tmp_path / "style.safetensors"


def test_a_lora_in_the_prompt_is_that_of_diffusers(
    folders: Folders, adapter: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, _ = folders("sd")
    prompt = "a red cat on the moon"
    plain, before = draw_ours(start_of("sd", path))
    states, _ = draw_ours(start_of("sd", path, prompt=f"{prompt} <lora:{adapter}:0.5>"))
    pipeline = pipelines.StableDiffusionPipeline.from_pretrained(path, safety_checker=None)
    pipeline.set_progress_bar_config(disable=True)
    pipeline.load_lora_weights(adapter, adapter_name="style")
    pipeline.set_adapters(["style"], [0.5])
    C, H, W = states[0].x.shape[1:]
    theirs, _ = draw_theirs("sd", pipeline, (C, H, W), monkeypatch)
    difference = float((states[-1].x - theirs[-1]).abs().max() / theirs[-1].std())
    assert difference < TOLERANCE
    assert float((states[-1].x - plain[-1].x).abs().max()) > 0.01
    assert draw_ours(start_of("sd", path))[1].content == before.content  # it is off again


def test_a_grid_of_weights_is_drawn_as_one_batch(folders: Folders, adapter: Path) -> None:
    path, _ = folders("sd")
    captions = tuple(f"cat <lora:{adapter}:{weight}>" for weight in (0, 1))
    grid = (Axis(name="caption", values=captions),)
    states, _ = draw_ours(start_of("sd", path, prompt="cat", grid=grid))
    single, _ = draw_ours(start_of("sd", path, prompt=captions[1]))
    spread = float(single[-1].x.std())
    assert float((states[-1].x[1] - single[-1].x[0]).abs().max()) < TOLERANCE * spread
    assert float((states[-1].x[0] - single[-1].x[0]).abs().max()) > 0.01


def test_an_adapter_that_changed_is_not_taken_for_the_loaded_one(
    folders: Folders, adapter: Path, tmp_path: Path
) -> None:
    path, _ = folders("sd")
    file = shutil.copy(adapter, tmp_path / "mine.safetensors")
    start = start_of("sd", path, prompt=f"cat <lora:{file}>")
    trace = open_trace(start)
    next(trace.advance(0, 1))
    save_file({name: 2 * value for name, value in load_file(file).items()}, file)
    with pytest.raises(GenuiError, match=r"mine\.safetensors: changed since it was loaded"):
        next(trace.advance(1, 1))
    with pytest.raises(GenuiError, match="give the new file another name"):
        open_trace(start)


def test_an_adapter_that_is_damaged_or_of_another_model_is_one_line(
    folders: Folders, adapter: Path, tmp_path: Path
) -> None:
    cut, other, said = tmp_path / "cut.safetensors", tmp_path / "other.safetensors", io.StringIO()
    cut.write_bytes(adapter.read_bytes()[:300])
    save_file({name: value[:, :1].clone() for name, value in load_file(adapter).items()}, other)
    handler, logger = logging.StreamHandler(said), logging.getLogger("diffusers")
    logger.addHandler(handler)
    try:
        for file in (cut, other):
            with pytest.raises(GenuiError, match="does not load as a LoRA of this model"):
                open_trace(start_of("sd", folders("sd")[0], prompt=f"cat <lora:{file}>"))
    finally:
        logger.removeHandler(handler)
    assert not said.getvalue()


@pytest.mark.parametrize(
    ("tag", "fault"),
    [("<lora:none:1>", "no adapter 'none'"), ("<lora:none:much>", "give a weight")],
)
def test_a_wrong_adapter_is_one_line(tag: str, fault: str, folders: Folders) -> None:
    path, _ = folders("sd")
    with pytest.raises(MisuseError, match=fault):
        open_trace(start_of("sd", path, prompt=f"cat {tag}"))


def test_a_file_that_is_no_adapter_is_one_line(folders: Folders) -> None:
    path, _ = folders("sd")
    weights = path / "unet" / "diffusion_pytorch_model.safetensors"
    with pytest.raises(GenuiError, match="does not load as a LoRA") as error:
        open_trace(start_of("sd", path, prompt=f"cat <lora:{weights}>"))
    assert "\n" not in str(error.value)


# --- Previews -------------------------------------------------------------------------------


def test_a_preview_of_latents_is_nearer_to_the_decoded_image_than_its_mean_colour(
    folders: Folders,
) -> None:
    path, _ = folders("sd")
    generator = find_and_load(str(path))
    assert isinstance(generator, DiffusionGenerator)
    assert isinstance(generator.medium, OpenImages)
    space = generator.medium.space
    smooth = torch.from_numpy(noise((4, 4, 4), 5))[None]
    latents = torch.nn.functional.interpolate(smooth, size=16, mode="bilinear")
    decoded, preview = space.decode(latents), space.preview(latents, True)
    assert preview.shape == decoded.shape
    error = (preview - decoded).square().mean()
    mean = decoded.mean(dim=(2, 3), keepdim=True)
    assert error < (decoded - mean).square().mean()
    assert list((paths.cache_dir() / "latent-colours").glob("*.json"))


def test_every_step_can_be_decoded_in_full_and_its_bits_stay(folders: Folders) -> None:
    path, _ = folders("sd")
    trace = open_trace(start_of("sd", path, settings=settings_of("sd", decoder="every")))
    plain = open_trace(start_of("sd", path))
    frames = [*zip(trace.advance(0, 2), plain.advance(0, 2), strict=True)]
    for full, cheap in frames:
        assert isinstance(full, ImageFrame)
        assert isinstance(cheap, ImageFrame)
        assert full.content == cheap.content
        assert full.denoised != cheap.denoised
    generator = find_and_load(str(path))
    assert isinstance(generator, DiffusionGenerator)
    assert isinstance(generator.medium, OpenImages)
    decoded = generator.medium.space.decode(trace.state(2).denoised)
    assert frames[-1][0].denoised == to_rgb(decoded)[0].tobytes()  # type: ignore[union-attr]


def test_a_tiny_autoencoder_beside_the_model_shows_the_predictions(
    folders: Folders, tmp_path: Path
) -> None:
    diffusers: Any = pytest.importorskip("diffusers")
    path = shutil.copytree(folders("sd")[0], tmp_path / "sd")
    torch.manual_seed(2)
    tiny = diffusers.AutoencoderTiny(
        encoder_block_out_channels=(8, 8),
        decoder_block_out_channels=(8, 8),
        num_encoder_blocks=(1, 1),
        num_decoder_blocks=(1, 1),
        upsampling_scaling_factor=2,
        latent_channels=4,
    )
    tiny.save_pretrained(tmp_path / "taesd")
    trace = open_trace(start_of("sd", path))
    [frame] = trace.advance(0, 1)
    assert isinstance(frame, ImageFrame)
    with torch.inference_mode():
        expected = tiny.decode(trace.state(1).denoised.float()).sample
    assert frame.denoised == to_rgb(expected)[0].tobytes()
    plain = open_trace(start_of("sd", folders("sd")[0]))
    assert [frame.x] == [one.x for one in plain.advance(0, 1)]  # type: ignore[union-attr]


def test_the_manual_lists_every_pipeline() -> None:
    assert PIPELINES.keys() <= set(re.findall(r"\w+", read_page(KINDS[0].topic)))
