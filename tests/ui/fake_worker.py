"""A worker with no model behind it: speaks the real protocol over its pipes, deterministically.

Run as `python fake_worker.py [--delay S] [--version N] [--slow-load S] [--die-at-start]`. A model
whose name holds "image" (or is emoji or icons) draws; a model called "broken" cannot be loaded;
other models write.
"""

import argparse
import math
import os
import selectors
import sys
import time

import numpy as np

from genui import protocol

TEXT = (
    "What light is this that breaks upon\nthe window of my soul? Speak,\n"
    "fair maid, or by the stars I swear\nto love thee truly.\n\nJULIET:\n"
    "The night hath ears, my lord;\nswear not by stars, that wander as they shine.\n\n"
)
SIDE = 32


def picture(seed: int) -> np.ndarray:
    """A disc with a ring, its colour from the seed: float [32, 32, 3] in 0..1."""
    y, x = np.mgrid[0:SIDE, 0:SIDE] - (SIDE - 1) / 2
    radius = np.hypot(x, y)
    result = np.empty((SIDE, SIDE, 3))
    result[:] = (0.09, 0.10, 0.14)
    result[radius < 13] = np.roll((0.98, 0.38, 0.35), seed % 3)
    result[(radius < 9) & (radius > 6)] = (0.98, 0.75, 0.3)
    result[radius < 3] = (0.2, 0.25, 0.3)
    return result


def to_bytes(pixels: np.ndarray) -> bytes:
    return (np.clip(pixels, 0, 1) * 255).astype(np.uint8).tobytes()


class FakeWorker:
    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.traces: dict[int, protocol.Start] = {}
        self.reader = protocol.requests()
        self.queue: list[protocol.Request] = []
        self.cancelled: set[int] = set()
        self.selector = selectors.DefaultSelector()
        self.selector.register(sys.stdin.fileno(), selectors.EVENT_READ)

    def send(self, reply: protocol.Reply) -> None:
        sys.stdout.buffer.write(protocol.encode(reply))
        sys.stdout.buffer.flush()

    def read(self, timeout: float | None) -> None:
        """Takes what has arrived; leaves when the app is gone."""
        if self.selector.select(timeout):
            data = os.read(sys.stdin.fileno(), 65536)
            if not data:
                sys.exit(0)
            for request in self.reader.feed(data):
                if isinstance(request, protocol.Cancel):
                    self.cancelled.add(request.trace)
                else:
                    self.queue.append(request)

    def run(self) -> None:
        while True:
            self.read(None if not self.queue else 0)
            if self.queue:
                self.answer(self.queue.pop(0))

    def answer(self, request: protocol.Request) -> None:
        match request:
            case protocol.Hello():
                self.send(
                    protocol.Ready(
                        version=self.options.version,
                        device="cpu",
                        precision="bf16",
                        threads=1,
                        pid=os.getpid(),
                    )
                )
            case protocol.Start():
                self.start(request)
            case protocol.Advance():
                self.advance(request)
            case protocol.Close(trace):
                self.traces.pop(trace, None)
            case protocol.Warm(model):
                self.send(protocol.Warmed(model))

    def start(self, request: protocol.Start) -> None:
        time.sleep(self.options.slow_load)
        if request.model == "broken":
            self.send(
                protocol.Failed(request.trace, "broken: the file is truncated; copy it again")
            )
            return
        self.traces[request.trace] = request
        settings = request.settings
        image = isinstance(settings, protocol.ImageSettings)
        total = settings.steps if isinstance(settings, protocol.ImageSettings) else settings.tokens
        self.send(
            protocol.Started(
                trace=request.trace,
                model=request.model,
                family="diffusion" if image else "transformer",
                medium="image" if image else "text",
                prompt=request.prompt,
                total_steps=total,
                note="the model does not know 'zebra'" if "zebra" in request.prompt else "",
            )
        )
        if image:
            self.send(self.frame(request, 0))

    def advance(self, request: protocol.Advance) -> None:
        start = self.traces.get(request.trace)
        if start is None:
            return
        self.cancelled.discard(request.trace)
        began = time.monotonic()
        step = request.start
        reason = "done"
        for step in range(request.start + 1, request.start + request.steps + 1):
            time.sleep(self.options.delay)
            self.send(self.frame(start, step))
            self.read(0)
            if request.trace in self.cancelled:
                reason = "cancelled"
                break
        seconds = time.monotonic() - began
        self.send(
            protocol.Idle(
                trace=request.trace,
                step=step,
                steps=step - request.start,
                seconds=seconds,
                reason=reason,
            )
        )

    def frame(self, start: protocol.Start, step: int) -> protocol.Frame:
        settings = start.settings
        if isinstance(settings, protocol.ImageSettings):
            return image_frame(start, step, settings.steps)
        return text_frame(start, step)


def image_frame(start: protocol.Start, step: int, steps: int) -> protocol.ImageFrame:
    clean = picture(start.seed)
    sigma = 0.0 if step == steps else 40 * math.exp(-step / steps * 7)
    noise = np.random.default_rng((start.seed, 0)).normal(size=clean.shape)
    share = sigma / (sigma + 1)
    x = clean * (1 - share) + (0.5 + 0.25 * noise) * share
    blur = 0.45 + (clean - 0.45) * (step / steps) ** 0.5
    return protocol.ImageFrame(
        trace=start.trace,
        step=step,
        sigma=sigma,
        width=SIDE,
        height=SIDE,
        x=to_bytes(x),
        guess=to_bytes(blur),
    )


def text_frame(start: protocol.Start, step: int) -> protocol.TextFrame:
    words = TEXT.replace("\n", " \n").split(" ")
    at = (start.seed + step - 2) % len(words)
    word = words[at]
    token = f"{word} "
    weights = np.exp(-np.arange(10) * (0.4 + 0.1 * (at % 5)))
    weights /= weights.sum()
    names = [token, "the ", "my ", "thy ", "to ", "it ", ", ", "\n", "is ", "sweet "]
    candidates = tuple(
        protocol.Candidate(at if n == 0 else 1000 + n, name, float(w), float(w) if n < 7 else 0.0)
        for n, (name, w) in enumerate(zip(names, weights, strict=True))
    )
    return protocol.TextFrame(
        trace=start.trace,
        step=step,
        token=at,
        text=token,
        surprisal=float((at * 7) % 11) / 1.5,
        entropy=float(-(weights * np.log2(weights)).sum()),
        candidates=candidates,
    )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--delay", type=float, default=0.02, help="seconds a step")
    parser.add_argument("--version", type=int, default=protocol.VERSION)
    parser.add_argument("--slow-load", type=float, default=0.0)
    parser.add_argument("--die-at-start", action="store_true")
    options = parser.parse_args()
    if options.die_at_start:
        sys.exit("no module named torch")
    FakeWorker(options).run()


if __name__ == "__main__":
    main()
