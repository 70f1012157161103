"""The controller of the Canvas: images started from an image or a grid, noised, masked, forked."""

import random
from typing import Any

from msgspec.structs import replace

from genui import protocol
from genui.base.errors import MisuseError
from genui.base.text import clean_line
from genui.protocol import (
    FROM_DATA,
    SAMPLERS,
    AddNoise,
    Axis,
    Denoise,
    ImageFrame,
    ImageSettings,
    RgbImage,
)
from genui.protocol.edits import parse_strength, schedule_step, steps_at
from genui.runs.models import ModelInfo
from genui.ui.generate.look import ImagePart
from genui.ui.traces.controller import LABEL_CELLS, Listener, Opening, TraceController
from genui.ui.traces.trees import ShownTrace, Worker, adds_noise

_OF_SOME = {
    "size": "this model draws images of one size",
    "decoder": "this model draws pixels: it has no decoder",
}
"""Settings that a model has if its own files name them, and why others do not."""


class ImageController(TraceController[ImageFrame, ImageSettings]):
    """Traces of a diffusion model: from noise to an image, or from an image to noise."""

    def __init__(self, session: Worker, listener: Listener) -> None:
        super().__init__(session, listener, ImageSettings())

    def use_model(self, model: ModelInfo) -> None:
        super().use_model(model)
        self.settings = fit_settings(self.settings, model)
        self.opening = Opening()

    def fit_request(self, request: protocol.Start, model: ModelInfo) -> protocol.Start:
        settings = fit_settings(request.settings, model)
        edits = tuple(
            replace(at, edit=protocol.SetSettings(fit_settings(at.edit.settings, model)))
            if isinstance(at.edit, protocol.SetSettings)
            else at
            for at in request.edits
        )
        return replace(request, settings=settings, edits=edits)

    def refusal(self, setting: str) -> str:
        if setting == "eta" and SAMPLERS[self.settings.sampler].noise != "eta":
            return "eta applies to DPM++ and DDIM only: choose one as the sampler"
        if setting == "autoguidance" and not (self.model and self.model.guided):
            return f"{self._name_model()} has no guide model: autoguidance needs one"
        kind = self.model.kind if self.model else None
        if setting == "watermark" and not (kind and kind.watermarks):
            return f"{self._name_model()} carries no watermark"
        if setting in _OF_SOME and not (self.model and setting in self.model.settings):
            return _OF_SOME[setting]
        return super().refusal(setting)

    def _name_model(self) -> str:
        return clean_line(self.model.name, 24) if self.model else "no model"

    # --- beginning ----------------------------------------------------------------------

    def new_label(self) -> str:
        opening = self.opening
        if opening.grid:
            label = f"grid of {' × '.join(axis.name for axis in opening.grid)}"
        elif opening.forward:
            label = f"forward from {opening.title}"
        elif opening.init is not None:
            label = f"from {opening.title}, {opening.strength:g}"
        else:
            return super().new_label()
        return clean_line(label, LABEL_CELLS)

    def open(self, opening: Opening) -> None:
        """Start again from this opening."""
        self.opening = opening
        self.listener.clear_line()
        self.start_over(play=True)

    def open_grid(self, grid: tuple[Axis, ...]) -> None:
        """Start again with this grid, or none; a forward process ends."""
        opening = self.opening
        self.open(Opening(grid=grid) if opening.forward else opening._replace(grid=grid))

    def toggle_forward(self) -> ImagePart:
        """Start the forward process from the finished image or a training image, or end it.

        Returns which image of a step to show then.
        """
        if self.opening.forward:
            self.open(Opening())
            self.listener.say("from pure noise again")
            return "denoised"
        frame = self.frame
        opening = Opening(FROM_DATA, forward=True)
        single = frame is not None and not self.opening.grid and not frame.sound
        if frame is not None and single and frame.sigma == 0:
            height = frame.height * frame.images
            image = RgbImage(width=frame.width, height=height, rgb=frame.denoised)
            opening = Opening(image, forward=True, name="this image")
        self.open(opening)
        self.listener.say(f"noise is added to {opening.title}: f denoises from any step")
        return "x"

    # --- forks --------------------------------------------------------------------------

    def fork_here(self) -> None:
        """Fork at the playhead with a random seed; in a forward process, denoise from there."""
        trace = self.ensure_trace()
        if trace is None:
            return
        step = trace.position
        if adds_noise(trace.request, step):
            if step == 0:
                self.listener.say("there is no noise yet: go a step forward first")
            else:
                self.fork(Denoise(), f"denoise from {step}")
            return
        if step == 0:
            self.reseed()
            return
        seeds = self.varies("seed")
        draws = self._draws() and not trace.finished
        if seeds and draws:
            self.listener.say("the seed varies along this grid: add noise (ctrl+p) instead")
            return
        if not seeds:
            self.seed = random.randrange(1, 10_000)
        if draws:
            self.fork(protocol.SetSeed(self.seed), f"seed {self.seed}")
            return
        # This sampler draws no more noise, so the seed alone would change nothing.
        to = halfway(trace)
        noise = AddNoise(to=to)
        first = noise if seeds else protocol.SetSeed(self.seed)
        label = f"new noise at step {to}, seed {self.seed}"
        self.fork(first, label, then=None if seeds else noise)
        name = SAMPLERS[self.settings.sampler].title
        why = "the image was finished" if trace.finished else f"{name} draws no noise on the way"
        self.listener.say(f"{why}, so the fork got new noise, as of step {to}, and goes on from it")

    def varies(self, setting: str) -> bool:
        """Whether that setting varies along the grid."""
        return any(axis.name == setting for axis in self.opening.grid)

    def _draws(self) -> bool:
        """Whether the sampler draws random numbers after the first step."""
        noise = SAMPLERS[self.settings.sampler].noise
        return noise == "full" or (noise == "eta" and self.settings.eta > 0)

    def noisable(self) -> ShownTrace[ImageFrame] | None:
        """Return the trace if noise can be added at the playhead, else tell the user why not."""
        trace = self.ensure_trace()
        if trace is None or trace.frame is None:
            return None
        if adds_noise(trace.request, trace.position):
            self.listener.say("this is the forward process: f denoises from here")
            return None
        if schedule_step(trace.request, trace.position) == 0:
            self.listener.say("this is still pure noise: go some steps forward first")
            return None
        return trace

    def add_noise(
        self, trace: ShownTrace[ImageFrame], step: int, to: int, mask: bytes = b""
    ) -> None:
        """Fork at `step`: add noise up to the level of step `to`, and denoise again.

        `mask` has a byte a pixel, 1 where the image may change; empty means everywhere.
        """
        if self.trace is trace:
            label = f"mask, new noise at step {to}" if mask else f"new noise at step {to}"
            self.fork(AddNoise(to=to, mask=mask), label, step=step)


def fit_settings(settings: Any, model: ModelInfo) -> Any:
    """The settings without what the model lacks: a guide model, several sizes, a watermark."""
    if not isinstance(settings, ImageSettings):
        return settings
    if not model.guided:
        settings = replace(settings, autoguidance=1)
    if not (model.kind and model.kind.watermarks):
        settings = replace(settings, watermark="none")
    usual = model.settings.get("size", 0)
    decoder = settings.decoder if "decoder" in model.settings else "last"
    return replace(settings, size=(settings.size or usual) if usual else 0, decoder=decoder)


def last_noise_step(trace: ShownTrace[ImageFrame]) -> int:
    """The last step up to whose noise level noise can be added at the playhead."""
    steps = steps_at(trace.request, trace.position)
    return min(schedule_step(trace.request, trace.position), steps - 1)


def halfway(trace: ShownTrace[ImageFrame]) -> int:
    """The step halfway back to pure noise."""
    return schedule_step(trace.request, trace.position) // 2


def parse_opening(lines: list[str]) -> Opening:
    """An opening from two lines: a path, `noise` or nothing, and a strength. Raises MisuseError."""
    path, text = lines[0].strip(), lines[1].strip()
    if path == "noise":
        return Opening()
    try:
        strength = parse_strength(text)
    except ValueError:
        raise MisuseError(
            f"strength '{clean_line(text, 20)}': expected a number above 0, up to 1"
        ) from None
    return Opening(path or FROM_DATA, strength)
