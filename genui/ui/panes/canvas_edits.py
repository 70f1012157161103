"""What is done to a picture on its way: forks from a step."""

import random

from genui import protocol
from genui.errors import MisuseError
from genui.protocol import SAMPLERS, AddNoise, Denoise, ImageFrame
from genui.render.sanitise import clean_line
from genui.ui import messages, schedule
from genui.ui.panes.canvas_openings import LABEL_CELLS, CanvasOpenings
from genui.ui.screens.value import ValueScreen
from genui.ui.trace import Trace


class CanvasEdits(CanvasOpenings):
    """The actions of Canvas that ask, and then fork from the playhead."""

    @property
    def moment(self) -> int:
        """Which frame of a clip is shown; of a picture the only one."""
        return 0

    # --- forks ------------------------------------------------------------------------

    def action_fork(self) -> None:
        """From here on with other random numbers; of a forward process, back from here."""
        trace = self._needed()
        if trace is None:
            return
        if schedule.rises(trace.request, trace.position):
            self._denoise(trace)
            return
        if trace.position == 0:
            self.action_reseed()
            return
        seeds = any(axis.name == "seed" for axis in self.opening.grid)
        draws = self._draws() and not trace.finished
        if seeds and draws:
            self._tell("the seed varies along this grid: a adds other noise to all of it")
            return
        if not seeds:
            self.seed = random.randrange(1, 10_000)
        if draws:
            self.fork(protocol.SetSeed(self.seed), f"seed {self.seed}")
            return
        # Without noise of its own on the way a sampler ignores the seed: only noise added
        # back can lead elsewhere.
        to = self._middle(trace)
        noise = AddNoise(to=to)
        first = noise if seeds else protocol.SetSeed(self.seed)
        self.fork(first, f"noise back to {to}, seed {self.seed}", then=None if seeds else noise)
        why = "it is finished" if trace.finished else "this sampler draws no noise on the way"
        self._tell(f"{why}: other noise was added, back to step {to}, and denoised again")

    def _draws(self) -> bool:
        """Whether the sampler draws random numbers after the first step."""
        settings = self.settings
        noise = SAMPLERS[settings.sampler].noise
        return noise == "full" or (noise == "eta" and settings.eta > 0)

    def _denoise(self, trace: Trace[ImageFrame]) -> None:
        step = trace.position
        if step == 0:
            self._tell("there is no noise yet to take away: go a step forward first")
            return
        self.fork(Denoise(), f"denoise from {step}")

    def action_recaption(self) -> None:
        """Ask for another caption from this step on."""
        trace = self._needed()
        if trace is None:
            return
        if any(axis.name == "caption" for axis in self.opening.grid):
            self._tell("the caption varies along this grid: w changes it")
            return
        step, ends = trace.position, trace.position == 0 or trace.finished

        def done(caption: str | None) -> None:
            if caption is None or self.trace is not trace:
                return
            self.prompt = caption
            self.post_message(messages.Acted())
            if ends:
                self.start_over(play=True)
            else:
                label = clean_line(f"“{caption}”", LABEL_CELLS)
                self.fork(protocol.SetPrompt(caption), label, step=step)

        title = "Caption from the start" if ends else f"Caption from step {step} on"
        hint = "up to this step it was drawn to the caption before" if not ends else "draws again"
        self.app.push_screen(ValueScreen(title, self.prompt, hint, str.strip), done)

    def action_add_noise(self) -> None:
        """Ask how far to go back, and denoise again from there."""
        trace = self._noisable()
        if trace is not None:
            self._ask_back(trace, "Add noise", b"")

    def action_mask(self) -> None:
        """Paint what may change on the guess, then ask how far to go back."""
        trace = self._noisable()
        frame = trace.frame if trace is not None else None
        if trace is None or frame is None:
            return
        if trace.request.grid:
            self._tell("a mask is painted on one picture: this is a grid; w ends it")
            return
        from genui.saved.write import clip_pixels
        from genui.ui.screens.mask import SMALLEST, MaskScreen

        size = self.app.size
        if size.width < SMALLEST.width or size.height < SMALLEST.height:
            needed = f"{SMALLEST.width}×{SMALLEST.height}"
            self._tell(f"painting a mask needs {needed} cells: make the terminal larger")
            return

        def done(mask: bytes | None) -> None:
            if mask is not None and self.trace is trace:
                self._ask_back(trace, "Draw the masked part again", mask)

        trace.pause()
        self.app.push_screen(MaskScreen(clip_pixels(frame, "guess")[self.moment]), done)

    def _noisable(self) -> Trace[ImageFrame] | None:
        """The trace, where noise can be added back at the playhead; else says why not."""
        trace = self._needed()
        if trace is None or trace.frame is None:
            return None
        if schedule.rises(trace.request, trace.position):
            self._tell("the forward process adds noise by itself: f denoises from here")
            return None
        if schedule.place(trace.request, trace.position) == 0:
            self._tell("this is pure noise still: go some steps forward first")
            return None
        return trace

    def _ask_back(self, trace: Trace[ImageFrame], title: str, mask: bytes) -> None:
        """Ask for the step whose noise comes back, and fork with it."""
        step = trace.position
        steps = schedule.steps_at(trace.request, step)
        here = schedule.place(trace.request, step)
        last = min(here, steps - 1)
        levels = schedule.known_levels((b.trace for b in self.traces.branches), steps)

        def parse(text: str) -> int:
            text = text.strip()
            if not (text.isascii() and text.isdigit() and int(text) <= last):
                shown = clean_line(text, 20)
                raise MisuseError(f"step '{shown}': expected a step from 0 to {last}")
            return int(text)

        def done(to: int | None) -> None:
            if to is None or self.trace is not trace:
                return
            label = f"mask, noise back to {to}" if mask else f"noise back to {to}"
            self.fork(AddNoise(to=to, mask=mask), label, step=step)

        middle = self._middle(trace)
        known = ", ".join(_level_words(at, levels) for at in sorted({0, middle, last}))
        hint = f"noise up to the level of a step from 0 to {last}: {known}"
        self.app.push_screen(ValueScreen(title, str(middle), hint, parse), done)

    def _middle(self, trace: Trace[ImageFrame]) -> int:
        """Half the way back to pure noise."""
        return schedule.place(trace.request, trace.position) // 2

    # --- settings ---------------------------------------------------------------------

    def action_setting(self, name: str) -> None:
        """Ask for a value; η and autoguidance only where there is such a choice."""
        if name == "eta" and SAMPLERS[self.settings.sampler].noise != "eta":
            self._tell("eta is of DPM++ and DDIM: press s until the sampler is one of them")
            return
        if name == "autoguidance" and not (self.model and self.model.guided):
            who = self.model.name if self.model else "no model"
            self._tell(f"{clean_line(who, 24)} has no weaker copy of itself to be led away from")
            return
        super().action_setting(name)


def _level_words(step: int, levels: dict[int, float]) -> str:
    """`step 10 has σ 3.1`, kept on one line, as far as it is known."""
    has = f" has σ {levels[step]:.2g}" if step in levels else ""
    pure = " is pure noise" if step == 0 and not has else ""
    return f"step {step}{has or pure}".replace(" ", "\N{NO-BREAK SPACE}")
