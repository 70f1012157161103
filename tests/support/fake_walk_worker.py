"""A worker whose models are walked through: the real geometry of a walk, and an image that is
only as bright as the first number of its latent."""

import math
from dataclasses import replace

import numpy as np
from fake_worker import SIDE, FakeWorker

from genui import protocol
from genui.kinds.gan.sample import WalkImage, WalkState, walk_origin
from genui.kinds.gan.walk import LatentSettings, WalkFrame

DIRECTIONS = np.eye(8, 16, dtype=np.float32)


def state_at(start: protocol.Start, step: int) -> WalkState:
    """Where a walk stands after so many moves, the edits up to there made."""
    settings = start.settings
    assert isinstance(settings, LatentSettings)
    origin = walk_origin(start.seed, settings, DIRECTIONS)
    image = WalkImage(caption=start.prompt, seed=start.seed, origin=origin)
    state = WalkState(images=(image,), columns=1, settings=settings, directions=DIRECTIONS)
    for at in range(step + 1):
        for made in start.edits:
            if made.step == at:
                state = edited(state, made.edit)
        if at < step:
            state = replace(state, step=at + 1)
    return state


def edited(state: WalkState, edit: protocol.Edit) -> WalkState:
    match edit:
        case protocol.SetSettings(settings=LatentSettings() as settings):
            return state.redirect(settings, DIRECTIONS)
        case protocol.SetSeed(seed=seed):
            return state.redirect(state.settings, DIRECTIONS, seed)
        case protocol.SetPrompt(prompt=prompt):
            images = tuple(replace(image, caption=prompt) for image in state.images)
            return replace(state, images=images)
    raise AssertionError(edit)


class FakeWalk(FakeWorker):
    """Answers as a GAN does."""

    def opened(self, request: protocol.Start, step: int) -> None:
        self.traces[request.trace] = request
        self.send(
            protocol.Started(
                trace=request.trace,
                model=request.model,
                family="gan",
                medium="image",
                prompt=request.prompt,
                total_steps=state_at(request, step).total,
                step=step,
            )
        )
        self.send(self.frame(request, step))

    def frame(self, start: protocol.Start, step: int) -> WalkFrame:
        state = state_at(start, step)
        first = float(state.settings.truncation * state.latents()[0][0])
        level = round(255 / (1 + math.exp(-first)))
        rgb = bytes([level]) * (SIDE * SIDE * 3)
        return WalkFrame(
            trace=start.trace,
            step=step,
            sigma=0.0,
            width=SIDE,
            height=SIDE,
            x=rgb,
            denoised=rgb,
            score=round(first, 4),
            along=state.coordinates(),
        )
