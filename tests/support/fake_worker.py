"""A worker with no model behind it: speaks the real protocol over its pipes, deterministically.

Run as `python fake_worker.py [--delay S] [--version N] [--slow-load S] [--die-at-start]`, or use it
in the process of the test. A model whose name holds "image" (or is emoji, icons or video) draws; a
model called "broken" cannot be loaded; other models write, one whose name holds "python" code.
"""

import argparse
import math
import os
import re
import sys
import time

import numpy as np
from fake_pipes import Fake, serve
from msgspec.structs import replace

from genui import protocol
from genui.protocol.edits import add_edit, inputs_at

TEXT = (
    "What light is this that breaks upon\nthe window of my soul? Speak,\n"
    "fair maid, or by the stars I swear\nto love thee truly.\n\nJULIET:\n"
    "The night hath ears, my lord;\nswear not by stars, that wander as they shine.\n\n"
)
CODE = 'area(r):\n "twice" # so\n return 2 * r\n\ndef broken):\n pass\n'
SIDE = 32


def image(seed: int) -> np.ndarray:
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


class FakeWorker(Fake):
    medium = "text"
    """Of its models that draw nothing."""

    def __init__(
        self,
        delay: float = 0.0,
        version: int = protocol.VERSION,
        slow_load: float = 0.0,
        fingerprint: str = "0123456789abcdef",
    ) -> None:
        super().__init__(delay)
        self.version = version
        self.slow_load = slow_load
        self.fingerprint = fingerprint

    def answer(self, request: protocol.Request) -> None:
        match request:
            case protocol.Hello():
                self.send(
                    protocol.Ready(
                        version=self.version,
                        device="cpu",
                        precision="bf16",
                        threads=1,
                        pid=os.getpid(),
                    )
                )
            case protocol.Start(trace=trace, model=model) if ":" in model:
                self.send(protocol.Failed(trace, "this worker has models with files only"))
            case protocol.Start():
                self.start(request)
            case protocol.Fork():
                self.fork(request)
            case protocol.Attend():
                self.attend(request)
            case protocol.ReadLayers():
                self.read_layers(request)
            case protocol.ReadTokens(trace=trace, step=step):
                token_ids = tuple(range(100, 100 + step))
                self.send(protocol.Tokens(trace=trace, step=step, token_ids=token_ids))
            case protocol.Nearest():
                self.nearest(request)
            case protocol.ReadMaps(trace=trace, step=step, view=view):
                halves = np.array([[1, 0], [1, 0]], np.float16)  # bright at the left
                values = np.stack((halves, halves[:, ::-1])).tobytes()
                names = ("disc", "blue")
                self.send(protocol.Maps(
                    trace=trace, step=step, view=view, names=names, side=2, values=values
                ))  # fmt: skip
            case protocol.Label():
                self.label(request)
            case protocol.Advance():
                self.advance(request)
            case protocol.Close(trace):
                self.traces.pop(trace, None)

    def start(self, request: protocol.Start) -> None:
        time.sleep(self.slow_load)
        if request.model == "broken":
            self.send(
                protocol.Failed(request.trace, "broken: the file is truncated; copy it again")
            )
            return
        if isinstance(request.init, str) and not known_image(request.init):
            line = f"{request.init}: no such file; check its name"
            self.send(protocol.Failed(request.trace, line))
            return
        self.opened(request, 0)

    def fork(self, request: protocol.Fork) -> None:
        parent = self.traces[request.parent]
        branch = add_edit(parent, request.step, request.edit)
        if request.then is not None:
            branch = add_edit(branch, request.step, request.then)
        self.opened(replace(branch, trace=request.trace), request.step)

    def attend(self, request: protocol.Attend) -> None:
        """Two layers of two heads that look at the newest tokens most; a recurrent one has none."""
        start = self.traces[request.trace]
        if start.model == "shakespeare-gru":
            none = protocol.Attention(
                trace=request.trace, step=request.step, first=0, fault="It has no attention"
            )
            self.send(none)
            return
        frames = (self.frame(start, step) for step in range(1, request.step))
        written = (frame.text for frame in frames if isinstance(frame, protocol.TextFrame))
        texts = (*re.findall(r"\S+|\s", start.prompt), *written)
        weights = np.arange(1, len(texts) + 1, dtype=np.float64)
        weights = np.broadcast_to(weights / weights.sum(), (2, 2, len(texts)))
        self.send(
            protocol.Attention(
                trace=request.trace,
                step=request.step,
                layers=2,
                heads=2,
                texts=texts,
                first=0,
                weights=weights.astype(np.float16).tobytes(),
            )
        )

    def read_layers(self, request: protocol.ReadLayers) -> None:
        """Two layers: the written token becomes the likeliest in the last one."""
        frame = self.frame(self.traces[request.trace], request.step)
        assert isinstance(frame, protocol.TextFrame)
        reply = protocol.Layers(trace=request.trace, step=request.step, over=request.over)
        if self.traces[request.trace].model == "shakespeare-gru":
            self.send(replace(reply, fault="This model does not show its layers"))
            return
        text = frame.text
        layers = (
            protocol.LayerOdds((("the ", 0.5), (text, 0.25)), 0.25, 2, 1.5),
            protocol.LayerOdds((("an ", 0.75), (text, 0.125)), 0.125, 1234, 0.75),
            protocol.LayerOdds(((text, 0.875), ("the ", 0.0625)), 0.875, 1, 0.5),
        )
        self.send(
            replace(
                reply,
                token=text,
                layers=layers,
                settled=2,
                other="the ",
                heads=((0.25, -0.5), (4.0, 0.0)),
                feed_forward=(1.0, -2.0),
                rest=0.25,
                difference=3.0,
            )
        )

    def nearest(self, request: protocol.Nearest) -> None:
        """Three images, the nearest first, or the first words; nothing for a zebra."""
        start = self.traces[request.trace]
        found = protocol.Neighbours(trace=request.trace, step=request.step, data="four, 4 things")
        if "zebra" in start.prompt:
            line = "nothing to compare with: zebras: no such file; name it with --data"
            found = replace(found, fault=line)
        elif isinstance(start.settings, protocol.ImageSettings):
            images = (
                protocol.Neighbour(
                    caption=f"disc {n}", distance=10.0 * n + 5, width=SIDE, height=SIDE,
                    rgb=to_bytes(image(n)),
                )
                for n in range(min(3, request.count))
            )  # fmt: skip
            agreement = protocol.Agreement(caption="disc", seeds=3, spread=0.05, edge=0.1)
            found = replace(found, measured="a ruler", images=tuple(images), agreement=agreement)
        elif request.step >= 3:
            words = [self.frame(start, step) for step in (2, 3)]
            text = "".join(w.text for w in words if isinstance(w, protocol.TextFrame))
            quote = protocol.Quote(
                text=text,
                first=2,
                last=3,
                where="line 7",
                before="before it ",
                after="after it",
                usual=0.12,
            )
            found = replace(found, measured="word for word", quotes=(quote,))
        self.send(found)

    def label(self, request: protocol.Label) -> None:
        """Surer of its first label with every step; nothing of a zebra."""
        sure = request.step / (request.step + 1)
        labels = (("ROMEO", sure), ("JULIET", (1 - sure) * 0.7), ("[b]NURSE", (1 - sure) * 0.3))
        fault = "zebras: it gives labels to plays" if self.zebra(request.trace) else ""
        self.send(
            protocol.Labels(
                trace=request.trace,
                step=request.step,
                model=request.model,
                labels=() if fault else labels,
                fault=fault,
            )
        )

    def zebra(self, trace: int) -> bool:
        return "zebra" in self.traces[trace].prompt

    def opened(self, request: protocol.Start, step: int) -> None:
        self.traces[request.trace] = request
        settings = inputs_at(request)[2]
        image = isinstance(settings, protocol.ImageSettings)
        total = len(levels(request)) - 1 if image else settings.tokens
        if request.edits and isinstance(request.edits[-1].edit, protocol.WriteText):
            total = max(total, step + 1)
        total += max(
            (at.step for at in request.edits if isinstance(at.edit, protocol.SendMessage)),
            default=0,
        )
        pieces = first_message(request) if request.chat else ()
        self.send(
            protocol.Started(
                trace=request.trace,
                model=request.model,
                family="diffusion" if image else "transformer",
                medium="image" if image else self.medium,
                prompt=protocol.join_pieces(pieces) or request.prompt.partition(protocol.FILL)[0],
                pieces=pieces,
                suffix=request.prompt.partition(protocol.FILL)[2],
                total_steps=total,
                step=step,
                init=self.begun_from(request),
                fingerprint=self.fingerprint,
                note="the model does not know 'zebra'" if "zebra" in request.prompt else "",
            )
        )
        if image:
            self.send(self.frame(request, step))

    def begun_from(self, start: protocol.Start) -> protocol.RgbImage | str | None:
        """What a model says that it began from."""
        return training_image() if start.init is not None else None

    def advance(self, request: protocol.Advance) -> None:
        start = self.traces.get(request.trace)
        if start is None:
            return
        began = time.monotonic()
        end = request.start + request.steps
        step, reason = self.step_to(request, end)
        seconds = time.monotonic() - began
        self.send(
            protocol.Idle(
                trace=request.trace,
                step=step,
                steps=step - request.start,
                seconds=seconds,
                total=len(levels(start)) - 1,
                reason=reason,
            )
        )

    def frame(self, start: protocol.Start, step: int) -> protocol.Frame:
        """The step as the edits before it have left things."""
        last = step if isinstance(start.settings, protocol.ImageSettings) else step - 1
        so_far = tuple(at for at in start.edits if at.step <= last)
        prompt, seed, settings = inputs_at(replace(start, edits=so_far))
        start = replace(start, prompt=prompt, seed=seed, settings=settings)
        if isinstance(settings, protocol.ImageSettings):
            return image_frame(start, step, levels(replace(start, edits=so_far)))
        return self.token_frame(start, step, [a for a in so_far if a.step == step - 1])

    def token_frame(
        self, start: protocol.Start, step: int, forced: list[protocol.EditAt]
    ) -> protocol.TextFrame:
        """The token as the edits of its step have left it."""
        if forced and isinstance(forced[-1].edit, protocol.WriteText):
            frame = text_frame(start, step)
            return replace(frame, text=forced[-1].edit.text, forced=True)
        if forced and isinstance(forced[-1].edit, protocol.WriteToken):
            frame, token = text_frame(start, step), forced[-1].edit.token
            text = next((c.text for c in frame.candidates if c.token == token), "?")
            return replace(frame, token=token, text=text, forced=True)
        if forced and any(isinstance(at.edit, protocol.SendMessage) for at in forced):
            said = next(at.edit.text for at in forced if isinstance(at.edit, protocol.SendMessage))
            before = (protocol.Piece("template", "<|end|>"), *protocol.label_message(said))
            return replace(text_frame(start, step), before=before)
        return text_frame(start, step)


def first_message(start: protocol.Start) -> tuple[protocol.Piece, ...]:
    """The prompt of a chat, by a template with one special token."""
    label, text = protocol.label_turn("user", first=True), protocol.Piece("text", start.prompt)
    special = protocol.Piece("template", "<|user|>")
    return special, label, text, protocol.label_turn("assistant")


def known_image(path: str) -> bool:
    return path == "data:" or os.path.exists(path)


def training_image() -> protocol.RgbImage:
    return protocol.RgbImage(width=SIDE, height=SIDE, rgb=to_bytes(image(0)))


def levels(start: protocol.Start) -> list[float]:
    """σ at every step, as the image it begins from and the edits have it; of text none."""
    settings = inputs_at(start)[2]
    if not isinstance(settings, protocol.ImageSettings):
        return [0.0]
    steps = settings.steps
    plain = [40 * math.exp(-step / steps * 7) for step in range(steps)] + [0.0]
    found = plain
    if start.forward:
        found = plain[::-1]
    elif start.init is not None:
        found = plain[round((1 - start.strength) * steps) :]
    for at in start.edits:
        if isinstance(at.edit, protocol.AddNoise):
            found = found[: at.step] + plain[at.edit.to :]
        elif isinstance(at.edit, protocol.Denoise):
            found = found[: at.step + 1] + found[: at.step][::-1]
    return found


def image_frame(start: protocol.Start, step: int, sigmas: list[float]) -> protocol.ImageFrame:
    clean = image(start.seed)
    sigma = sigmas[min(step, len(sigmas) - 1)]
    noise = np.random.default_rng((start.seed, 0)).normal(size=clean.shape)
    share = sigma / (sigma + 1)
    x = clean * (1 - share) + (0.5 + 0.25 * noise) * share
    blur = 0.45 + (clean - 0.45) * (1 - share) ** 0.5
    across, down = ([len(axis.values) for axis in start.grid] + [1, 1])[:2]

    images = 16 if "video" in start.model else 1

    def sheet(pixels: np.ndarray) -> bytes:
        """Of a clip all its frames: the image moves two pixels to the right in each."""
        moved = (np.roll(pixels, 2 * at, axis=1) for at in range(images))
        return b"".join(to_bytes(np.tile(one, (down, across, 1))) for one in moved)

    return protocol.ImageFrame(
        trace=start.trace,
        step=step,
        sigma=sigma,
        width=SIDE * across,
        height=SIDE * down,
        images=images,
        x=sheet(x),
        denoised=sheet(blur),
        noise=sheet(0.5 + noise / 6),
        sound=spoken(step) if "voice" in start.model else b"",
        rate=8000 if "voice" in start.model else 0,
    )


def spoken(step: int) -> bytes:
    """A tone that gets louder from step to step: 16 bits, a tenth of a second at 8 kHz."""
    tone = 100 * (step + 1) * np.sin(np.arange(800) / 5)
    return tone.astype("<i2").tobytes()


def text_frame(start: protocol.Start, step: int) -> protocol.TextFrame:
    words = (CODE if "python" in start.model else TEXT).replace("\n", " \n").split(" ")
    at = (start.seed + step - 2) % len(words)
    word = words[at]
    token = f"{word} "
    weights = np.exp(-np.arange(10) * (0.4 + 0.1 * (at % 5)))
    weights /= weights.sum()
    names = [token, "the ", "my ", "thy ", "to ", "it ", ", ", "\n", "is ", "sweet "]
    drawn = np.where(np.arange(10) < 7, weights, 0.0)
    drawn /= drawn.sum()
    candidates = tuple(
        protocol.Candidate(
            token=at if n == 0 else 1000 + n,
            text=name,
            model=float(weights[n]),
            sampled=float(drawn[n]),
            logit=float(np.log(weights[n])) + 3,
            dropped="" if n < 7 else "top-p",
        )
        for n, name in enumerate(names)
    )
    return protocol.TextFrame(
        trace=start.trace,
        step=step,
        token=at,
        text=token,
        surprisal=float((at * 7) % 11) / 1.5,
        entropy=float(-(weights * np.log2(weights)).sum()),
        candidates=candidates,
        sampled_entropy=float(-(drawn[:7] * np.log2(drawn[:7])).sum()),
        u=float(drawn[0]) / 2,
        low=0.0,
        high=float(drawn[0]),
        kept=7,
    )


def main(make: type[FakeWorker] = FakeWorker) -> None:
    parser = argparse.ArgumentParser(argument_default=argparse.SUPPRESS)
    parser.add_argument("--delay", type=float, help="seconds a step")
    parser.add_argument("--version", type=int)
    parser.add_argument("--slow-load", type=float)
    parser.add_argument("--die-at-start", action="store_true")
    options = vars(parser.parse_args())
    if options.pop("die_at_start", False):
        sys.exit("no module named torch")
    serve(make(**options))


if __name__ == "__main__":
    main()
